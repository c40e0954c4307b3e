"""Size: refusals in under a second, long chains without recursion, queries at the cost of their answer."""

import json
import sys
import time

import networkx as nx
import numpy as np
import pytest

import dagnet

ENGINES = [name for name, engine in dagnet.engines().items() if engine.unavailable() is None]


def slack():
    """Code that is traced, for coverage say, takes about twice as long; the libraries' is not."""
    return 1 if sys.gettrace() is None else 2


class Stopwatch:
    def __enter__(self):
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self.start


def test_a_complete_digraph_is_refused_in_under_a_second():
    graph = nx.complete_graph(300, nx.DiGraph)
    with Stopwatch() as watch, pytest.raises(dagnet.CycleError) as caught:
        dagnet.Network(graph)
    assert watch.seconds < 1
    assert len(caught.value.cycle) >= 2


def test_a_long_path_with_many_sources_that_ends_in_a_cycle_is_refused_in_under_a_second():
    graph = nx.path_graph(3000, nx.DiGraph)
    graph.add_edges_from((f"source {k}", k) for k in range(3000))
    graph.add_edge(2999, 2990)
    with Stopwatch() as watch, pytest.raises(dagnet.CycleError) as caught:
        dagnet.Network(graph)
    assert watch.seconds < 1
    assert sorted(caught.value.cycle) == list(range(2990, 3000))


def test_a_long_cycle_is_shown_in_short():
    with Stopwatch() as watch, pytest.raises(dagnet.CycleError) as caught:
        dagnet.Network(nx.cycle_graph(5000, nx.DiGraph))
    assert watch.seconds < 1
    assert len(caught.value.cycle) == 5000
    assert "(5000 nodes)" in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.slow
def test_a_chain_of_100000_nodes(engine):
    n = 100_000
    graph = nx.path_graph(n, nx.DiGraph)
    nx.set_edge_attributes(graph, 1.0, "weight")
    limit = sys.getrecursionlimit()
    net = dagnet.Network(graph, engine=engine, activation="identity")
    assert sys.getrecursionlimit() == limit
    assert net([[3.0]])[0, 0] == 3.0
    gradient = net.gradient([[3.0]], [1.0])
    assert len(gradient.visited) == n - 1
    assert gradient.weights[0, 1] == 4.0 * 3.0
    assert gradient.inputs[0, 0] == 4.0
    assert len(str(net.plan).splitlines()) < 60
    assert "100,000 nodes" in repr(net)
    part = net.gradient([[3.0]], [1.0], wrt=[(n - 2, n - 1)])
    assert part.visited == (n - 1,)


def wide(edges):
    """Levels of about a hundred nodes, each with ten parents among the nodes just before it."""
    nodes = edges // 10 + 100
    rng = np.random.default_rng(0)
    targets = np.repeat(np.arange(100, nodes), 10)
    sources = targets - rng.integers(1, 100, len(targets)) - 0
    pairs = np.unique(np.stack([sources, targets]), axis=1)
    return pairs[0], pairs[1]


@pytest.fixture(scope="module")
def large():
    sources, targets = wide(1_000_000)
    return dagnet.Network.from_arrays(sources, targets, engine="reference", seed=0)


@pytest.mark.slow
def test_a_query_about_a_weight_near_the_outputs_takes_milliseconds(large):
    edge, source = large.edges[-50], int(large.topology.targets[0])
    large.ancestry.nodes_with(edge)  # the first of each kind makes the table that it reads
    large.ancestry.parent_chain(source)
    with Stopwatch() as watch:
        nodes = large.ancestry.nodes_with(edge)
    assert len(nodes) < 200
    assert watch.seconds < 0.02
    with Stopwatch() as watch:
        chain = large.ancestry.parent_chain(source)
    assert len(chain) < 2000
    assert watch.seconds < 0.02


@pytest.mark.slow
def test_a_gradient_for_a_weight_near_the_outputs_walks_a_few_nodes(large):
    X, y = np.ones((2, len(large.inputs))), np.zeros((2, len(large.outputs)))
    gradient = large.gradient(X, y, wrt=[large.edges[-50]])
    assert len(gradient.visited) < 200


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [True, False])
def test_building_costs_at_most_twice_reading_the_edges_once(weighted):
    sources, targets = wide(300_000)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(int(targets.max()) + 1))
    graph.add_edges_from(zip(sources.tolist(), targets.tolist(), strict=True))
    if weighted:
        nx.set_edge_attributes(graph, 0.5, "weight")
    ratios = []
    for _ in range(5):
        with Stopwatch() as reading:
            index = {name: number for number, name in enumerate(graph)}
            starts, ends, weights = [], [], []
            for u, v, w in graph.edges(data="weight"):
                starts.append(index[u])
                ends.append(index[v])
                weights.append(w)
            np.array(starts), np.array(ends), np.array(weights, float)
        with Stopwatch() as building:
            dagnet.Network(graph, engine="reference")
        ratios.append(building.seconds / reading.seconds)
    assert min(ratios) < 2 * slack()


def _write_cytoscape(graph, path):
    with path.open("w") as file:
        json.dump(nx.cytoscape_data(graph), file)


def _write_node_link(graph, path):
    with path.open("w") as file:
        json.dump(nx.node_link_data(graph), file)


WRITERS = {
    ".graphml": nx.write_graphml,
    ".gexf": nx.write_gexf,
    ".json": _write_node_link,
    ".cyjs": _write_cytoscape,
    ".csv": lambda graph, path: nx.write_edgelist(graph, path, data=["weight"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("suffix", WRITERS)
def test_exporting_100000_edges_takes_at_most_three_times_networkxs_own_writer(suffix, tmp_path):
    net = dagnet.Network.from_arrays(*wide(108_000), engine="reference", seed=0)
    assert len(net.edges) > 100_000
    graph = nx.DiGraph()
    graph.add_nodes_from((node, {"activation": "relu", "bias": 0.0}) for node in net.nodes)
    graph.add_weighted_edges_from((*edge, weight) for edge, weight in net.weights.items())
    ratios = []
    for _ in range(3):
        with Stopwatch() as theirs:
            WRITERS[suffix](graph, tmp_path / f"theirs{suffix}")
        with Stopwatch() as ours:
            net.export(tmp_path / f"ours{suffix}")
        ratios.append(ours.seconds / theirs.seconds)
    print(f"{suffix}: {min(ratios):.2f} times networkx's writer")
    assert min(ratios) < 3 * slack()
