"""plugins/README.md: its code runs, its quotations are the files, its tables are the built-ins."""

import ast
import inspect
import math
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import dagnet
from dagnet import hookspecs, registry

PLUGINS = Path(__file__).parent.parent / "plugins"
FOLDERS = sorted(path.parent for path in PLUGINS.glob("*/pyproject.toml"))
README = (PLUGINS / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SMALL = ("dagnet-example", "dagnet-neat")
BARS = "▁▂▃▄▅▆▇█"
POINTS = np.linspace(-4, 4, 17)
HOOKS = {name: thing for name, thing in vars(hookspecs).items() if name.startswith("dagnet_")}


def code(path, language="python"):
    """The Python of a README, as one script."""
    text = path.read_text(encoding="utf-8")
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def run(script, *paths):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, paths), *sys.path])}
    environment["DAGNET_DISABLE_PLUGINS"] = "1"  # what is installed here must not stand in the way
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def builtins(kind):
    """Name and object of what dagnet itself brings."""
    table = getattr(dagnet, kind)()
    return {name: table[name] for name in table if registry.origin(kind, name).distribution == "dagnet"}


def table_below(heading):
    """The rows of the first table after some words, as lists of cells without backticks."""
    rows = README.split(heading, 1)[1].split("|---", 1)[1].split("\n\n", 1)[0].splitlines()[1:]
    return [
        [re.sub(r"^`([^`]*)`$", r"\1", cell.strip()) for cell in row.strip("|").split("|")] for row in rows
    ]


def test_all_code_runs_in_order():
    run(code(PLUGINS / "README.md"), PLUGINS / "dagnet-example" / "src")


def test_the_examples_readme_runs():
    script = "import dagnet_example, dagnet\ndagnet.register(dagnet_example)\n"
    folder = PLUGINS / "dagnet-example"
    run(script + code(folder / "README.md"), folder / "src")


@pytest.mark.parametrize(
    ("language", "path"),
    [
        ("python", "src/dagnet_example/__init__.py"),
        ("toml", "pyproject.toml"),
        ("python", "tests/test_conformance.py"),
    ],
)
def test_what_is_quoted_is_the_file(language, path):
    assert (language, (PLUGINS / "dagnet-example" / path).read_text(encoding="utf-8")) in BLOCKS


def test_each_hook_is_documented_with_its_signature_and_used():
    written = re.findall(r"^### `(.*)`$", README, re.MULTILINE)
    assert written == [f"{name}{inspect.signature(hook)}".replace("'", "") for name, hook in HOOKS.items()]
    used = code(PLUGINS / "README.md")
    assert [name for name in HOOKS if f"def {name}(self):" not in used] == []


