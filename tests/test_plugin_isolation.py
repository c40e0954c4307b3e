"""Faulty distributions, installed side by side: each is named in one message, the rest works."""

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest
from test_registry import install

ACTIVATION = """
import dagnet
import numpy as np

@dagnet.hookimpl
def dagnet_activations():
    return [dagnet.Activation("NAME", np.tanh, lambda z, a: 1 - a * a)]
"""


def offering(name):
    return ACTIVATION.replace("NAME", name)


def left_out(*words):
    return ("are left out", *words)


LOADING = {
    "fails-at-import": ("import no_such_module", left_out("ModuleNotFoundError", "no_such_module")),
    "raises-in-hook": (
        offering("one").replace("    return", "    1 / 0\n    return"),
        left_out("dagnet_activations of plugin raises_in_hook", "raised ZeroDivisionError"),
    ),
    "yields-then-raises": (
        offering("two").replace("return [", "yield from [") + "    raise OSError('half-way')\n",
        left_out("dagnet_activations of plugin yields_then_raises", "raised OSError: half-way"),
    ),
    "takes-a-builtins-name": (offering("relu"), left_out("'relu'", "registered already by dagnet")),
    "takes-anothers-name": (offering("good"), left_out("'good'", "registered already by good-wiring 1.0")),
    "mistypes-a-hook": (
        offering("three").replace("dagnet_activations", "dagnet_activation"),
        left_out("unknown hook 'dagnet_activation'", "did you mean 'dagnet_activations'?"),
    ),
    "forgets-the-marker": (
        offering("four") + "\ndef dagnet_losses():\n    return []\n",
        left_out("dagnet_losses of plugin forgets_the_marker", "must carry @dagnet.hookimpl"),
    ),
    "wants-a-newer-hook": (
        offering("five") + "\n@dagnet.hookimpl\ndef dagnet_metrics():\n    return []\n",
        left_out("unknown hook 'dagnet_metrics'", "needs a newer dagnet: pip install --upgrade dagnet"),
    ),
    "wants-a-newer-dagnet": ("from dagnet import Attribution", left_out("ImportError", "'Attribution'")),
    "writes-to-z": (
        offering("six").replace("np.tanh,", "lambda z: np.tanh(z, out=z),"),
        left_out("activation 'six': function must leave its arguments as they are"),
    ),
    "raises-at-work": (
        offering("seven").replace("np.tanh,", "lambda z: z / missing,"),
        left_out("activation 'seven': function raised NameError: name 'missing' is not defined"),
    ),
    "has-a-wrong-derivative": (
        offering("eight").replace("1 - a * a", "1 + a * a"),
        left_out(
            "activation 'eight': derivative (line 7 of has_a_wrong_derivative.py", "must be the function's"
        ),
    ),
    "is-slow-to-import": (
        "import time; time.sleep(0.3)\n" + offering("slow"),
        ("took 0.", "should import heavy libraries inside its functions"),
    ),
}
SOUND = {
    "good-wiring": offering("good"),
    "first-of-one-name": offering("first"),
    "second-of-one-name": offering("second"),
}
AT_WORK = """
import dagnet
import numpy as np

class Licensed(dagnet.Activation):
    def value(self, z):
        raise dagnet.PluginError(f"activation {self.name!r} of bad-numbers 1.0: no licence")

def ones(z, a):
    return np.ones_like(z)

def squares(o, t):
    return np.sum((o - t) ** 2, axis=1)

@dagnet.hookimpl
def dagnet_activations():
    functions = {
        "doubles": lambda z: np.array(z, np.float64),
        "nothing": lambda z: np.full_like(z, np.nan),
        "hole": lambda z: np.where(z > 2, np.nan, z),
    }
    made = [dagnet.Activation(name, function, ones) for name, function in functions.items()]
    return [*made, Licensed("licensed", np.exp)]

@dagnet.hookimpl
def dagnet_losses():
    values = {
        "loss_predicts": squares,
        "loss_doubles": lambda o, t: np.array(squares(o, t), np.float64),
        "loss_hole": lambda o, t: np.where(t[:, 0] > 2, np.nan, squares(o, t)),
    }
    made = []
    for name, value in values.items():
        predict = lambda o, short=name == "loss_predicts": o[0] if short else o.astype(np.float64)
        made.append(dagnet.Loss(name, value, lambda o, t: 2 * (o - t), predict=predict))
    return made
"""


