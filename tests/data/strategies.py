"""The one hypothesis strategy for graphs, ``dags()``, and data that suits them.

A drawn graph says all that it needs in its attributes and in ``graph.graph["dagnet"]``, so that
``network(graph)`` is enough.  Structure is drawn by hypothesis and shrinks; numbers come from a
drawn seed.
"""

import warnings

import networkx as nx
import numpy as np
from hypothesis import note
from hypothesis import strategies as st

import dagnet

SMOOTH = (
    *("identity", "sigmoid", "tanh", "softplus", "softplus(beta=2.0)", "silu", "gelu(approximate='tanh')"),
    *("softsign", "sin", "gaussian", "atan", "square", "log_sigmoid", "mish"),
)
KINKED = ("relu", "leaky_relu", "leaky_relu(negative_slope=0.2)", "elu(alpha=0.5)", "hard_tanh")
AGGREGATIONS = ("sum", "mean", "product", "max", "min")
LOSSES = (
    *("squared_error", "absolute_error", "huber(delta=0.5)", "huber"),
    *("binary_cross_entropy_with_logits", "poisson", "cross_entropy"),
)
ODD_NAMES = (
    *(0, 1, -3, 10**20, 2.5, float("inf"), "", " ", "a", "it's", 'say "x"', "δ", "x\n1", "None", "1"),
    *((0, 1), ("a", 2), ("a", ("b", 1.5)), (), (1,), (1, 2, 3)),
)
FACTORS = (2.0, -0.5, 4.0)
"""Powers of two, so that weights come back from files to the bit."""


@st.composite
def dags(
    draw,
    *,
    max_nodes=8,
    units=True,
    shared=True,
    drawn_weights=True,
    activations=SMOOTH + KINKED,
    losses=LOSSES,
):
    """A graph with all that a graph may have.

    Skip edges, several outputs, isolated and constant nodes, outputs that feed others, inputs
    that are outputs, odd node names (among them pairs that are also edges), graphs of one node,
    ``units=k``, shared and frozen weights, factors, bounds and penalties of edges, no biases and
    frozen ones, centers and scales, mixed activations in name and call form, aggregations.
    ``drawn_weights=False``: all weights are given.
    """
    n = draw(st.integers(1, max_nodes))
    parents = [draw(st.sets(st.integers(0, k - 1), max_size=4)) if k else set() for k in range(n)]
    names = draw(_names(n, parents))
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = [draw(st.sampled_from((1, 1, 1, 1, 2, 3))) if units else 1 for _ in range(n)]
    parentless = [k for k in range(n) if not parents[k]]
    inputs = draw(st.permutations(parentless))[: draw(st.integers(1, len(parentless)))]
    outputs = draw(_outputs(n, parents))
    graph = nx.DiGraph()
    for k in draw(st.permutations(range(n))):
        attributes = (
            _input(draw, numbers, sizes[k]) if k in inputs else _other(draw, numbers, sizes[k], activations)
        )
        graph.add_node(names[k], **attributes)
    edges = draw(st.permutations([(p, k) for k in range(n) for p in sorted(parents[k])]))
    for p, k in edges:
        shape = (sizes[k], sizes[p])
        graph.add_edge(names[p], names[k], **_edge(draw, numbers, shape, drawn_weights))
    if shared:
        _share(draw, graph)
    width = sum(sizes[k] for k in outputs)
    loss = draw(st.sampled_from([name for name in losses if width > 1 or name != "cross_entropy"]))
    graph.graph["dagnet"] = {
        "inputs": [names[k] for k in inputs],
        "outputs": [names[k] for k in outputs],
        "loss": loss,
    }
    note(f"nodes: {dict(graph.nodes(data=True))}\nedges: {list(graph.edges(data=True))}\n{graph.graph}")
    return graph


@st.composite
def _names(draw, n, parents):
    if draw(st.booleans()):
        return [f"n{k}" for k in range(n)]
    names = list(draw(st.permutations(ODD_NAMES)))[:n]
    names += [f"n{k}" for k in range(len(names), n)]
    for k in range(2, n):  # a name that is also an edge among the nodes before it
        pairs = [(names[p], names[c]) for c in range(k) for p in parents[c]]
        if pairs and draw(st.integers(0, 3)) == 0:
            pair = draw(st.sampled_from(pairs))
            if pair not in names:
                names[k] = pair
    return names


