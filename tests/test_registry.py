"""Plugins from scripts, modules and installed distributions; the gaps of pluggy that are closed."""

import os
import re
import subprocess
import sys
import textwrap
import threading
import warnings
from dataclasses import dataclass

import numpy as np
import pytest

import dagnet
from dagnet import registry as face
from dagnet.cli.plugins import check_plugins, list_plugins
from dagnet.contracts import Exporter, Initializer, Optimizer
from dagnet.errors import DagnetWarning, PluginError
from dagnet.registry import find_activation, find_initializer, find_loss, find_optimizer, parse_call, tables
from dagnet.registry.tables import KINDS, Origin, Registry
from dagnet.values import FINITE


@pytest.fixture
def fresh(monkeypatch):
    """A registry of its own, with the built-ins, in place of the process's."""
    monkeypatch.setenv("DAGNET_DISABLE_PLUGINS", "1")
    registry = Registry()
    registry.load()
    monkeypatch.setattr(face, "registry", registry)
    return registry


def cube(name="cube"):
    return dagnet.Activation(name, lambda z: z**3, lambda z, a: 3 * z**2)


def counts(registry):
    return {kind: len(registry.table(kind)) for kind in KINDS}


# -- from a script -----------------------------------------------------------------------


def test_single_items_of_every_kind(fresh):
    class Signs(Optimizer):
        name = "signs"

        def update(self, parameter, gradient, state, step, learning_rate):
            return parameter - learning_rate * np.sign(gradient), state

    class Engine:
        name, priority = "slow", -1

        def unavailable(self):
            return "it is an example"

        def prepare(self, plan, *, dtype, threads):
            raise NotImplementedError

        def fused_step(self, optimizer, *, dtype, threads):
            return None

    items = {
        "activations": cube(),
        "aggregations": dagnet.Aggregation("norm", lambda t: np.sqrt((t * t).sum(axis=0))),
        "losses": dagnet.Loss("l4", lambda o, t: ((o - t) ** 4).sum(axis=1)),
        "initializers": Initializer("ones", lambda rng, fan_in, fan_out: np.ones_like(fan_in)),
        "optimizers": Signs,
        "engines": Engine(),
        "exporters": Exporter("xyz", ".xyz", lambda network, stream, data: None),
        "attributions": dagnet.Attributor("nothing", lambda net, X, baseline, of: {}),
    }
    assert items.keys() == KINDS.keys()
    for kind, item in items.items():
        face.register(item)
        assert getattr(face, kind)()[item.name] is item
        assert str(face.origin(kind, item.name)) == "register() in test_registry"
    with pytest.raises(PluginError, match="engine 'slow' cannot run here: it is an example"):
        dagnet.Network(dagnet.layered([1, 1]), engine="slow")


def test_an_engine_that_is_a_dataclass_of_settings_has_call_forms(fresh):
    @dataclass(frozen=True)
    class Remote:
        host: str = "here"
        name = "remote"
        priority = -1

        def unavailable(self):
            return None if self.host == "there" else f"nobody answers from {self.host!r}"

        def prepare(self, plan, *, dtype, threads):
            return face.engines()["reference"].prepare(plan, dtype=dtype, threads=threads)

        def fused_step(self, optimizer, *, dtype, threads):
            return None

    face.register(Remote())
    assert face.find_engine("remote") is face.engines()["remote"]
    net = dagnet.Network(dagnet.layered([1, 1]), engine="remote(host='there')")
    assert net.engine == "remote(host='there')"
    net.fit([[1.0], [2.0]], [1.0, 2.0], epochs=1, progress=False)
    for spec, message in (
        ("remote", "cannot run here: nobody answers from 'here'"),
        ("remote(port=1)", r"engine 'remote' must be with settings by name, host, got remote\(port=1\)"),
        ("remote('there')", "with settings by name"),
        ("reference(fast=True)", "engine 'reference' must be without settings"),
        ("romete(host='there')", "unknown engine 'romete'; did you mean 'remote'"),
    ):
        with pytest.raises(PluginError, match=message):
            dagnet.Network(dagnet.layered([1, 1]), engine=spec)


