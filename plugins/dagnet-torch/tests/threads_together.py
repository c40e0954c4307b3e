"""Threads in the place of processes, and a network of every kind, for the tests."""

import threading
import warnings

import networkx as nx
import numpy as np
from dagnet_torch import sharing

import dagnet


class Threads(sharing.Processes):
    """One of some threads, which tell each other arrays at a barrier."""

    def __init__(self, rank, room, barrier):
        self.rank, self.size, self.room, self.barrier = rank, len(room), room, barrier

    def gather(self, array):
        self.room[self.rank] = np.array(array)
        self.barrier.wait(60)
        found = np.stack(self.room)
        self.barrier.wait(60)
        return found

    def sum(self, array):
        return self.gather(array).sum(axis=0)


def together(n, train):
    """What ``train(processes)`` gives in each of n threads; the first error that is not of having waited."""
    room, barrier, found, errors = [None] * n, threading.Barrier(n), [None] * n, []

    def run(rank):
        try:
            found[rank] = train(Threads(rank, room, barrier))
        except BaseException as error:  # noqa: BLE001 - raised in the test
            errors.append(error)
            barrier.abort()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dagnet.DagnetWarning)
        threads = [threading.Thread(target=run, args=(rank,)) for rank in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if errors:
        raise next((one for one in errors if not isinstance(one, threading.BrokenBarrierError)), errors[0])
    return found


def every_kind():
    """Shared weights with factors, bounds, frozen edges, dropped terms, aggregations, what nodes learn."""
    graph = nx.DiGraph()
    graph.add_node("word", categories=["low", "mid", "high"])
    graph.add_nodes_from(["a", "b"], dropout=0.1, center=0.5, scale=2.0)
    kinds = [
        {"units": 3, "normalization": "layer"},
        {"aggregation": "product", "normalization": "batch(momentum=0.2)"},
        {"aggregation": "max", "activation": "prelu"},
        {"aggregation": "mean", "normalization": "batch", "units": 2, "dropout": 0.3},
        {"aggregation": "min", "share": "bias"},
        {"activation": "tanh", "share": "bias"},
    ]
    names = [f"h{k}" for k in range(len(kinds))]
    for name, words in zip(names, kinds, strict=True):
        graph.add_node(name, **words)
        graph.add_edges_from((parent, name) for parent in ("word", "a", "b"))
    graph.add_edge("a", "h5", share="w", factor=2.0)
    graph.add_edge("b", "h5", share="w", factor=-0.5)
    graph.add_edge("a", "h4", trainable=False)
    graph.add_edge("b", "h2", bounds=(0.0, 0.5), l2=0.1)
    graph.add_edges_from((name, "y") for name in names)
    graph.add_edge("b", "y", dropout=0.3)
    return graph


ROWS = 71
RNG = np.random.default_rng(5)
TABLE = {
    "word": RNG.choice(["low", "mid", "high"], ROWS),
    **{name: RNG.normal(size=ROWS) for name in ("a", "b")},
}
Y = TABLE["a"] * TABLE["b"] + (TABLE["word"] == "low")


def fitted(processes=None, blocks=None, graph=every_kind, **more):
    """A network of every kind after some steps of 30 and 11 rows, and its history."""
    words = {"engine": more.pop("engine", "compiled"), "dtype": more.pop("dtype", "float64")}
    net = dagnet.Network(graph(), outputs=["y"], seed=0, threads=2, **words)
    arguments = {"epochs": 4, "batch_size": 30, "seed": 1, **more}
    history = net.fit(TABLE, Y, distributed=processes, blocks=blocks, **arguments)
    return net.vector.copy(), history.to_dict()


def same(found, others):
    return all(np.array_equal(found[0], vector) and found[1] == history for vector, history in others)
