"""Words, attributes and start weights: what a graph says is read, refused or kept, whatever its order."""

import pickle

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet.topology.words import REFUSED_ON_EDGES, REFUSED_ON_NODES


def chain():
    return nx.DiGraph([("x", "h"), ("h", "y")])


@pytest.mark.parametrize("word", sorted(REFUSED_ON_NODES))
def test_a_known_word_on_a_node_is_refused_and_the_mend_named(word):
    graph = chain()
    graph.nodes["h"][word] = 0.5
    with pytest.raises(
        dagnet.GraphError, match=rf"node 'h': '{word}' is not .* attributes=\{{'{word}': None\}}"
    ):
        dagnet.Network(graph)
    graph.nodes["h"][word] = None
    dagnet.Network(graph)


@pytest.mark.parametrize("word", sorted(REFUSED_ON_EDGES))
def test_a_known_word_on_an_edge_is_refused_and_left_alone_where_told_so(word):
    graph = chain()
    graph.edges["h", "y"][word] = 1
    with pytest.raises(dagnet.GraphError, match=rf"edge 'h' → 'y': '{word}'"):
        dagnet.Network(graph)
    net = dagnet.Network(graph, seed=0, attributes={word: None})
    again = dagnet.Network(net.to_networkx())
    assert again.to_networkx().edges["h", "y"][word] == 1
    np.testing.assert_array_equal(again.parameters, net.parameters)


def test_all_refused_words_come_in_one_error_each_with_its_count():
    graph = nx.DiGraph([("x", "a"), ("x", "b"), ("a", "y"), ("b", "y")])
    nx.set_node_attributes(graph, {"a": {"dropout": 0.5}, "b": {"dropout": 0.5, "act": "tanh"}})
    with pytest.raises(dagnet.GraphError) as caught:
        dagnet.Network(graph)
    assert "'a' and 1 more: 'dropout'" in str(caught.value)
    assert "'b': 'act'" in str(caught.value)
    assert "write activation=" in str(caught.value)


def test_a_word_is_read_from_another_attribute():
    graph = chain()
    graph.nodes["h"].update(act="tanh", activation="a word of the user's")
    graph.edges["x", "h"]["confidence"] = 0.25
    net = dagnet.Network(graph, attributes={"activation": "act", "weight": "confidence"}, seed=0)
    assert net.weights["x", "h"] == 0.25
    out = net.to_networkx()
    assert out.nodes["h"]["activation"] == out.nodes["h"]["act"] == "tanh"
    assert out.edges["x", "h"]["confidence"] == 0.25
    np.testing.assert_array_equal(dagnet.Network(out).parameters, net.parameters)


@pytest.mark.parametrize("words", [{"sgn": None}, {"sign": 3}, ["sign"], {1: None}])
def test_attributes_that_are_no_mapping_of_words_are_refused(words):
    with pytest.raises(dagnet.DataError, match="attributes"):
        dagnet.Network(chain(), attributes=words)


def test_the_users_attributes_are_kept():
    graph = chain()
    graph.graph["title"] = "a pathway"
    graph.nodes["x"].update(label="tumour protein p53", entrez=7157, place=(1.0, 2.0))
    graph.edges["x", "h"].update(evidence=["IDA", "IEA"], weight=0.5)
    net = dagnet.Network(graph, seed=0)
    for copy in (net, pickle.loads(pickle.dumps(net)), dagnet.Network(net.to_networkx())):
        out = copy.to_networkx()
        assert out.graph["title"] == "a pathway"
        assert out.nodes["x"] == {"label": "tumour protein p53", "entrez": 7157, "place": (1.0, 2.0)}
        assert out.edges["x", "h"] == {"evidence": ["IDA", "IEA"], "weight": 0.5}
    out.nodes["x"]["label"] = "other"
    assert graph.nodes["x"]["label"] == net.to_networkx().nodes["x"]["label"] == "tumour protein p53"


LAPLACE = dagnet.Initializer("laplace", lambda generator, fan_in, _: generator.laplace(size=fan_in.shape))