def test_tables_are_read_only_and_live(fresh):
    table = face.activations()
    with pytest.raises(TypeError):
        table["cube"] = cube()
    face.register(cube())
    assert "cube" in table
    assert face.origin("activations", "nope") is None


def test_an_object_or_module_with_hooks(fresh):
    class Plugin:
        @dagnet.hookimpl
        def dagnet_activations(self):
            yield cube("one")
            yield cube("two")

        @dagnet.hookimpl(specname="dagnet_losses")
        def my_losses(self):
            return (dagnet.Loss("l4", lambda o, t: ((o - t) ** 4).sum(axis=1)),)

    face.register(Plugin())
    assert {"one", "two"} <= set(face.activations())
    assert "l4" in face.losses()


def test_a_taken_name_is_refused_naming_both_parties(fresh):
    before = counts(fresh)
    with pytest.raises(
        PluginError, match=r"activation 'relu' of register\(\) in test_registry.*already by dagnet"
    ):
        face.register(cube("relu"))
    assert counts(fresh) == before
    face.register(cube())
    with pytest.raises(PluginError, match=r"'cube'.*replace=True"):
        face.register(cube())
    other = cube()
    face.register(other, replace=True)
    assert face.activations()["cube"] is other


def test_a_taken_suffix_is_refused_since_no_file_would_reach_the_exporter(fresh):
    def write(_network, _stream, _observations):
        """Nothing."""

    before = counts(fresh)
    with pytest.raises(PluginError, match=r"'mine' of register\(\).*suffix '\.json' of the exporter 'json'"):
        face.register(dagnet.Exporter("mine", ".json", write))
    assert counts(fresh) == before
    face.register(dagnet.Exporter("json", ".json", write), replace=True)
    face.register(dagnet.Exporter("longer", ".more.json", write))


def test_a_name_twice_in_one_plugin_is_refused(fresh):
    class Plugin:
        @dagnet.hookimpl
        def dagnet_activations(self):
            return [cube(), cube()]

    with pytest.raises(PluginError, match="'cube'"):
        face.register(Plugin())
    with pytest.raises(PluginError, match="'cube'"):
        face.register(Plugin(), replace=True)
    assert "cube" not in face.activations()


def test_a_plugin_may_be_registered_again_only_in_place_of_itself(fresh):
    class Plugin:
        @dagnet.hookimpl
        def dagnet_activations(self):
            return [cube()]

    plugin = Plugin()
    face.register(plugin)
    with pytest.raises(PluginError, match="registered already"):
        face.register(plugin)
    face.register(plugin, replace=True)


def test_an_optimizer_of_dagnet_is_one_object_until_its_name_is_taken_over(fresh):
    assert find_optimizer("sgd") is find_optimizer("sgd") != find_optimizer("sgd(momentum=0.5)")
    assert find_optimizer("sgd(momentum=0.5)").momentum == 0.5

    @dataclass(frozen=True)
    class Mine(Optimizer):
        name = "sgd"
        learning_rate: float = 0.5

        def update(self, parameter, gradient, state, step, learning_rate):
            return parameter - learning_rate * gradient, {}

    face.register(Mine, replace=True)
    assert type(find_optimizer("sgd")) is Mine
    with pytest.raises(PluginError, match=r"it takes learning_rate"):
        find_optimizer("sgd(momentum=0.5)")


