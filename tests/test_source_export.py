"""Networks as source: NumPy alone and C99, against the networks themselves."""

import ast
import ctypes
import functools
import io
import itertools
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from importlib import resources

import networkx as nx
import numpy as np
import pytest
from data.strategies import KINKED, SMOOTH, dags, network, rows_for, seeds
from hypothesis import given, settings
from hypothesis import strategies as st

import dagnet
from dagnet.formats.source.functions import Function
from dagnet.formula import Formula
from dagnet.formula.data import Op
from dagnet.formula.operations import OPERATIONS

GCC = shutil.which("gcc")
needs_gcc = pytest.mark.skipif(GCC is None, reason="there is no gcc here: C is written, but not compiled")
SANITIZED = "-O1 -fsanitize=address,undefined -fno-sanitize-recover=all"
STRICT = ("-Wall", "-Wextra", "-Werror", "-std=c99")
LEARNING = ("prelu", "swish", "prelu(slope=0.5)")
GRAPHS = dags(activations=(*SMOOTH, *KINKED, *LEARNING))
NEAR = {"float32": 1e-6, "float64": 1e-14}


def source(net, kind, **options):
    stream = io.BytesIO()
    dagnet.exporters()[kind].write(net, stream, None, **options)
    return stream.getvalue().decode()


def python(net, **options):
    """The namespace of the Python file, which imports NumPy and nothing else."""
    text = source(net, "python", **options)
    tree, space = ast.parse(text), {}
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imported] == ["import numpy as np"]
    exec(compile(tree, "net.py", "exec"), space)
    return space


