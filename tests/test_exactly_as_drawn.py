"""Words, attributes and start weights: what a graph says is read, refused or kept, whatever its order."""

import copy
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
    nx.set_node_attributes(graph, {"a": {"gain": 0.5}, "b": {"gain": 0.5, "act": "tanh"}})
    with pytest.raises(dagnet.GraphError) as caught:
        dagnet.Network(graph)
    assert "'a' and 1 more: 'gain'" in str(caught.value)
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
    for twin in (net, pickle.loads(pickle.dumps(net)), dagnet.Network(net.to_networkx())):
        out = twin.to_networkx()
        assert out.graph["title"] == "a pathway"
        assert out.nodes["x"] == {"label": "tumour protein p53", "entrez": 7157, "place": (1.0, 2.0)}
        assert out.edges["x", "h"] == {"evidence": ["IDA", "IEA"], "weight": 0.5}
    out.nodes["x"]["label"] = "other"
    assert graph.nodes["x"]["label"] == net.to_networkx().nodes["x"]["label"] == "tumour protein p53"


STRANGERS = {
    "laplace": lambda generator, fan_in, _: generator.laplace(size=fan_in.shape),
    "spawned": lambda generator, fan_in, _: generator.spawn(1)[0].normal(size=fan_in.shape),
    "copied": lambda generator, fan_in, _: copy.deepcopy(generator).normal(size=fan_in.shape),
    "jumped": lambda generator, fan_in, _: np.random.Generator(generator.bit_generator.jumped()).random(
        len(fan_in)
    ),
    "counted": lambda _generator, fan_in, _: np.arange(1.0, len(fan_in) + 1.0),
    "of_many": lambda generator, fan_in, _: generator.normal(size=np.array([2, len(fan_in)]))[0],
    "of_array": lambda generator, fan_in, _: generator.random(size=np.array([len(fan_in)])),
}
INITIALIZERS = [dagnet.Initializer(name, function) for name, function in STRANGERS.items()]


@pytest.mark.parametrize("initializer", ["he_uniform", "glorot_normal", "normal", "uniform", *INITIALIZERS])
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


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda generator, fan_in, _: generator.normal(0.0, -1.0, fan_in.shape), "ValueError: scale < 0"),
        (
            lambda _generator, fan_in, _: np.full(fan_in.shape, np.longdouble("1e400")),
            "must be finite, got inf",
        ),
    ],
)
def test_what_an_initializer_does_wrong_is_said(function, said):
    with pytest.raises(dagnet.PluginError, match=f"initializer 'wrong'.*{said}"):
        dagnet.Network(chain(), initializer=dagnet.Initializer("wrong", function))


def test_names_that_are_one_node_draw_the_same():
    def drawn(*names):
        return list(dagnet.Network(nx.DiGraph([(name, "y") for name in names]), seed=0).weights.values())

    for alike in ((1, 1.0, True, np.float32(1)), (0, -0.0, False), ((1, "a"), (1.0, "a"), (np.True_, "a"))):
        assert len({drawn(name)[0] for name in alike}) == 1
    others = drawn(1, 1.5, "1", b"1", (1,), ((1,),), float("inf"), float("nan"), float("nan"), "nan")
    assert len(set(others)) == 10


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("parsed", [np.zeros(2), object()]),
        ("parsed", {"before": np.zeros(2), "after": {1}}),
        (frozenset("ab"), np.zeros(2)),
        ("grid", np.zeros((1,) * 9)),
    ],
)
def test_a_file_opens_again_whatever_it_cannot_hold(tmp_path, name, value):
    graph = chain()
    graph.graph[name] = value
    for node, number in (("x", 1.0), ("h", 2.0)):
        graph.nodes[node].update({name: value, "kept": np.full(3, number)})
    net = dagnet.Network(graph, seed=0)
    with pytest.warns(dagnet.DagnetWarning, match="the file keeps no"):
        net.save(tmp_path / "net.dagnet")
    users = dagnet.load(tmp_path / "net.dagnet").topology.users
    assert not users.graph
    assert [list(kept) for kept in users.nodes.values()] == [["kept"], ["kept"]]
    np.testing.assert_array_equal(users.nodes[1]["kept"], np.full(3, 2.0))


def test_words_that_are_numpys_strings_are_saved(tmp_path):
    graph = chain()
    graph.nodes["h"].update(sign=1, f="tanh")
    words = {np.str_("sign"): None, np.str_("activation"): np.str_("f")}
    net = dagnet.Network(graph, attributes=words)
    net.save(tmp_path / "net.dagnet")
    assert dagnet.load(tmp_path / "net.dagnet").topology.users.unread == ("sign",)


@pytest.mark.parametrize("weight", ["w", "gain", "enabled", "bias"])
def test_weights_are_read_from_the_attribute_that_is_named_whatever_else_it_means(weight):
    graph = chain()
    graph.edges["x", "h"][weight] = 0.25
    graph.nodes["h"]["bias"] = 2.0
    ways = [{"weight": weight}, {"attributes": {"weight": weight}}]
    ways += [{"weight": weight, "attributes": {"weight": weight}}]
    ways += [{"weight": weight, "attributes": {weight: None}}] if weight in REFUSED_ON_EDGES else []
    for way in ways:
        net = dagnet.Network(graph, seed=0, **way)
        assert (net.weights["x", "h"], net.biases["h"]) == (0.25, 2.0)
        out = net.to_networkx()
        assert out.edges["x", "h"][weight] == 0.25
        for again in (dagnet.Network(out), dagnet.Network(out, weight=weight)):
            assert again.weights["x", "h"] == 0.25


def test_weights_are_not_read_from_two_attributes():
    with pytest.raises(dagnet.DataError, match=r"weight='v' and attributes=.* differ; leave one of them out"):
        dagnet.Network(chain(), weight="v", attributes={"weight": "w"})


def test_a_word_of_nodes_leaves_edges_alone_and_the_other_way_round():
    graph = chain()
    graph.nodes["x"]["center"] = 3.0
    graph.nodes["h"]["weight"] = 2.0
    graph.edges["x", "h"].update(weight=0.5, center=0.25)
    net = dagnet.Network(graph, seed=0, attributes={"bias": "weight"})
    assert (net.weights["x", "h"], net.biases["h"]) == (0.5, 2.0)
    net = dagnet.Network(graph, seed=0, attributes={"weight": "center"})
    assert (net.weights["x", "h"], net.topology.center[0]) == (0.25, 3.0)
