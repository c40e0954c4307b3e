"""The worm: the wiring of C. elegans learns to read digits with two gains for all of its synapses.

Cook et al. (2019), https://doi.org/10.1038/s41586-019-1352-7, the hermaphrodite, as the package ``cect``
ships it: which cell sends to which through how many chemical synapses and gap junctions.
"""

import json
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import dagnet

CECT = find_spec("cect")  # found, not imported: its files are all that is needed
pytestmark = pytest.mark.skipif(CECT is None, reason="needs cect's data: pip install --no-deps cect")
GABA = (  # noqa: SIM905
    "DD1 DD2 DD3 DD4 DD5 DD6 VD1 VD2 VD3 VD4 VD5 VD6 VD7 VD8 VD9 VD10 VD11 VD12 VD13 "
    "RMED RMEL RMER RMEV AVL DVB RIS"
).split()
"""McIntire, Jorgensen, Kaplan and Horvitz (1993), https://doi.org/10.1038/364337a0: all 26."""
SENSES = "ADE ADF ADL AFD ALM ASE ASG ASH ASI ASJ ASK AVM AWA AWB AWC BAG CEP FLP IL1 IL2 OLL OLQ "
SENSES = tuple((SENSES + "PDE PHA PHB PLM PQR PVD PVM URX URY").split())
MUSCLES = ("MDL", "MDR", "MVL", "MVR", "mu_")  # of the body wall, and of the gut
PIXELS, DIGITS = [f"pixel {i}" for i in range(64)], list(range(10))


def wiring():
    """(from, to, count) of chemical synapses and of gap junctions, between cells."""
    folder = Path(CECT.submodule_search_locations[0])
    found = json.loads((folder / "cache" / "Cook2019HermReader.json").read_text())
    cells = found["nodes"]
    for kind in ("Generic_CS", "Generic_GJ"):
        counts = np.array(found["connections"][kind])
        yield [(cells[u], cells[v], counts[u, v]) for u, v in np.argwhere(counts) if u != v]


def worm():
    """Pixels to senses, muscles to digits, and in between the worm, its cycles broken.

    A cell has a graded potential and, with chemical synapses, a terminal that releases its transmitter,
    whose sign it has; gap junctions leave the cell itself.  All of one kind have one gain: a weight is
    the count times it.
    """
    chemical, gap = wiring()
    graph = nx.DiGraph()
    for u, v, count in chemical:
        sign, terminal = -1 if u in GABA else 1, ("terminal of", u)
        graph.add_node(terminal, activation="relu", bias=False, sign=sign)
        graph.add_edge(u, terminal, weight=1.0, trainable=False)
        graph.add_edge(terminal, v, share="chemical", factor=sign * count, weight=0.01 * sign * count)
    for u, v, count in gap:
        if u.startswith(MUSCLES):
            continue  # what a muscle does is read and goes no further
        graph.add_edge(u, v, share="gap", factor=count, weight=0.01 * count, bounds=(0, None))
    cells = [cell for cell in graph if isinstance(cell, str)]
    graph.add_edges_from(product(PIXELS, [cell for cell in cells if cell.startswith(SENSES)]))
    graph.add_edges_from(product([cell for cell in cells if cell.startswith(MUSCLES)], DIGITS))
    return dagnet.prepare_graph(graph, PIXELS, DIGITS, cycles="break")


def synapses(net, kind):
    """(edge, count with its sign, weight) of all that share a gain."""
    edges = net.to_networkx().edges(data=True)
    return [
        ((u, v), said.get("factor", 1), net.weights[u, v])
        for u, v, said in edges
        if said.get("share") == kind
    ]


def refuse_violations(net):
    """Every synapse is its count times the one gain of its kind, and has the sign of its sender."""
    for kind in ("chemical", "gap"):
        _, counts, weights = zip(*synapses(net, kind), strict=True)
        gains = np.divide(weights, counts)
        np.testing.assert_allclose(gains, gains[0], rtol=1e-12)
        assert gains[0] >= 0
    sent = [(terminal[1], weight) for (terminal, _), _, weight in synapses(net, "chemical")]
    assert {neuron for neuron, _ in sent} >= set(GABA)
    assert all(weight <= 0 if neuron in GABA else weight >= 0 for neuron, weight in sent)