def compiled(folder, texts, *flags):
    """One shared object of many files, each with its number behind the names of its functions."""
    names = []
    for number, text in enumerate(texts):
        lines = [f"#define {name} {name}_{number}" for name in ("outputs", "predict", "loss_and_gradient")]
        names.append(folder / f"net{number}.c")
        (folder / f"own{number}.h").write_text(text, encoding="utf-8")
        names[-1].write_text("\n".join([*lines, f'#include "own{number}.h"', ""]), encoding="utf-8")
    made = folder / f"all{len(flags)}.so"
    command = [GCC, *STRICT, *flags, "-shared", "-fPIC", *map(str, names), "-o", str(made), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    return ctypes.CDLL(str(made))


class InC:
    """The functions of one file, for rows."""

    def __init__(self, library, number, net):
        self.library, self.number, self.net = library, number, net
        self.wide = len(net.plan.outputs)

    def _each(self, name, X, *more, width):
        found = np.zeros((len(X), width), self.net.dtype)
        X, *more = (np.ascontiguousarray(array, self.net.dtype) for array in (X, *more))
        function = getattr(self.library, f"{name}_{self.number}")
        kind = ctypes.c_float if self.net.dtype == np.float32 else ctypes.c_double
        function.restype = kind if name == "loss_and_gradient" else None
        given = (
            [ctypes.c_void_p(array[row].ctypes.data) for array in (X, *more, found)] for row in range(len(X))
        )
        results = [function(*pointers) for pointers in given]
        return found, results

    def outputs(self, X):
        return self._each("outputs", X, width=self.wide)[0]

    def predict(self, X):
        return self._each("predict", X, width=self.wide)[0]

    def loss_and_gradient(self, X, y):
        found, losses = self._each("loss_and_gradient", X, y, width=len(self.net.parameters))
        return np.mean(losses, dtype=float), found.mean(axis=0, dtype=float)


def assert_near(ours, theirs, near, slack=0.0):
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    assert ours.shape == theirs.shape
    finite = np.isfinite(theirs)
    np.testing.assert_array_equal(ours[~finite & (slack == 0)], theirs[~finite & (slack == 0)])
    largest = np.abs(theirs[finite]).max(initial=1.0)
    assert (
        np.abs(ours - theirs)[finite] <= near * largest + np.broadcast_to(slack, ours.shape)[finite]
    ).all()


def moved(net, function):
    """How much a result changes when all numbers change in their last places."""
    before, eps = net.parameters.copy(), np.finfo(net.dtype).eps
    start = function()
    worst = np.zeros_like(np.asarray(start, float))
    for by in (4, -4):
        net.parameters[:] = before * (1 + by * eps)
        worst = np.maximum(worst, np.nan_to_num(np.abs(np.asarray(function(), float) - start)))
    net.parameters[:] = before
    return 4 * worst


def targets(net, rows, seed):
    """X, and y as the files take it."""
    X, y = rows_for(net, rows=rows, seed=seed)
    return X, net.encode(X, y).targets


def assert_same(net, file, X, y=None):
    X = X.astype(net.dtype)
    near = NEAR[net.dtype.name]
    with np.errstate(all="ignore"):
        for name, right in (("outputs", net), ("predict", net.predict)):
            theirs = right(X)
            assert_near(getattr(file, name)(X), theirs, near, moved(net, lambda right=right: right(X)))
        if y is not None:
            loss, flat = file.loss_and_gradient(X, y)
            found = net.gradient(X, y)
            slack = moved(net, lambda: net.gradient(X, y).flat)
            assert_near(flat, found.flat, 10 * near, slack)
            assert_near(loss, found.loss, 10 * near, moved(net, lambda: net.gradient(X, y).loss))


class Space:
    """A namespace as attributes."""

    def __init__(self, space):
        self.__dict__.update(space)


@settings(max_examples=40)
@given(graph=GRAPHS, seed=seeds, single=st.booleans(), gradient=st.booleans())
def test_python_is_the_network(graph, seed, single, gradient):
    net = network(graph, seed=seed, dtype="float32" if single else "float64", engine="reference")
    X, y = targets(net, 4, seed)
    assert_same(net, Space(python(net, gradient=gradient)), X, y if gradient else None)


@needs_gcc
@settings(max_examples=2)
@given(graphs=st.lists(GRAPHS, min_size=12, max_size=12), seed=seeds, single=st.booleans())
def test_c_is_the_network(graphs, seed, single, tmp_path_factory):
    kind = "float32" if single else "float64"
    nets = [network(graph, seed=seed, dtype=kind, engine="reference") for graph in graphs]
    library = compiled(tmp_path_factory.mktemp("c"), [source(net, "c", gradient=True) for net in nets], "-O1")
    for number, net in enumerate(nets):
        X, y = targets(net, 3, seed)
        assert_same(net, InC(library, number, net), X, y)


# -- every kind of node and head ----------------------------------------------------------


def chain(*edges, **words):
    graph = nx.DiGraph(edges)
    for node, attributes in words.items():
        graph.add_node(node, **attributes)
    return graph


def made(graph, **arguments):
    return dagnet.Network(graph, engine="reference", **arguments)


def trained(graph, X, y, **arguments):
    net = made(graph, seed=0, **arguments)
    net.fit(X, y, epochs=3, seed=0, progress=False)
    return net


RNG = np.random.default_rng(5)
ROWS = RNG.normal(size=(12, 3))


def nets():
    """Name, network, whether it has a gradient."""
    layer = chain(("x1", "h"), ("x2", "h"), ("x3", "h"), ("h", "k"), ("k", "y"), ("x1", "y"))
    layer.add_node("h", units=5, activation="tanh", normalization="layer")
    layer.add_node("k", units=3, activation="prelu", normalization="layer(before_activation=True)")
    yield "layer", made(layer, seed=3), True
    batch = chain(("x1", "h"), ("x2", "h"), ("x3", "y"), ("h", "y"))
    batch.add_node("h", activation="sigmoid", normalization="batch", dropout=0.25)
    yield "batch", trained(batch, ROWS, ROWS[:, 0] > 0, loss="binary_cross_entropy_with_logits"), False
    heads = chain(*itertools.product(("x1", "x2", "x3"), ("a", "b", "c", "d", "e")))
    loss = {("c", "a", "e"): "cross_entropy", "b": "poisson", "d": "huber(delta=0.25)"}
    yield "heads", made(heads, loss=loss, loss_weights={"b": 0.5}, seed=1), True
    words = chain(("x1", "y"), ("x2", "y"), ("x3", "y"), x2={"categories": ["lo*/w", "h??/i"]})
    yield "categories", made(words, seed=1), True
    yield (
        "standardised",
        made(chain(("x1", "y"), ("x2", "y"), ("x3", "y")), seed=1).standardize(ROWS + 3),
        True,
    )
    tied = chain(("x1", "a"), ("x2", "a"), ("x3", "b"), ("a", "y"), ("b", "y"))
    for edge in (("x1", "a"), ("x3", "b")):
        tied.edges[edge].update(share="one", factor=3.0 if edge[1] == "a" else -0.3)
    tied.edges["b", "y"]["trainable"] = False
    tied.add_node("a", share="both", activation="swish")
    tied.add_node("b", share="both", activation="swish")
    yield "sharing", made(tied, seed=1), True
    hub = nx.DiGraph([(k, "hub") for k in range(5000)] + [("hub", "y"), (0, "y")])
    hub.add_node("hub", activation="tanh", aggregation="mean")
    yield "hub", made(hub, seed=1), True
    deep = nx.path_graph(2001, nx.DiGraph)
    nx.set_node_attributes(deep, dict.fromkeys(range(1, 2001), "tanh"), "activation")
    yield "deep", made(deep, seed=1), True
    yield "dense", made(dagnet.layered([3, 40, 30, 2], activation="gelu"), seed=1), True
    yield "an input is an output", made(chain(("x1", "y"), ("x2", "y")), outputs=["x1", "y"], seed=1), True
    every = nx.DiGraph()
    for k, name in enumerate(dagnet.activations()):
        every.add_node(name, activation=name)
        every.add_edges_from([("x1", name), ("x2", name), (name, f"y{k}")])
    yield "every activation", made(every, seed=1), True
    odd = [
        "class",
        "lambda",
        "predict",
        "np",
        "X",
        "*/ int x;",
        "a??/",
        "tail\\",
        "two\nlines",
        "δ\u202e",
        '"""',
        "${theta}",
    ]
    odd += ["%s", "f_tanh", "layer", "sums", "aggregate", "a b", "a_b", "a-b", "# -*- coding: latin-1 -*-"]
    yield "odd names", made(nx.DiGraph(itertools.product(odd, ("out*/", "o??/ut"))), seed=1), True


@functools.cache
def all_nets():
    """In one precision and the other, in turn: name, network, whether it has a gradient."""
    kinds = itertools.cycle(NEAR)
    return [
        (f"{name}, {kind}", made(net.to_networkx(), dtype=kind), gradient)
        for kind, (name, net, gradient) in zip(kinds, nets(), strict=False)
    ]


@contextmanager
def about(name):
    try:
        yield
    except Exception as error:
        error.add_note(name)
        raise


def rows_of(net, gradient):
    X, y = RNG.normal(size=(3, net.plan.n_inputs)), None
    if gradient:
        y = RNG.integers(0, 2, (3, sum(net.objective.sizes.values()))).astype(float)
        for head, _, columns in net.objective.each():
            if head.loss.targets == "class":
                y[:, columns] = np.eye(len(columns))[[0, 2, 1]]
    return X, y


def test_every_kind_in_python():
    for name, net, gradient in all_nets():
        with about(name):
            assert_same(net, Space(python(net, gradient=gradient)), *rows_of(net, gradient))


@needs_gcc
def test_every_kind_in_c(tmp_path):
    texts = [source(net, "c", gradient=gradient) for _, net, gradient in all_nets()]
    library = compiled(tmp_path, texts, "-O1")
    for number, (name, net, gradient) in enumerate(all_nets()):
        with about(name):
            assert_same(net, InC(library, number, net), *rows_of(net, gradient))


@needs_gcc
@pytest.mark.parametrize(
    "flags", ["", "-O2", "-O3", "-O1 -fsanitize=address,undefined -fno-sanitize-recover=all"]
)
def test_c_compiles_without_a_warning_and_runs_clean(flags, tmp_path):
    """With sanitizers a program of its own: these have to be there from the start."""
    wanted = {"layer", "heads", "odd names", "sharing"}
    lines = []
    for name, net, _ in all_nets():
        if name.partition(",")[0] not in wanted:
            continue
        sizes = (
            net.plan.n_inputs,
            len(net.plan.outputs),
            len(net.parameters),
            sum(net.objective.sizes.values()),
        )
        (tmp_path / "net.c").write_text(source(net, "c", gradient=True), encoding="utf-8")
        arrays = ", ".join(f"{array}[{size}]" for array, size in zip("xygt", sizes, strict=True))
        calls = "predict(x, y);\n    loss_and_gradient(x, t, g);"
        main = f"int main(void)\n{{\n    static real {arrays};\n    {calls}\n"
        (tmp_path / "main.c").write_text(f'#include "net.c"\n{main}    return 0;\n}}\n', encoding="utf-8")
        lines.append(
            [GCC, *STRICT, *flags.split(), str(tmp_path / "main.c"), "-o", str(tmp_path / "main"), "-lm"]
        )
        for command in (lines[-1], [str(tmp_path / "main")]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, name + done.stderr[:2000]
    assert len(lines) == len(wanted)


# -- files, options, refusals -------------------------------------------------------------


def small(**arguments):
    graph = chain(("x1", "h"), ("x2", "h"), ("h", "y"), h={"activation": "sigmoid", "bias": 0.25})
    nx.set_edge_attributes(graph, {("x1", "h"): 0.5, ("x2", "h"): -1.5, ("h", "y"): 2.0}, "weight")
    return made(graph, **arguments)


def test_a_person_reads_it():
    text = source(small(), "python")
    assert "# h = sigmoid(0.5·x1 − 1.5·x2 + 0.25)\n# y = 2·h\n" in text
    assert "    0.5,  # h" not in text
    assert "    0.5, -1.5,  # h\n    2.0,  # y\n    0.25,  # h\n" in text
    assert re.search(r"def sigmoid\(z\):\n    .*\n    return t", text)
    assert "loss_and_gradient" not in text.split('"""', 2)[2]
    assert "X_COLUMNS = ('x1', 'x2')\nY_COLUMNS = ('y',)" in text
    text = source(small(dtype="float32"), "c")
    assert "/* h = sigmoid(0.5·x1 − 1.5·x2 + 0.25) */" in text
    assert "typedef float real;" in text
    assert "expf(-fabsf(z))" in text


@needs_gcc
def test_functions_may_have_any_name(tmp_path):
    """Keywords, names of the file's own, other scripts; minus signs side by side."""
    names = {"lambda": -2.0, "δx": 0.5, "len": -3.0, "np": 1.5, "gamma": 1e300, "register": np.inf}
    graph = nx.path_graph(["x", *names], nx.DiGraph)
    for name, by in names.items():
        form = dagnet.Activation(
            name, lambda z, p: np.where(z > -p, -p, np.tanh(z) - p), parameters={"p": by}
        )
        graph.add_node(name, activation=form)
    for kind in NEAR:
        net = made(graph, seed=2, dtype=kind, outputs=[*names])
        X = np.linspace(-2, 2, 5)[:, None]
        (folder := tmp_path / kind).mkdir()  # a library of the same path is loaded once
        library = compiled(folder, [source(net, "c", gradient=True)])
        for file in (Space(python(net, gradient=True)), InC(library, 0, net)):
            assert_same(net, file, X)


def test_rows_are_checked(tmp_path):
    space = python(small(), gradient=True)
    assert space["predict"]([1.0, 2.0]).shape == (1, 1)
    with pytest.raises(ValueError, match=r"X must be of shape \(rows, 2\), got \(1, 3\)"):
        space["predict"]([[1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match=r"y must be of shape \(rows, 1\), got \(2, 2\)"):
        space["loss_and_gradient"]([[1.0, 2.0]] * 2, np.zeros((2, 2)))


def test_export_writes_it_and_nothing_else_needs_dagnet(tmp_path):
    net = small()
    net.export(tmp_path / "net.py", gradient=True)
    net.export(tmp_path / "net.c")
    assert (tmp_path / "net.c").read_text(encoding="utf-8") == source(net, "c")
    script = "import sys; sys.modules['dagnet'] = None; import net; print(net.predict([[1.0, 2.0]])[0, 0])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=tmp_path, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert float(done.stdout) == pytest.approx(net.predict([[1.0, 2.0]])[0, 0], rel=1e-14)
    with pytest.raises(dagnet.DataError, match=r"the suffix '\.py' of 'net\.py' is no known format"):
        dagnet.read_graph(tmp_path / "net.py")


def one(**attributes):
    return chain(("x", "h"), ("h", "y"), h=attributes)


@pytest.mark.parametrize("suffix", [".py", ".c"])
def test_what_cannot_be_written_is_refused_by_name(suffix, tmp_path):
    path = tmp_path / f"net{suffix}"
    path.write_text("what was there")
    crooked = dagnet.Activation("crooked", lambda z: z if (z > 0).all() else 2.0 * z, kinks=[0.0])
    middle = dagnet.Loss("middle", lambda o, t: (o - t)[:, 0] ** 2, predict=lambda o: np.sort(o, axis=1))
    together = dagnet.Loss("together", lambda o, t: ((o - t) ** 2).sum(axis=1), rowwise=False)
    graph = one()
    cases = [
        (
            made(chain(("x", "h"), ("h", "y"), h={"activation": crooked})),
            {},
            "activation 'crooked' has no formula",
        ),
        (made(graph, loss=middle), {}, "predict of loss 'middle' has no formula"),
        (made(graph, loss=together), {"gradient": True}, "loss 'together' has no formula .couples rows."),
        (
            made(chain(("x", "h"), ("h", "y"), h={"dropout": 0.5})),
            {"gradient": True},
            "cannot be with dropout",
        ),
        (
            made(chain(("x", "h"), ("h", "y"), h={"normalization": "batch"})),
            {"gradient": True},
            "batch normal",
        ),
        (made(graph), {"gradient": 2}, "gradient must be True or False, got 2"),
        (made(graph), {"gradients": True}, rf"'gradients' is an option of no format, not of \{suffix}"),
    ]
    for net, options, match in cases:
        with pytest.raises(dagnet.DagnetError, match=match):
            net.export(path, **options)
    broken = made(graph)
    broken.parameters[:] = np.nan
    with pytest.raises(dagnet.NumericalError, match="finite"):
        broken.export(path)
    made(graph, loss=together).export(tmp_path / f"other{suffix}")
    assert path.read_text() == "what was there"
    assert sorted(item.name for item in tmp_path.iterdir()) == sorted([path.name, f"other{suffix}"])


def test_another_format_has_no_gradient(tmp_path):
    with pytest.raises(dagnet.DataError, match=r"'gradient' is an option of \.py, \.c, not of \.json"):
        small().export(tmp_path / "net.json", gradient=True)
    assert not list(tmp_path.iterdir())


SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -2.5, 3.0, 1e-3, -700.0)


def operation_alone(name, entry):
    """A formula of one operation, of numbers; what reads yes or no reads their signs."""
    names = ("z", "a", "targets")[: len(entry.slopes)]
    ops, reads = [Op("argument", value=word) for word in names], [*range(len(names))]
    for k in range(1 if name == "where" else len(names) * name.startswith("logical")):
        ops.append(Op("signbit", (k,), "unit", True))
        reads[k] = len(ops) - 1
    ops.append(Op(name, tuple(reads), "unit", entry.truth))
    if entry.truth:
        ops += [Op("constant", (), "number", value=1.0), Op("constant", (), "number", value=0.0)]
        ops.append(Op("where", (len(ops) - 3, len(ops) - 2, len(ops) - 1), "unit"))
    return Formula(names, tuple(ops), (len(ops) - 1,))


@needs_gcc
def test_each_operation_means_what_numpy_means(tmp_path):
    """At 0, −0, ±∞, NaN and usual numbers; the interpreter is the meaning, and signs of zeros count."""
    template = (resources.files("dagnet.formats.source") / "template.c").read_text("utf-8")
    own = set(re.findall(r"np_\w+", template))
    helpers = [
        block for block in template.split("\n\n") if block.startswith(("static real np_", "static int np_"))
    ]
    code = ["#include <math.h>", "typedef double real;", *(block.split("\n%%")[0] for block in helpers)]
    formulas = {
        name: operation_alone(name, entry) for name, entry in OPERATIONS.items() if name != "positive"
    }
    for name, formula in formulas.items():
        text = Function(formula, {}, "double", own, "into[k] = %s;").text(f"f_{name}")
        code.append(text.removeprefix("static "))
    (tmp_path / "all.c").write_text("\n".join(code).replace("${f}", ""), encoding="utf-8")
    command = [
        GCC,
        *STRICT,
        "-shared",
        "-fPIC",
        str(tmp_path / "all.c"),
        "-o",
        str(tmp_path / "all.so"),
        "-lm",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    library = ctypes.CDLL(str(tmp_path / "all.so"))
    z, a, b = (
        np.array(column) for column in zip(*itertools.product(SPECIAL, SPECIAL, (-1.0, 2.0)), strict=True)
    )
    for name, formula in formulas.items():
        given, found = [z, a, b][: len(formula.arguments)], np.zeros_like(z)
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (*given, z)]
        getattr(library, f"f_{name}")(*pointers, len(z), ctypes.c_void_p(found.ctypes.data))
        with about(name), np.errstate(all="ignore"):
            np.testing.assert_allclose(found, formula(*given), rtol=4e-15)


def test_no_rows_have_no_outputs(tmp_path):
    graph = dagnet.layered([2, 2, 1])
    graph.nodes["h11"].update(normalization="layer", units=2)
    path = tmp_path / "net.py"
    dagnet.Network(graph, seed=0).export(path)
    names = {}
    exec(compile(path.read_text("utf-8"), str(path), "exec"), names)
    assert names["predict"](np.zeros((0, 2))).shape == (0, 1)