@st.composite
def _outputs(draw, n, parents):
    childless = [k for k in range(n) if parents[k] and not any(k in others for others in parents)]
    if childless and draw(st.booleans()):
        return childless
    return draw(st.permutations(range(n)))[: draw(st.integers(1, min(n, 3)))]


def _number(numbers, shape=(), reach=1.0):
    values = np.round(numbers.uniform(-reach, reach, shape), 3)
    return float(values) if shape == () else values


def _input(draw, numbers, size):
    attributes = {} if size == 1 else {"units": size}
    if draw(st.integers(0, 4)) == 0:
        attributes |= {"center": _number(numbers), "scale": abs(_number(numbers)) + 0.5}
    elif size > 1 and draw(st.integers(0, 4)) == 0:
        attributes |= {"center": _number(numbers, (size,)), "scale": _number(numbers, (size,)) + 2}
    return attributes


def _other(draw, numbers, size, activations):
    attributes = {} if size == 1 else {"units": size}
    if draw(st.integers(0, 2)):
        attributes["activation"] = draw(st.sampled_from(activations))
    if draw(st.integers(0, 2)) == 0:
        kinked = set(activations) & set(KINKED)
        attributes["aggregation"] = draw(st.sampled_from(AGGREGATIONS if kinked else AGGREGATIONS[:3]))
    bias = draw(st.sampled_from(("number", "number", "number", "array", "array", "absent", True, False)))
    if bias == "number":
        attributes["bias"] = _number(numbers)
    elif bias == "array":
        attributes["bias"] = _number(numbers, (size,)).tolist()
    elif bias != "absent":
        attributes["bias"] = bias
    if draw(st.integers(0, 5)) == 0:
        attributes["trainable"] = False
    return attributes


def _edge(draw, numbers, shape, drawn_weights):
    kind = draw(st.sampled_from(("number", "array", *(("absent",) if drawn_weights else ()))))
    attributes = {} if draw(st.integers(0, 5)) else {"trainable": False}
    if kind == "number":
        attributes["weight"] = _number(numbers)
    elif kind == "array":
        attributes["weight"] = _number(numbers, shape)
    extras = {"factor": draw(st.sampled_from(FACTORS)), "bounds": (-20.0, None), "l2": 0.01}
    return attributes | {word: value for word, value in extras.items() if draw(st.integers(0, 7)) == 0}


def _share(draw, graph):
    """Put some edges of one shape under one key; the first says what the weight is."""
    by_shape = {}
    for u, v in graph.edges:
        shape = (graph.nodes[v].get("units", 1), graph.nodes[u].get("units", 1))
        by_shape.setdefault(shape, []).append((u, v))
    for shape, edges in sorted(by_shape.items()):
        if len(edges) < 2 or draw(st.integers(0, 2)):
            continue
        members = draw(st.lists(st.sampled_from(edges), min_size=2, max_size=4, unique=True))
        first = dict(graph.edges[members[0]])
        for u, v in members:
            graph.edges[u, v].clear()
            graph.edges[u, v].update(first, share=draw(st.just(("key", shape))))


def network(graph, **arguments):
    """``dagnet.Network`` without the warning that no input reaches some output."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no input reaches", dagnet.DagnetWarning)
        return dagnet.Network(graph, **arguments)


def rows_for(net, *, rows, seed, reach=2.0):
    """X (rows, input units) and y that suit a network and its loss."""
    rng = np.random.default_rng(seed)
    width_in = len(net.topology.center)
    width_out = int(net.topology.units[net.topology.outputs].sum())
    X = rng.uniform(-reach, reach, (rows, width_in))
    match net.loss.targets:
        case "binary" | "probability":
            y = rng.integers(0, 2, (rows, width_out)).astype(float)
        case "count":
            y = rng.poisson(2.0, (rows, width_out)).astype(float)
        case "class":
            return X, rng.integers(0, width_out, rows)
        case _:
            y = rng.uniform(-reach, reach, (rows, width_out))
    return X, y[:, 0] if width_out == 1 else y


seeds = st.integers(0, 2**32 - 1)
row_counts = st.sampled_from((1, 2, 5))