def test_attributors_are_found_by_call_form_and_their_names_are_taken_once(fresh, capsys):
    def scaled(net, X, baseline, of, factor):
        return {node: factor * net.gradient(X, of=of).value(node) for node in net.nodes}

    class Plugin:
        @dagnet.hookimpl
        def dagnet_attributions(self):
            return [dagnet.Attributor("scaled", scaled, parameters={"factor": 1.0}, rules={"factor": FINITE})]

    class Twice(Plugin):
        @dagnet.hookimpl
        def dagnet_attributions(self):
            return 2 * super().dagnet_attributions()

    net, X = dagnet.Network(dagnet.layered([2, 1]), seed=0), [[1.0, 2.0]]
    with pytest.raises(PluginError, match=r"attribution method 'scaled' of .* is registered already by"):
        face.register(Twice())
    with pytest.raises(dagnet.DataError, match="is called 'scaled'; known: deeplift, gradient"):
        net.attribute(X, method="scaled")
    face.register(Plugin())
    assert net.attribute(X, method="scaled")["eta"] == 1.0
    found = net.attribute(X, method="scaled(factor=3)")
    assert found["eta"] == net.attribute(X, method="scaled(3)")["eta"] == 3.0
    assert found.method == "scaled(factor=3.0)"
    with pytest.raises(PluginError, match=r"'scaled' of register\(\) in test_registry is registered already"):
        face.register(Plugin())
    for form, message in {
        "scaled(factors=2)": "has no parameter 'factors'; did you mean 'factor'",
        "scaled(factor='x')": "attribution method 'scaled': factor must be a finite number",
        "scaled(1, 2)": "at most 1 values",
        "scalded": "did you mean 'scaled'",
    }.items():
        with pytest.raises(dagnet.DagnetError, match=message):
            net.attribute(X, method=form)
    for name in ("deeplift", "integrated_gradients", "knockout"):
        with pytest.raises(PluginError, match=f"method '{name}' is built in; choose another name"):
            dagnet.Attributor(name, scaled)
    with pytest.raises(PluginError, match="an identifier"):
        dagnet.Attributor("gradient*input", scaled)
    list_plugins()
    assert re.search(r"attributions +scaled +register\(\) in test_registry", capsys.readouterr().out)
    assert check_plugins(["scaled"])
    assert capsys.readouterr().out == "attribution method scaled: has no checks: each result is looked at\n"


@pytest.mark.parametrize("thing", [None, 3, "relu", b"x", 2.5])
def test_things_that_are_no_plugins(fresh, thing):
    with pytest.raises(PluginError, match=r"register\(\): the argument must be an Activation"):
        face.register(thing)


@pytest.mark.parametrize("thing", [[cube()], {}, dagnet.Activation, Optimizer, object(), np, lambda: None])
def test_things_without_hooks(fresh, thing):
    with pytest.raises(PluginError, match="has no hook implementation; decorate one of dagnet_activations"):
        face.register(thing)


def raising():
    yield cube()
    raise RuntimeError("half-way")


def leaving():
    yield cube()
    sys.exit(3)


def endless():
    while True:
        yield cube()


@pytest.mark.parametrize(
    ("hook", "function", "words"),
    [
        ("dagnet_activations", raising, ["dagnet_activations of plugin", "raised RuntimeError: half-way"]),
        ("dagnet_activations", leaving, ["raised SystemExit: 3"]),
        ("dagnet_activations", endless, ["at most 10,000 items"]),
        ("dagnet_activations", lambda: None, ["an iterable, each item an Activation", "got None"]),
        ("dagnet_activations", cube, ["an iterable", "<activation cube>"]),
        ("dagnet_activations", lambda: "relu", ["an iterable", "'relu'"]),
        ("dagnet_activations", lambda: {"cube": cube()}, ["each item must be an Activation, got 'cube'"]),
        ("dagnet_activations", lambda: [cube(), np.tanh], ["each item must be an Activation", "tanh"]),
        ("dagnet_activations", lambda: [dagnet.Activation], ["each item must be an Activation", "class"]),
        ("dagnet_losses", lambda: [cube()], ["each item must be a Loss, got <activation cube>"]),
        ("dagnet_initializers", lambda: [cube()], ["must be an Initializer"]),
        ("dagnet_exporters", lambda: [cube()], ["must be an Exporter"]),
        ("dagnet_optimizers", lambda: [cube()], ["a subclass of Optimizer that defines update() or step()"]),
        ("dagnet_optimizers", lambda: [Optimizer], ["a subclass of Optimizer that defines"]),
        ("dagnet_optimizers", lambda: [find_optimizer("sgd")], ["a subclass of Optimizer"]),
        ("dagnet_engines", lambda: [cube()], ["an engine with a name, a priority and the methods"]),
        ("dagnet_engines", lambda: [object], ["an engine with"]),
    ],
)
def test_faulty_hooks_leave_nothing_behind(fresh, hook, function, words):
    plugin = type("Plugin", (), {hook: staticmethod(dagnet.hookimpl(function))})()
    if hook != "dagnet_activations":
        good = staticmethod(dagnet.hookimpl(lambda: [cube("good")]))
        plugin = type("Plugin", (), {hook: type(plugin).__dict__[hook], "dagnet_activations": good})()
    before = counts(fresh)
    with pytest.raises(PluginError) as caught:
        face.register(plugin)
    for word in words:
        assert word in str(caught.value)
    assert counts(fresh) == before
    face.register(cube("still_works"))