def run(site, *arguments, code=0):
    """Run Python where the distributions are installed; what it wrote on both streams."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path]), "PYTHONUTF8": "1"}
    environment.pop("DAGNET_DISABLE_PLUGINS", None)
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False, encoding="utf-8"
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def run_script(site, script):
    """The JSON that a script prints."""
    return json.loads(run(site, "-c", textwrap.dedent(script))[0])


@pytest.fixture(scope="module")
def loading_site(tmp_path_factory):
    site = tmp_path_factory.mktemp("loading")
    for name, code in {**SOUND, **{name: code for name, (code, _) in LOADING.items()}}.items():
        install(site, name, code, f"plugin = {name.replace('-', '_')}")
    return site


@pytest.fixture(scope="module")
def working_site(tmp_path_factory):
    site = tmp_path_factory.mktemp("working")
    install(site, "bad-numbers", AT_WORK, "plugin = bad_numbers")
    install(site, "good-wiring", offering("good"), "plugin = good_wiring")
    return site


def test_each_fault_of_loading_is_one_message_that_names_its_distribution(loading_site):
    shown = run_script(
        loading_site,
        """
        import json, warnings
        import dagnet
        from dagnet.registry import tables
        tables.SLOW_SECONDS = 0.2
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = sorted(dagnet.activations())
            net = dagnet.Network(dagnet.layered([2, 3, 1], activation="good"), seed=0)
            loss = net.fit([[0.0, 1.0], [1.0, 0.0]], [1.0, 2.0], epochs=20, seed=0)["loss"]
        messages = [str(w.message) for w in caught if w.category is dagnet.DagnetWarning]
        print(json.dumps([messages, found, loss[0] > loss[-1], len(caught)]))
        """,
    )
    messages, found, trains, warned = shown
    assert len(messages) == warned
    messages = [text for text in messages if "distribution 'dagnet-" not in text]  # installed here, and slow
    for name, (_, words) in LOADING.items():
        mine = [message for message in messages if f"distribution {name!r} 1.0" in message]
        assert len(mine) == 1, name
        assert [word for word in words if word not in mine[0]] == [], mine
        assert "DAGNET_DISABLE_PLUGINS=1" in mine[0]
    assert len(messages) == len(LOADING)
    assert {"good", "first", "second", "slow", "relu"} <= set(found)
    assert {"one", "two", "three", "four", "five", "six", "seven", "eight"}.isdisjoint(found)
    assert trains


def test_the_command_line_lists_what_is_left_and_says_what_is_left_out(loading_site):
    out, err = run(loading_site, "-m", "dagnet", "plugins")
    assert re.search(r"activations +good +good-wiring 1\.0", out)
    assert re.search(r"activations +second +second-of-one-name 1\.0", out)
    for name, (_, words) in LOADING.items():
        assert (name in err) == ("are left out" in words)


def test_nothing_is_loaded_for_an_import_or_for_help(tmp_path):
    install(tmp_path, "loud-wiring", "raise SystemExit('loaded')", "plugin = loud_wiring")
    done = "import sys, dagnet; sys.exit('loud_wiring' in sys.modules)"
    run(tmp_path, "-c", done)
    for arguments in (["--help"], ["plugins", "--help"]):
        out, err = run(tmp_path, "-m", "dagnet", *arguments)
        assert out.startswith("Usage:")
        assert "loud" not in out + err


NUMBERS = """
import json, warnings
import dagnet

said = {}
for name in NAMES:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            spec = {"loss": name} if name.startswith("loss") else {}
            graph = dagnet.layered([1, 1], output_activation="good" if spec else name)
            net = dagnet.Network(graph, dtype="float32", initializer="constant(1.0)", **spec)
            net.fit([[1.0], [3.0]], [1.0, 3.0], epochs=1, shuffle=False)
            assert net([[1.0]]).dtype == net.predict([[1.0]]).dtype == "float32"
        except dagnet.DagnetError as error:
            said[name] = [type(error).__name__, str(error)]
        else:
            said[name] = ["trained", " ".join(str(warning.message) for warning in caught)]
print(json.dumps(said))
"""
FAULTS = {
    "licensed": ("PluginError", "no licence"),
    "doubles": ("trained", "function gives float64 for float32"),
    "nothing": ("NumericalError", "activation 'nothing' of bad-numbers 1.0 at z = 1"),
    "hole": ("NumericalError", "activation 'hole' of bad-numbers 1.0 at z = 3"),
    "loss_predicts": ("PluginError", "predict: result for (2, 1) numbers must be float32 of shape (2, 1)"),
    "loss_doubles": ("trained", "value gives float64 for float32"),
    "loss_hole": ("NumericalError", "loss 'loss_hole' of bad-numbers 1.0 at node 'eta' became nan in row 1"),
    "good": ("trained", ""),
}


def test_each_fault_at_work_is_one_message_that_names_its_distribution(working_site):
    said = run_script(working_site, NUMBERS.replace("NAMES", repr(list(FAULTS))))
    for name, (kind, words) in FAULTS.items():
        assert said[name][0] == kind, said[name]
        assert words in said[name][1]
        assert ("bad-numbers 1.0" in said[name][1]) == (name != "good")


def test_an_activation_that_is_nan_everywhere_is_pointed_out_before_it_trains(working_site):
    shown = run_script(
        working_site,
        """
        import json, warnings
        import dagnet
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            dagnet.Network(dagnet.layered([1, 1], output_activation="nothing"))
            dagnet.Network(dagnet.layered([1, 1], output_activation="nothing"))
        print(json.dumps([[str(w.message), w.filename] for w in caught]))
        """,
    )
    assert len(shown) == 1
    assert shown[0][0].startswith("activation 'nothing' of bad-numbers 1.0: function gives NaN for all")
    assert shown[0][0].endswith("`dagnet plugins check nothing` says more")
    assert shown[0][1] == "<string>"


def test_the_list_of_plugins_shows_which_are_refused_and_hides_no_other(working_site):
    out, _ = run(working_site, "-m", "dagnet", "plugins")
    assert re.search(r"activations +licensed +bad-numbers 1\.0 +refused: activation 'licensed' of", out)
    assert re.search(r"activations +good +good-wiring 1\.0 +(compiled|NumPy)", out)
    assert re.search(r"activations +relu +dagnet", out)


def test_the_kit_on_the_command_line_tells_good_from_bad(working_site):
    out, _ = run(working_site, "-m", "dagnet", "plugins", "check", "bad-numbers", "relu", code=1)
    for name in FAULTS:
        if name != "good":
            assert re.search(rf"(activation|loss) {name}: \d+ of \d+ checks fail", out), name
    assert "gives float64 of shape" in out
    assert re.search(r"activation relu: passes \d+ checks", out)