@pytest.mark.parametrize(
    "cls",
    [
        dagnet.Activation,
        dagnet.Aggregation,
        dagnet.Loss,
        dagnet.Initializer,
        dagnet.Exporter,
        dagnet.Attributor,
    ],
)
def test_each_constructor_is_documented_with_its_parameters(cls):
    (written,) = re.findall(rf"`dagnet\.{cls.__name__}(\(.*?\))`", README)
    arguments = ast.parse(f"def f{written}: pass").body[0].args
    given = list(inspect.signature(cls).parameters.values())
    plain = [parameter for parameter in given if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    assert [argument.arg for argument in arguments.args] == [parameter.name for parameter in plain]
    assert [argument.arg for argument in arguments.kwonlyargs] == [p.name for p in given if p not in plain]
    assert len(arguments.defaults) == sum(parameter.default is not parameter.empty for parameter in plain)


def mathematics(**names):
    """What the formulas are written with."""
    erf = np.vectorize(math.erf, otypes=[float])
    words = ("exp", "log", "tanh", "sin", "cos", "abs", "sqrt", "sign", "where", "pi")
    functions = {name: getattr(np, name) for name in words}
    more = {"max": np.maximum, "min": np.minimum, "atan": np.arctan, "erf": erf}
    logistic = {"sigmoid": lambda z: 1 / (1 + np.exp(-z)), "softplus": lambda z: np.log(1 + np.exp(z))}
    softmax = {"softmax": lambda o: np.exp(o) / np.exp(o).sum(axis=1, keepdims=True)}
    return {**functions, **more, **logistic, **softmax, **names}


ACTIVATIONS = {row[0].partition("(")[0]: row for row in table_below("Activations, with")}
LOSSES = {row[0].partition("(")[0]: row for row in table_below("Losses; a row's")}


def test_every_built_in_is_listed_with_its_defaults():
    assert [row[0] for row in ACTIVATIONS.values()] == [*map(str, builtins("activations").values())]
    assert [row[0] for row in LOSSES.values()] == [*map(str, builtins("losses").values())]
    rest = {row[0].partition(",")[0]: row[1] for row in table_below("And the rest:")}
    assert list(rest) == ["initializers", "optimizers", "exporters", "engines"]
    for kind, names in rest.items():
        assert re.findall(r"`(\w+)", names) == list(builtins(kind))
    for kind, make in (("initializers", str), ("optimizers", lambda rule: str(rule()))):
        assert re.findall(r"`(.*?)`", rest[kind]) == [make(item) for item in builtins(kind).values()]
    for exporter in builtins("exporters").values():
        reads = ", reads too" if exporter.read else ""
        assert f"`{exporter.name}` ({exporter.suffix}{reads})" in rest["exporters"]


@pytest.mark.parametrize("name", builtins("activations"))
def test_each_activations_formulas_and_picture_are_its_own(name):
    activation = dagnet.activations()[name]
    _, function, derivative, picture, _ = ACTIVATIONS[name]
    kinks = np.array([*activation.kink_points(), np.inf])
    z = np.random.default_rng(0).uniform(-8, 8, 200)
    z = z[np.abs(z[:, None] - kinks).min(axis=1) > 1e-3]
    a = activation.value(z)
    close = 1e-6 if name == "selu" else 1e-9  # its constants are cut short
    names = mathematics(z=z, a=a, **activation.parameters)
    np.testing.assert_allclose(eval(function, names), a, rtol=close, atol=close)
    slope = np.broadcast_to(eval(derivative, names), z.shape)
    np.testing.assert_allclose(slope, activation.slope(z, a), rtol=close, atol=close)
    heights = activation.value(POINTS)
    heights = 7 * (heights - heights.min()) / (heights.max() - heights.min())
    drawn = np.array([BARS.index(bar) for bar in picture])
    assert np.abs(drawn - heights).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("name", builtins("losses"))
def test_each_losss_formulas_are_its_own(name):
    loss = dagnet.losses()[name]
    _, term, targets, prediction, _ = LOSSES[name]
    rng = np.random.default_rng(0)
    o, t = rng.uniform(0.1, 0.9, (2, 20, 3))
    names = mathematics(o=o, t=t / t.sum(axis=1, keepdims=True), **loss.parameters)
    np.testing.assert_allclose(eval(term, names).sum(axis=1), loss.row_values(o, names["t"]), rtol=1e-12)
    np.testing.assert_allclose(eval(prediction, names), loss.prediction(o), rtol=1e-12)
    assert targets == loss.targets


def test_each_pytorch_name_exists_and_means_the_same():
    torch = pytest.importorskip("torch")
    names = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional}
    z = torch.linspace(-6, 6, 41, dtype=torch.float64)
    for name, row in ACTIVATIONS.items():
        if row[4] == "—":
            continue
        slope = torch.tensor([0.25], dtype=torch.float64)
        extra = {"threshold": (0.0, 0.0), "prelu": (slope,)}.get(name, ())
        theirs = eval(row[4], names)(z, *extra).numpy()
        ours = dagnet.activations()[name].value(z.numpy())
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    for row in LOSSES.values():
        assert callable(eval(row[4], names))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_each_distribution_here_is_small_linked_and_wired(folder):
    assert f"({folder.name})" in README
    if folder.name in SMALL:
        assert len((folder / "README.md").read_text(encoding="utf-8").splitlines()) <= 40
    conformance = folder / "tests" / "test_conformance.py"
    if conformance.exists():
        assert len(conformance.read_text(encoding="utf-8").splitlines()) <= 20
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == folder.name
    assert any(requirement.startswith("dagnet") for requirement in project["dependencies"])
    for module in project.get("entry-points", {}).get("dagnet", {}).values():
        assert (folder / "src" / module / "__init__.py").exists()


def test_links_lead_somewhere_and_the_example_stays_short():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert [link for link in links if "://" not in link and not (PLUGINS / link).exists()] == []
    source = PLUGINS / "dagnet-example" / "src" / "dagnet_example" / "__init__.py"
    assert len([line for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]) <= 30