@pytest.mark.parametrize("name", ["", "two words", "a-b", 3, None, "1a"])
def test_names_that_are_no_identifiers(fresh, name):
    rule = lambda self, parameter, gradient, state, step, learning_rate: (parameter, state)
    item = type("Named", (Optimizer,), {"name": name, "update": rule})
    with pytest.raises(PluginError, match="name must be an identifier"):
        face.register(item)
    with pytest.raises(PluginError, match="name must be an identifier"):
        cube(name)


def test_hooks_that_do_not_exist_or_take_arguments(fresh):
    class Misspelt:
        @dagnet.hookimpl
        def dagnet_activation(self):
            return []

    class Asking:
        @dagnet.hookimpl
        def dagnet_activations(self, z):
            return []

    with pytest.raises(
        PluginError, match=r"unknown hook 'dagnet_activation'.*did you mean 'dagnet_activations'"
    ):
        face.register(Misspelt())
    with pytest.raises(PluginError, match=r"(?s)dagnet_activations.*z"):
        face.register(Asking())


def test_a_plugin_that_cannot_be_hashed_harms_nobody(fresh):
    class Unhashable:
        __hash__ = None

        def __eq__(self, other):
            return True

        @dagnet.hookimpl
        def dagnet_activations(self):
            return [cube()]

    try:
        face.register(Unhashable())
    except PluginError:
        pass
    else:
        assert "cube" in face.activations()
    face.register(cube("next"))
    assert "next" in face.activations()


# -- call forms --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("relu", ("relu", (), {})),
        (" relu ", ("relu", (), {})),
        ("relu()", ("relu", (), {})),
        ("elu(-0.5)", ("elu", (-0.5,), {})),
        ("f(1, 'a', b=[1, 2], c=None, d=True)", ("f", (1, "a"), {"b": [1, 2], "c": None, "d": True})),
    ],
)
def test_call_forms(text, parsed):
    assert parse_call(text) == parsed


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "elu(",
            "elu)",
            "a.b(1)",
            "elu(alpha=x)",
            "elu(__import__('os'))",
            "elu(1)(2)",
            "1",
            "elu(*[1])",
        ),
        *(
            "elu(**{})",
            "elu(alpha=1, alpha=2)",
            "elu\0",
            "a b",
            "elu;relu",
            "elu(" + "[" * 400 + "]" * 400 + ")",
        ),
        "elu(" + "1" * 2000 + ")",
    ],
)
def test_texts_that_are_no_call_forms(text):
    with pytest.raises(PluginError, match="a name or a call form with literal arguments"):
        parse_call(text)


def test_parameters_are_bound_by_position_or_name():
    assert find_activation("elu(0.5)") == find_activation("elu(alpha=0.5)") != find_activation("elu")
    assert str(find_activation("elu(0.5)")) == "elu(alpha=0.5)"
    assert repr(find_loss("huber")) == "<loss huber(delta=1.0)>"
    assert find_initializer("constant(value=2.0)").arguments == (2.0,)
    relu = find_activation("relu")
    assert find_activation(relu) is relu
    for text, words in {
        "elu(1, 2)": "at most 1 values",
        "elu(beta=1)": "no parameter 'beta'; known: alpha",
        "relu(beta=1)": "it takes no parameters",
        "elu(1, alpha=2)": "'alpha' is given twice",
        "elu2": "unknown activation 'elu2'; did you mean 'elu'?",
    }.items():
        with pytest.raises(PluginError, match=words):
            find_activation(text)