def test_the_acyclic_part_of_the_worm_is_drawn_as_it_was_found():
    graph, report = worm()
    assert len(GABA) == len(set(GABA)) == 26
    assert nx.is_directed_acyclic_graph(graph)
    assert graph.graph["dagnet"]["inputs"] == PIXELS
    assert graph.graph["dagnet"]["outputs"] == DIGITS
    assert not {cell for cell in report.not_fed if cell in GABA} | {
        cell for cell in report.idle if cell in GABA
    }
    net = dagnet.Network(graph, seed=0)
    for kind, drawn in zip(("chemical", "gap"), wiring(), strict=True):
        counted = {(("terminal of", u) if kind == "chemical" else u, v): count for u, v, count in drawn}
        there = synapses(net, kind)
        assert len(there) > len(counted) / 3
        assert all(abs(factor) == counted[edge] for edge, factor, _ in there)
    alone = [edge for edge in graph.edges if "share" not in graph.edges[edge]]
    assert len(net.parameters) == len(alone) + len(("chemical", "gap")) + len(net.biases)
    refuse_violations(net)


def test_loss_and_gradients_are_those_of_a_walk_in_pytorch():
    torch = pytest.importorskip("torch")
    graph, _ = worm()
    net = dagnet.Network(graph, activation="tanh", loss="cross_entropy", seed=0)
    rng = np.random.default_rng(0)
    X, y = rng.uniform(size=(12, 64)), rng.integers(0, 10, 12)
    gains = {
        kind: torch.tensor(0.01, dtype=torch.float64, requires_grad=True) for kind in ("chemical", "gap")
    }
    weights = {edge: torch.tensor(float(w), dtype=torch.float64) for edge, w in net.weights.items()}
    biases = {node: torch.tensor(float(b), dtype=torch.float64) for node, b in net.biases.items()}
    for number in (*weights.values(), *biases.values()):
        number.requires_grad_()
    value = dict(zip(PIXELS, torch.tensor(X.T), strict=True))
    for node in nx.topological_sort(graph):
        if node not in value:
            z = biases.get(node, 0.0) + sum(
                value[u] * (said["factor"] * gains[said["share"]] if "share" in said else weights[u, node])
                for u, _, said in graph.in_edges(node, data=True)
            )
            act = torch.relu if isinstance(node, tuple) else torch.tanh
            value[node] = z if node in DIGITS else act(z)
    eta = torch.stack([value[digit] for digit in DIGITS], dim=1)
    loss = torch.nn.functional.cross_entropy(eta, torch.tensor(y))
    loss.backward()
    gradient = net.gradient(X, y)
    assert gradient.loss == pytest.approx(loss.item(), rel=1e-9)
    for edge, w in weights.items():
        said = graph.edges[edge]
        if said.get("trainable", True):
            want = gains[said["share"]].grad / said["factor"] if "share" in said else w.grad
            assert gradient.weights[edge] == pytest.approx(float(want), rel=1e-9, abs=1e-12), edge
    for node, b in biases.items():
        assert gradient.biases[node] == pytest.approx(float(b.grad), rel=1e-9, abs=1e-12), node


def test_digits_are_read_without_a_violation():
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)
    net = dagnet.Network(worm()[0], activation="tanh", loss="cross_entropy", seed=0)
    net.fit(X, y, epochs=40, learning_rate=0.01, seed=0)
    refuse_violations(net)
    accuracy = (net.predict(X_test).argmax(axis=1) == y_test).mean()
    moved = {kind: synapses(net, kind)[0] for kind in ("chemical", "gap")}
    gains = {kind: weight / count for kind, (_, count, weight) in moved.items()}
    print(f"\nworm: accuracy {accuracy:.3f} on {len(y_test)} digits; gains {gains}")
    assert all(abs(gain - 0.01) > 1e-4 for gain in gains.values())
    assert accuracy >= 0.92
