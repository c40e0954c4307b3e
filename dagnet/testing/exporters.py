"""What an exporter must do, one check a sentence."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO

import networkx as nx
import numpy as np

from dagnet.contracts import Exporter, Observations
from dagnet.errors import DagnetError
from dagnet.network import Network
from dagnet.testing.graphs import networks, small_network
from dagnet.testing.outcomes import Check, must, same_bits

Reader = Callable[[BinaryIO], Any]


def _rows() -> Observations:
    return Observations(np.array([[0.5, -1.0], [2.0, 0.25], [-1.5, 1.0]]), np.array([1.0, 0.0, 1.0]))


def _written(exporter: Exporter, net: Network, observations: Observations | None = None) -> bytes:
    stream = io.BytesIO()
    exporter.write(net, stream, observations)
    must(not stream.closed, "it closes the stream; the caller does that")
    return stream.getvalue()


def check_it_writes_a_file(exporter: Exporter) -> None:
    """With rows, with rows and targets, and without; to the stream, which stays open."""
    net = small_network()
    for observations in (None, Observations(_rows().X), _rows()):
        must(_written(exporter, net, observations), "it writes nothing to the stream")


def check_the_network_is_not_changed(exporter: Exporter) -> None:
    """Not one bit of its parameters."""
    net = small_network()
    before = net.parameters.copy()
    _written(exporter, net, _rows())
    must(same_bits(before, net.parameters), "it changes the network's parameters")


def check_the_rows_are_not_written(exporter: Exporter) -> None:
    """Neither X nor y."""
    given, before = _rows(), _rows()
    _written(exporter, small_network(), given)
    same = same_bits(given.X, before.X) and same_bits(given.y, before.y)
    must(same, "it writes to the rows or the targets")


def check_its_own_reader_reads_the_same_network(exporter: Exporter) -> None:
    """Where it has one: the graph that comes back builds the same network, to the bit."""
    if exporter.read is None:
        return
    for name, net in (("a small network", small_network()), *networks("float64"), *networks("float32")):
        again = Network(exporter.read(io.BytesIO(_written(exporter, net))), threads=1)
        kept = {
            "other nodes or edges": (net.nodes, net.edges) == (again.nodes, again.edges),
            "other inputs or outputs": (net.inputs, net.outputs) == (again.inputs, again.outputs),
            f"the loss {again.loss}, not {net.loss}": str(net.loss) == str(again.loss),
            "other parameters": same_bits(net.parameters, again.parameters),
            "other frozen weights": np.array_equal(net.trainable, again.trainable),
        }
        for what, same in kept.items():
            must(same, f"{name} comes back with {what}")
        X = np.random.default_rng(0).normal(size=(5, net.layout.plan.n_inputs))
        near = np.allclose(net(X), again(X), rtol=1e-4, atol=1e-5)
        must(near, f"{name} comes back and gives other outputs")


def check_odd_names_come_back_or_are_refused(exporter: Exporter) -> None:
    """Names of any script, numbers and pairs: as they were, or a clear error."""
    for name in ("α, β", "<&>", 'quote"', "line\nbreak", 7, 2.5, ("a", 1), True):
        net = Network(nx.DiGraph([("x", name), (name, "y")]), threads=1, seed=0)
        try:
            data = _written(exporter, net)
        except DagnetError:
            continue
        if exporter.read is not None:
            again = exporter.read(io.BytesIO(data))
            found = [node for node in again if node == name and type(node) is type(name)]
            must(found, f"the name {name!r} comes back as another: {list(again)}")


def read_by(reader: Reader) -> Check:
    """The check that an independent reader, see ``check_exporter``, finds the graph in the file."""

    def check_an_independent_reader_reads_it(exporter: Exporter) -> None:
        net = small_network()
        graph = reader(io.BytesIO(_written(exporter, net)))
        nodes = sorted(str(node) for node in graph)
        must(nodes == sorted(map(str, net.nodes)), f"an independent reader finds the nodes {nodes}")
        edges = {(str(parent), str(child)): data for parent, child, data in graph.edges(data=True)}
        must(set(edges) == set(net.edges), f"an independent reader finds the edges {sorted(edges)}")
        for edge, weight in net.weights.items():
            found = edges[edge].get("weight")
            near = found is not None and abs(float(found) - weight) <= 1e-6 * abs(weight)
            must(near, f"an independent reader finds the weight {found} on {edge}, not {weight}")

    return check_an_independent_reader_reads_it