@pytest.mark.parametrize("initializer", ["he_uniform", "glorot_normal", "normal", "uniform", LAPLACE])
def test_drawn_weights_follow_names_and_not_the_order_of_insertion(initializer):
    rng = np.random.default_rng(0)
    names = [f"g{n}" for n in range(20)] + list(range(20)) + [("t", n) for n in range(10)]
    edges = [(names[i], names[j]) for i in range(50) for j in range(i + 1, 50) if rng.random() < 0.2]
    graph, other = nx.DiGraph(edges), nx.DiGraph(edges[::-1])
    for drawn in (graph, other):
        nx.set_node_attributes(drawn, dict.fromkeys(names[5:9], 3), "units")
        nx.set_edge_attributes(drawn, dict.fromkeys([*edges[3:6], edges[0]], "one"), "share")
        drawn.remove_edges_from(edge for edge in edges[3:6] if drawn.nodes[edge[0]] or drawn.nodes[edge[1]])
    one, two = (dagnet.Network(drawn, initializer=initializer, seed=3) for drawn in (graph, other))
    for edge in graph.edges:
        np.testing.assert_array_equal(one.weights[edge], two.weights[edge])
    assert len(np.unique(one.parameters[one.parameters != 0])) == np.count_nonzero(one.parameters)


def test_another_edge_leaves_the_other_drawn_weights_alone():
    graph = nx.DiGraph([("a", "y"), ("b", "y")])
    one = dagnet.Network(graph, initializer="normal", seed=1)
    graph.add_edge("c", "y")
    two = dagnet.Network(graph, initializer="normal", seed=1)
    assert {edge: two.weights[edge] for edge in one.edges} == dict(one.weights)


def test_nodes_named_by_strangers_objects_draw_different_weights():
    class Gene:
        pass

    genes = [Gene() for _ in range(5)]
    net = dagnet.Network(nx.DiGraph([(gene, "y") for gene in genes]), seed=0)
    assert len(set(net.weights.values())) == 5


def test_numbers_from_arrays_draw_what_the_same_graph_draws():
    graph = nx.DiGraph([(0, 2), (1, 2), (2, 3)])
    net = dagnet.Network.from_arrays([0, 1, 2], [2, 2, 3], seed=5)
    assert dict(net.weights) == dict(dagnet.Network(graph, seed=5).weights)


def test_a_file_keeps_the_users_attributes_with_their_types(tmp_path):
    graph = chain()
    graph.graph.update(title="a pathway", made=(2024, 5))
    graph.nodes["x"].update(label="p53", entrez=7157, place=np.arange(3.0), sign=1, unknown=None)
    graph.edges["x", "h"].update(evidence=["IDA", {"of": 1.5}], flag=True)
    net = dagnet.Network(graph, seed=0, attributes={"sign": None})
    net.save(tmp_path / "net.dagnet")
    out = dagnet.load(tmp_path / "net.dagnet").to_networkx()
    np.testing.assert_array_equal(out.nodes["x"].pop("place"), np.arange(3.0))
    assert out.nodes["x"] == {"label": "p53", "entrez": 7157, "sign": 1, "unknown": None}
    assert out.edges["x", "h"]["evidence"] == ["IDA", {"of": 1.5}]
    assert out.edges["x", "h"]["flag"] is True
    assert (out.graph["title"], out.graph["made"]) == ("a pathway", (2024, 5))
    assert dagnet.Network(out).topology.users.unread == ("sign",)


def test_what_a_file_cannot_hold_is_left_out_and_said(tmp_path):
    graph = chain()
    for node in ("x", "h"):
        graph.nodes[node].update(label=node, parser=object())
    net = dagnet.Network(graph, seed=0)
    with pytest.warns(dagnet.DagnetWarning, match="no node attribute 'parser' and 1 more: it can hold a str"):
        net.save(tmp_path / "net.dagnet")
    assert dagnet.load(tmp_path / "net.dagnet").to_networkx().nodes["x"] == {"label": "x"}