def test_optimizers_are_found_in_every_form():
    adam = dagnet.optimizers()["adam"]
    assert isinstance(find_optimizer("adam"), adam)
    assert find_optimizer("adam(0.5)").learning_rate == 0.5
    assert isinstance(find_optimizer(adam), adam)
    made = adam()
    assert find_optimizer(made) is made
    for spec, words in {
        "adam(speed=3)": r"optimizer 'adam': .*speed.*; it takes .*learning_rate",
        "admm": "unknown optimizer 'admm'; did you mean 'adam'",
        3: "an optimizer must be a name, a call form or an Optimizer, got 3",
    }.items():
        with pytest.raises(PluginError, match=words):
            find_optimizer(spec)


# -- from installed distributions --------------------------------------------------------


def install(folder, name, code, points, version="1.0"):
    """Write a distribution as an installer leaves it: a module, and metadata with entry points."""
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(textwrap.dedent(code))
    info = folder / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(points if "[" in points else f"[dagnet]\n{points}\n")


GOOD = """
    import dagnet

    @dagnet.hookimpl
    def dagnet_activations():
        return [dagnet.Activation("cubic", lambda z: z**3, lambda z, a: 3 * z**2)]
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder for distributions on sys.path, and a registry that has not looked yet."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("DAGNET_DISABLE_PLUGINS", raising=False)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if (tmp_path / f"{name}.py").exists():
            del sys.modules[name]


def load(*warned):
    """A new registry, loaded, and the words of its warnings."""
    registry = Registry()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        registry.load()
    said = [str(warning.message) for warning in caught if warning.category is DagnetWarning]
    ours = [message for message in said if "distribution 'dagnet-" not in message]  # installed here, and slow
    assert len(ours) == len(warned), ours
    for message, words in zip(ours, warned, strict=True):
        for word in words:
            assert word in message
    assert {"relu", "tanh"} <= set(registry.table("activations"))
    return registry


def test_a_distribution_is_found(site):
    install(site, "good-wiring", GOOD, "anything = good_wiring", version="2.1")
    registry = load()
    assert "cubic" in registry.table("activations")
    assert str(registry.origin("activations", "cubic")) == "good-wiring 2.1"


def test_an_entry_point_may_name_an_object(site):
    code = GOOD + "\n    class Plugin:\n        dagnet_activations = staticmethod(dagnet_activations)\n"
    code += "    one = dagnet.Activation('single', lambda z: z, lambda z, a: 1 + 0 * z)\n"
    install(site, "good-wiring", code, "a = good_wiring:Plugin\nb = good_wiring:one")
    assert {"cubic", "single"} <= set(load().table("activations"))


BROKEN = {
    "its import fails": (
        "import no_such_module",
        "p = bad_wiring",
        ["ModuleNotFoundError", "no_such_module"],
    ),
    "its import exits": ("raise SystemExit(3)", "p = bad_wiring", ["SystemExit: 3"]),
    "it does not parse": ("def (:", "p = bad_wiring", ["SyntaxError"]),
    "its attribute is missing": ("", "p = bad_wiring:nothing", ["AttributeError"]),
    "its value is no reference": ("", "p = not a reference!", ["left out"]),
    "it has no hooks": ("x = 1", "p = bad_wiring", ["no hook implementation"]),
    "it is mistyped": (
        GOOD.replace("[dagnet", "['x'] + [dagnet"),
        "p = bad_wiring",
        ["must be an Activation"],
    ),
    "its hook raises": (
        GOOD.replace("return [", "raise OSError('disk')\n        return ["),
        "p = bad_wiring",
        ["disk"],
    ),
    "its hook is misspelt": (
        GOOD.replace("activations()", "activation()"),
        "p = bad_wiring",
        ["did you mean"],
    ),
    "it takes a taken name": (
        GOOD.replace("cubic", "relu"),
        "p = bad_wiring",
        ["'relu'", "already by dagnet"],
    ),
    "it is there twice": (GOOD, "p = bad_wiring\nq = bad_wiring", ["'cubic'", "already by bad-wiring 1.0"]),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_faulty_distribution_is_dropped_whole_with_one_warning(site, case):
    code, points, words = BROKEN[case]
    install(site, "bad-wiring", code, points)
    install(site, "good-wiring", GOOD.replace("cubic", "quartic"), "p = good_wiring")
    registry = load(["'bad-wiring' 1.0 are left out", *words, "DAGNET_DISABLE_PLUGINS=1"])
    assert "cubic" not in registry.table("activations")
    assert "quartic" in registry.table("activations")


def test_the_good_half_of_a_faulty_distribution_is_dropped_too(site):
    code = GOOD + "\n    @dagnet.hookimpl\n    def dagnet_losses():\n        return [1]\n"
    install(site, "bad-wiring", code, "p = bad_wiring")
    registry = load(["bad-wiring", "must be a Loss"])
    assert "cubic" not in registry.table("activations")
    assert registry.origin("activations", "cubic") is None


def test_two_distributions_with_one_name_are_told_apart(site):
    install(site, "a-wiring", GOOD, "p = a_wiring")
    install(site, "b-wiring", GOOD, "p = b_wiring")
    registry = load(["'b-wiring' 1.0 are left out", "'cubic'", "already by a-wiring 1.0"])
    assert str(registry.origin("activations", "cubic")) == "a-wiring 1.0"


def test_a_slow_distribution_is_loaded_and_named(site, monkeypatch):
    monkeypatch.setattr(tables, "SLOW_SECONDS", 0.05)
    install(site, "slow-wiring", "    import time; time.sleep(0.06)\n" + GOOD, "p = slow_wiring")
    registry = load(["'slow-wiring' 1.0 took 0.", "inside its functions"])
    assert "cubic" in registry.table("activations")


def test_entry_points_that_cannot_be_read_at_all(site):
    install(site, "bad-wiring", "", "[dagnet]\nno equals sign\n")
    load(["entry points of group 'dagnet' cannot be read"])


def test_nameless_metadata(site):
    install(site, "good-wiring", GOOD, "p = good_wiring")
    (site / "good_wiring-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\n")
    assert "cubic" in load().table("activations")


def test_plugins_can_be_switched_off(site, monkeypatch):
    install(site, "good-wiring", GOOD, "p = good_wiring")
    monkeypatch.setenv("DAGNET_DISABLE_PLUGINS", "1")
    assert "cubic" not in load().table("activations")
    monkeypatch.setenv("DAGNET_DISABLE_PLUGINS", "0")
    assert "cubic" in load().table("activations")


def test_a_plugin_may_look_up_others_while_it_is_loaded(site, monkeypatch):
    code = GOOD + "\n    relu = dagnet.activations()['relu']\n"
    install(site, "good-wiring", code, "p = good_wiring")
    registry = Registry()
    monkeypatch.setattr(face, "registry", registry)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "cubic" in registry.table("activations")


def test_other_threads_wait_until_all_is_loaded(site):
    install(site, "good-wiring", "    import time; time.sleep(0.2)\n" + GOOD, "p = good_wiring")
    registry, seen = Registry(), []
    threads = [
        threading.Thread(target=lambda: seen.append("cubic" in registry.table("activations")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 4


def test_a_failure_in_a_builtin_leaves_a_registry_that_can_try_again(monkeypatch):
    registry = Registry()
    monkeypatch.setenv("DAGNET_DISABLE_PLUGINS", "1")
    with monkeypatch.context() as patch:
        patch.setattr(tables, "BUILTINS", (*tables.BUILTINS, "dagnet.no_such_module"))
        with pytest.raises(ModuleNotFoundError):
            registry.load()
    assert "relu" in registry.table("activations")


def test_importing_dagnet_loads_no_plugins(site):
    install(site, "loud-wiring", "raise SystemExit('loaded')", "p = loud_wiring")
    script = """
        import sys, warnings
        import dagnet
        assert "loud_wiring" not in sys.modules and "numba" not in sys.modules
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            dagnet.activations()
            dagnet.activations()
        print([str(w.message) for w in caught if w.category is dagnet.DagnetWarning])
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])}
    environment.pop("DAGNET_DISABLE_PLUGINS", None)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("left out: SystemExit: loaded") == 1


def test_origins_print_their_version():
    assert str(Origin("a", "1.0")) == "a 1.0"
    assert str(Origin("a")) == "a"
    assert face.origin("activations", "relu").distribution == "dagnet"
