"""What every engine must do as the reference engine does it; used by test_engines.py."""

import importlib.util
import math
from collections.abc import Iterator
from contextlib import contextmanager

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet.compiler import DENSE_MINIMUM
from dagnet.contracts import ThreeCalls
from dagnet.model.heads import row_weights
from dagnet.plan import DENSE, SPARSE
from data.strategies import network

SIDE = math.isqrt(DENSE_MINIMUM) + 1
"""A block of so many units with so many parents becomes a dense step."""
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
ROWS = (1, 63, 64, 65, 1000)
TILES = (8, 16, 32, 64)
"""Rows of a tile in the compiled engine."""


def available():
    """The names of all engines that can run here, the reference among them."""
    return [name for name, engine in sorted(dagnet.engines().items()) if engine.unavailable() is None]


@contextmanager
def tiles_of(rows: int) -> Iterator[None]:
    """The compiled engine's tiles have so many rows, or the most that their dtype allows."""
    if importlib.util.find_spec("numba") is None:
        yield
        return
    from dagnet.engine.compiled.segments import TILE_ROWS, Program

    def widths(program: Program) -> tuple[int]:
        return (min(rows, TILE_ROWS[program.dtype.name][-1]),)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Program, "widths", property(widths))
        yield


def assert_alike(got, wanted, dtype, what, scale=None):
    """Equal within the tolerance relative to the array's scale; NaN and infinities in the same places."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert got.shape == wanted.shape, what
    assert got.dtype == wanted.dtype == np.dtype(dtype), what
    finite = np.isfinite(wanted)
    assert (np.isnan(got) == np.isnan(wanted)).all(), what
    assert (got[~finite & ~np.isnan(wanted)] == wanted[~finite & ~np.isnan(wanted)]).all(), what
    scale = np.abs(wanted[finite]).max(initial=1) if scale is None else scale
    assert np.abs(got[finite] - wanted[finite]).max(initial=0) <= TOLERANCE[dtype] * max(scale, 1e-30), what


def pair(graph, engine, dtype="float64", **arguments):
    """One network on the engine and one on the reference engine, with the same parameters."""
    reference = network(graph, engine="reference", dtype=dtype, **arguments)
    net = network(graph, engine=engine, dtype=dtype, **arguments)
    net.parameters[:] = reference.parameters
    assert net.engine == engine
    return net, reference


def everything(net, read):
    """One vector of what ``read`` gives for each node."""
    return np.concatenate([np.asarray(read(node)).ravel() for node in net.nodes])


def assert_conforms(net, reference, X, y, *, wrt=None, sample_weight=None):
    """Call, forward and gradient as the reference engine has them, node by node."""
    dtype = net.dtype.name
    assert_alike(net(X), reference(X), dtype, "outputs")
    ours, theirs = net.forward(X), reference.forward(X)
    assert_alike(ours.outputs, theirs.outputs, dtype, "outputs of forward")
    assert_alike(everything(net, ours.__getitem__), everything(net, theirs.__getitem__), dtype, "values")
    assert_alike(
        everything(net, ours.pre_activation), everything(net, theirs.pre_activation), dtype, "pre-activations"
    )
    one = net.gradient(X, y, wrt=wrt, sample_weight=sample_weight)
    two = reference.gradient(X, y, wrt=wrt, sample_weight=sample_weight)
    assert one.loss == pytest.approx(two.loss, rel=TOLERANCE[dtype], nan_ok=True)
    assert_alike(one.flat, two.flat, dtype, "gradient")
    assert one.visited == two.visited
    assert_alike(everything(net, one.delta), everything(net, two.delta), dtype, "deltas")
    assert_alike(one.inputs, two.inputs, dtype, "gradient for the inputs")
    if wrt is None:
        assert_fused_conforms(net, two, X, y, sample_weight)


def assert_fused_conforms(net, wanted, X, y, sample_weight=None):
    """Forward, loss and backward as one call."""
    fused = net.runner.fused_gradient(net.loss)
    (inputs, targets, weights), dtype = net.encode(X, y, sample_weight), net.dtype.name
    factor = row_weights(weights, len(inputs), net.dtype)
    slots = np.full(net.plan.n_slots, np.nan, net.dtype)
    with np.errstate(all="ignore"):
        loss, bound = fused(net.layout.by_slot(net.parameters), inputs, targets, factor, into=slots)
    assert loss == pytest.approx(wanted.loss, rel=TOLERANCE[dtype], nan_ok=True)
    assert_alike(
        net.layout.by_parameter(slots), wanted.flat, dtype, "gradient found with the loss in one call"
    )
    slots = slots.astype(np.float64)
    assert bound is None or not bound < float(slots @ slots) * (1 - 1e-5)
    return not isinstance(fused, ThreeCalls)


def wide_layers(seed=0):
    """Dense blocks whose parents are contiguous, and sparse layers before them."""
    rng = np.random.default_rng(seed)
    graph = dagnet.layered([6, SIDE, SIDE + 3, 5], activation="tanh")
    for _, _, data in graph.edges(data=True):
        data["weight"] = float(rng.uniform(-0.3, 0.3))
    for node in list(graph)[6:]:
        graph.nodes[node]["bias"] = float(rng.uniform(-0.5, 0.5))
    graph.add_edge("x1", "y1", weight=0.5)
    return graph


def gathered_blocks():
    """Dense blocks whose parents lie apart, of mixed activations, some frozen, one without biases."""
    rng = np.random.default_rng(1)
    graph = nx.DiGraph()
    kinds = ("relu", "tanh", "sigmoid", "square")
    for k in range(2 * SIDE):
        graph.add_edge(f"x{k % 7}", f"a{k}", weight=float(rng.uniform(-1, 1)))
        graph.nodes[f"a{k}"].update(activation=kinds[k % 4], bias=float(rng.uniform(-1, 1)))
    for k in range(2 * SIDE):
        for parent in range(k % 2, 2 * SIDE, 2):
            graph.add_edge(f"a{parent}", f"b{k}", weight=float(rng.uniform(-0.2, 0.2)))
        graph.nodes[f"b{k}"].update(activation=kinds[k % 3], bias=False if k % 4 == 0 else 0.1)
    for k in range(2 * SIDE):
        graph.edges["a0" if k % 2 == 0 else "a1", f"b{k}"]["trainable"] = False
        graph.add_edge(f"b{k}", f"y{k % 3}", weight=float(rng.uniform(-1, 1)))
    return graph


def unit_blocks():
    """Nodes of many units: dense by birth, one shared weight, one skip edge, one odd width."""
    rng = np.random.default_rng(2)
    graph = nx.DiGraph()
    for name, units in (("x", 9), ("a", SIDE), ("b", SIDE), ("c", SIDE), ("y", 3)):
        graph.add_node(name, units=units)
    for name in "abc":
        graph.nodes[name].update(activation="tanh", bias=rng.uniform(-1, 1, SIDE))
    shared = rng.uniform(-0.3, 0.3, (SIDE, SIDE))
    graph.add_edge("x", "a", weight=rng.uniform(-0.3, 0.3, (SIDE, 9)))
    graph.add_edge("a", "b", weight=shared, share="w")
    graph.add_edge("b", "c", weight=shared, share="w")
    graph.add_edge("x", "c", weight=rng.uniform(-0.3, 0.3, (SIDE, 9)), trainable=False)
    graph.add_edge("c", "y", weight=rng.uniform(-0.3, 0.3, (3, SIDE)))
    return graph


GRAPHS = {"wide layers": wide_layers, "gathered blocks": gathered_blocks, "unit blocks": unit_blocks}


def assert_has_both_kinds(plan):
    """A test of dense steps must have some."""
    kinds = set(plan.steps["kind"].tolist())
    assert {DENSE, SPARSE} <= kinds, plan
