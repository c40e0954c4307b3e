"""From a graph or arrays to the frozen topology, and what its walks over edges give."""

import copy
import hashlib
import pickle
from unittest import mock

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dagnet
from dagnet import adjacency
from dagnet.adjacency import components, find_cycle, levels, ranges, reachable, rows_by, stable_order
from dagnet.engine.compiled import digests
from dagnet.topology import Topology, name_keys, said
from dagnet.topology.said import edit_distance, near_misses, numbered


def topology(graph, **arguments) -> Topology:
    return dagnet.Network(graph, engine="reference", **arguments).topology


# -- adjacency ---------------------------------------------------------------------------


@st.composite
def digraphs(draw, *, acyclic):
    """A graph of up to 80 nodes: wide enough for the frontiers that NumPy handles at once."""
    n = draw(st.integers(1, 80))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    m = draw(st.integers(0, 3 * n))
    pairs = rng.integers(0, n, (m, 2))
    if acyclic:
        pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    pairs = np.unique(pairs, axis=0) if len(pairs) else np.zeros((0, 2), np.int64)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(map(tuple, pairs.tolist()))
    return graph, pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64), n


narrows = pytest.mark.parametrize("narrow", [0, 5, 1000])  # all at once by NumPy, both, one by one


@narrows
@given(digraphs(acyclic=True))
def test_levels_are_longest_distances(narrow, drawn):
    with mock.patch("dagnet.adjacency.NARROW", narrow):
        graph, sources, targets, n = drawn
        level = levels(rows_by(sources, targets, n), np.bincount(targets, minlength=n))
        expected = {}
        for node in nx.topological_sort(graph):
            expected[node] = 1 + max((expected[parent] for parent in graph.predecessors(node)), default=-1)
        assert level.tolist() == [expected[node] for node in range(n)]


@narrows
@given(digraphs(acyclic=False))
def test_a_cycle_is_found_where_there_is_one(narrow, drawn):
    with mock.patch("dagnet.adjacency.NARROW", narrow):
        graph, sources, targets, n = drawn
        level = levels(rows_by(sources, targets, n), np.bincount(targets, minlength=n))
        assert (level >= 0).all() == nx.is_directed_acyclic_graph(graph)
        if (level < 0).any():
            cycle = find_cycle(rows_by(targets, sources, n), level)
            assert len(set(cycle)) == len(cycle)
            assert all(graph.has_edge(u, v) for u, v in zip(cycle, cycle[1:] + cycle[:1], strict=True))


@narrows
@given(digraphs(acyclic=False), st.randoms(use_true_random=False))
def test_reachable_nodes_are_the_seeds_and_their_descendants(narrow, drawn, random):
    with mock.patch("dagnet.adjacency.NARROW", narrow):
        graph, sources, targets, n = drawn
        rows = rows_by(sources, targets, n)
        seeds = [random.randrange(n) for _ in range(random.randrange(1, 4))]
        expected = set(seeds).union(*(nx.descendants(graph, seed) for seed in seeds))
        found = reachable(rows, np.array(seeds))
        assert sorted(found.tolist()) == sorted(expected)
        within = np.array([random.random() < 0.7 for _ in range(n)])
        inside = graph.subgraph(np.flatnonzero(within).tolist())
        seeds = [seed for seed in seeds if within[seed]]
        expected = set(seeds).union(*(nx.descendants(inside, seed) for seed in seeds))
        assert sorted(reachable(rows, np.array(seeds, np.int64), within).tolist()) == sorted(expected)


def test_rows_keep_the_order_of_their_edges():
    rows = rows_by(np.array([1, 0, 1, 1]), np.array([5, 4, 3, 2]), 3)
    assert rows.of(1).tolist() == [5, 3, 2]
    assert rows.edges.tolist() == [1, 0, 2, 3]
    assert rows.degrees().tolist() == [1, 3, 0]
    assert rows.expand(np.array([1, 0])).tolist() == [1, 2, 3, 0]
    assert ranges(np.array([3, 5, 5]), np.array([5, 5, 6])).tolist() == [3, 4, 5]
    assert ranges(np.array([3]), np.array([3])).tolist() == []


@pytest.mark.parametrize("n", [1, 2, 2**16, 2**16 + 1, 2**31, 2**60])
def test_numbers_are_put_in_the_order_of_a_stable_sort_however_large_they_are(n):
    keys = np.random.default_rng(0).integers(0, n, 3000)
    keys[:2] = n - 1, 0
    keys[1000:2000] = keys[:1000]
    np.testing.assert_array_equal(stable_order(keys, n), np.argsort(keys, kind="stable"))


# -- reading -----------------------------------------------------------------------------


def test_nodes_and_edges_keep_the_graphs_order():
    graph = nx.DiGraph([("b", "c"), ("a", "c"), ("b", "a")])
    found = topology(graph)
    assert found.nodes == ("b", "c", "a")
    edges = [(found.nodes[u], found.nodes[v]) for u, v in zip(found.sources, found.targets, strict=True)]
    assert edges == list(graph.edges)
    assert found.level.tolist() == [0, 2, 1]


def test_everything_is_frozen():
    found = topology(nx.DiGraph([("x", "y")]))
    arrays = [value for value in vars(found).values() if isinstance(value, np.ndarray)]
    assert len(arrays) > 10
    assert not any(array.flags.writeable for array in arrays)
    with pytest.raises(AttributeError):
        found.nodes = ()


def test_roles():
    graph = nx.DiGraph([("x", "h"), ("h", "y"), ("c", "h")])
    found = topology(graph, inputs=["x"])
    assert [found.role(found.index[name]) for name in "xhyc"] == ["input", "hidden", "output", "constant"]


def test_defaults_of_activations():
    graph = nx.DiGraph([("x", "h"), ("h", "y"), ("c", "h"), ("c", "d")])
    graph.nodes["d"]["activation"] = "sin"
    found = topology(graph, inputs=["x"], outputs=["y"], activation="elu(alpha=0.5)")
    names = [str(found.activations[found.activation_of[found.index[name]]]) for name in "hycd"]
    assert names == ["elu(alpha=0.5)", "identity", "identity", "sin"]


def test_equal_activations_are_one():
    graph = nx.DiGraph([("x", "a"), ("x", "b"), ("x", "c"), ("x", "y")])
    relu = dagnet.activations()["relu"]
    for node, spec in zip("abc", ("relu", relu, "relu"), strict=True):
        graph.nodes[node]["activation"] = spec
    assert len(topology(graph, activation="identity").activations) == 2


def test_an_activation_object_is_its_own():
    graph = nx.DiGraph([("x", "y")])
    cube = dagnet.Activation("cube", lambda z: z**3, lambda z, a: 3 * z**2)
    graph.nodes["y"]["activation"] = cube
    graph.edges["x", "y"]["weight"] = 2.0
    assert dagnet.Network(graph)([[1.0]])[0, 0] == 8.0


@pytest.mark.parametrize(
    "value", [2, np.float64(2), np.float32(2), np.int8(2), np.array(2.0), np.array([[2.0]])]
)
def test_numbers_of_any_kind_are_weights(value):
    graph = nx.DiGraph([("x", "y")])
    graph.edges["x", "y"]["weight"] = value
    graph.add_edge("x", "z", weight=None)
    net = dagnet.Network(graph, initializer="constant(value=3.0)")
    assert net.weights["x", "y"] == 2.0
    assert net.weights["x", "z"] == 3.0


@pytest.mark.parametrize("value", [2, np.float32(2), np.array(2.0), [2.0], np.array([2])])
def test_numbers_of_any_kind_are_biases(value):
    graph = nx.DiGraph([("x", "y")])
    graph.nodes["y"]["bias"] = value
    assert dagnet.Network(graph).biases["y"] == 2.0


@pytest.mark.parametrize("value", [False, np.False_])
def test_no_bias(value):
    graph = nx.DiGraph([("x", "y")])
    graph.nodes["y"]["bias"] = value
    net = dagnet.Network(graph)
    assert "y" not in net.biases
    assert len(net.parameters) == 1


@pytest.mark.parametrize("value", [True, np.True_, None])
def test_a_bias_of_0(value):
    graph = nx.DiGraph([("x", "y")])
    graph.nodes["y"]["bias"] = value
    assert dagnet.Network(graph).biases["y"] == 0.0


def test_units_as_numpy_numbers():
    graph = nx.DiGraph([("x", "y")])
    graph.nodes["y"]["units"] = np.int64(3)
    assert dagnet.Network(graph)([[1.0]]).shape == (1, 3)


def test_subclasses_and_views_are_graphs():
    class Wiring(nx.DiGraph):
        """A subclass with a rule of its own."""

        def add_edge(self, u, v, **attributes):
            super().add_edge(v, u, **attributes)

    graph = Wiring()
    graph.add_edge("y", "x", weight=2.0)
    assert dagnet.Network(graph)([[3.0]])[0, 0] == 6.0

    class Backwards(nx.DiGraph):
        """Its adjacency comes in another order than its nodes."""

        def adjacency(self):
            return reversed(list(super().adjacency()))

    graph = Backwards([("x", "y"), ("y", "z")])
    assert topology(graph).has_edge(("x", "y"))
    assert topology(graph).level.tolist() == [0, 1, 2]
    whole = nx.DiGraph([("x", "y"), ("y", "z"), ("q", "y")])
    assert set(topology(whole.subgraph("xy")).nodes) == {"x", "y"}
    assert set(topology(whole.subgraph("xyz").copy(as_view=True)).nodes) == set("xyz")
    assert topology(nx.reverse_view(whole)).has_edge(("z", "y"))
    assert topology(nx.freeze(whole.copy())).n_edges == 3
    assert topology(nx.restricted_view(whole, ["q"], [("y", "z")])).n_edges == 1


def test_arrays_and_graphs_build_the_same():
    sources, targets = np.array([0, 1, 0, 2]), np.array([2, 2, 3, 3], np.uint8)
    weights = np.array([0.5, -1.0, 2.0, 3.0], np.float32)
    net = dagnet.Network.from_arrays(sources, targets, weights, engine="reference", activation="tanh")
    graph = nx.DiGraph()
    graph.add_nodes_from(range(4))
    for u, v, w in zip(sources.tolist(), targets.tolist(), weights.tolist(), strict=True):
        graph.add_edge(u, v, weight=w)
    other = dagnet.Network(graph, engine="reference", activation="tanh")
    X = np.array([[1.0, 2.0], [-1.0, 0.5]])
    assert (net(X) == other(X)).all()
    assert net.nodes == (0, 1, 2, 3)
    assert net.weights[2, 3] == 3.0
    sources[:] = 9
    assert net.edges == ((0, 2), (1, 2), (0, 3), (2, 3))


def test_arrays_with_declared_ports_and_isolated_nodes():
    net = dagnet.Network.from_arrays([4, 1], [2, 2], inputs=np.array([4]), outputs=[2], seed=0)
    assert net.inputs == (4,)
    assert net.nodes == (0, 1, 2, 3, 4)


def test_pickling_rebuilds_the_index_and_freezes_again():
    found = topology(nx.DiGraph([("x", "y")]))
    found.children, found.is_output  # cached, and not to be pickled
    again = pickle.loads(pickle.dumps(found))
    assert again.index == found.index
    assert not again.sources.flags.writeable
    assert "is_output" not in vars(again)
    assert copy.deepcopy(found) is found


def test_the_graph_says_its_settings_and_arguments_override_them():
    graph = nx.DiGraph([("x", "y"), ("x", "z"), ("u", "z")])
    graph.graph["dagnet"] = {
        "inputs": ["u", "x"],
        "outputs": ["z"],
        "loss": "huber(delta=2.0)",
        "dtype": "float32",
        "more": 1,
    }
    net = dagnet.Network(graph)
    assert (net.inputs, net.outputs, str(net.loss), net.dtype) == (
        ("u", "x"),
        ("z",),
        "huber(delta=2.0)",
        "float32",
    )
    net = dagnet.Network(graph, inputs=["x", "u"], outputs=["z", "y"], loss="poisson", dtype="float64")
    assert (net.inputs, net.outputs, str(net.loss), net.dtype) == (
        ("x", "u"),
        ("z", "y"),
        "poisson",
        "float64",
    )


# -- near misses -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("bias", "bias", 0), ("bais", "bias", 2), ("unit", "units", 1), ("weight", "wieght", 2), ("", "abc", 3)],
)
def test_edit_distance(a, b, distance):
    assert edit_distance(a, b) == distance
    assert edit_distance(b, a) == distance


def test_far_strings_are_far():
    assert edit_distance("activation", "pos") > 2


def test_near_misses_are_listed_once_and_in_order():
    known = ("activation", "bias", "units")
    assert near_misses(["unitz", "bias", "label", 3, "activaton"], known) == [
        ("activaton", "activation"),
        ("unitz", "units"),
    ]


@pytest.mark.parametrize("seed", range(30))
def test_components_are_those_that_networkx_finds(seed):
    graph = nx.gnp_random_graph(40, 0.01 + 0.003 * seed, seed=seed, directed=True)
    sources, targets = np.array(graph.edges, np.int64).reshape(-1, 2).T
    found = components(rows_by(sources, targets, 40))
    groups = {frozenset(np.flatnonzero(found == number).tolist()) for number in set(found.tolist())}
    assert groups == set(map(frozenset, nx.strongly_connected_components(graph)))


@pytest.mark.parametrize("n", [5, 60, 1500, 9000])
def test_levels_are_longest_distances_in_graphs_of_any_size(n):
    """By NetworkX's order, node by node; small graphs go by lists, others by arrays, some nodes are alone."""
    rng = np.random.default_rng(n)
    names = rng.permutation(n)
    pairs = np.sort(rng.integers(0, max(2, n // 2), (n, 2)), axis=1)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from((int(names[a]), int(names[b])) for a, b in pairs if a < b)
    wanted = dict.fromkeys(graph, 0)
    for node in nx.topological_sort(graph):
        wanted[node] = max((wanted[parent] + 1 for parent in graph.predecessors(node)), default=0)
    outputs = [node for node in graph if graph.in_degree(node)]
    assert topology(graph, outputs=outputs).level.tolist() == [wanted[node] for node in graph]


def test_keys_of_names_do_not_depend_on_the_names_beside_them():
    """Names of one kind are hashed in a column, others one by one."""
    texts, numbers = ["a", "gene é", ""], [3, -1, 2**70]
    alone = [*name_keys(texts).tolist(), *name_keys(numbers).tolist()]
    assert name_keys([*texts, *numbers]).tolist() == alone
    assert alone[3:] == [3, 2**64 - 1, 2**70 % 2**64]


LETTERS = "aZ_\0é\U0001f600\udc80"


@pytest.mark.parametrize("longest", [15, 60, 127, 128, 300])
def test_keys_of_many_names_are_those_of_each(longest):
    """In machine code where none is longer than 127 bytes; so they are blake2b's of the standard library."""
    rng = np.random.default_rng(longest)
    names = ["".join(rng.choice(list(LETTERS[:3]), k % (longest + 1))) for k in range(5000)]
    odd = ["".join(rng.choice(list(LETTERS), k % (longest // 4 + 1))) for k in range(700)]
    for some in (names, odd, ["a" * longest], [""]):
        texts = [b"s" + name.encode("utf-8", "surrogatepass") for name in some]
        wanted = [hashlib.blake2b(text, digest_size=8).digest() for text in texts]
        with mock.patch("dagnet.topology.fingerprint.MANY", 1):
            found = name_keys(some)
        assert found.astype("<u8").tobytes() == b"".join(wanted)
        at_once = dagnet.registry.find_engine("compiled").digests(some)
        assert (at_once is None) == (max(map(len, texts)) > 128)
        assert at_once is None or (at_once == found).all()


def test_another_engine_by_the_compiled_ones_name_need_not_hash():
    class Other:
        """What somebody registered in place of the engine."""

    names = ["a", "b", "gene é"]
    with mock.patch.multiple("dagnet.topology.fingerprint", MANY=1, find_engine=lambda _: Other()):
        found = name_keys(names)
    assert found.tolist() == name_keys(names).tolist()


def test_machine_code_that_is_wrong_is_not_believed():
    digests._is_right.cache_clear()
    try:
        with mock.patch.object(digests, "_hashed", lambda _, sizes: np.zeros(len(sizes), np.uint64)):
            assert digests.digests(["a", "b"]) is None
    finally:
        digests._is_right.cache_clear()


def _wide(n):
    """Many inputs and few other nodes, which stand between them."""
    graph = nx.DiGraph((f"x{k}", f"h{k % 7}") for k in range(n))
    graph.add_edges_from((f"h{k}", "y") for k in range(7))
    return graph


def test_names_of_many_inputs_are_numbered_when_somebody_asks_for_one():
    """What is read is what a small piece of the reader reads: names by a dictionary."""
    graph = _wide(40)
    plain = said.drawn(graph)
    with mock.patch.object(said, "MANY", 10):
        later = said.drawn(graph)
        net = dagnet.Network(graph, seed=0)
    assert type(plain.index) is dict
    assert plain.names == later.names
    for one, other in ((plain.sources, later.sources), (plain.targets, later.targets)):
        assert one.tolist() == other.tolist()
    index = net.topology.index
    assert "_index" not in vars(index)
    net(np.ones((2, 40)))
    net.fit(np.ones((2, 40)), np.ones(2), epochs=1)
    assert "_index" not in vars(index)
    assert dict(index) == plain.index == index
    assert len(index) == 48
    assert "x3" in index
    assert "z" not in index
    assert index.get("z") is None
    with pytest.raises(dagnet.DataError, match="did you mean 'x3'"):
        net.weights["x3 ", "h3"]
    copied = pickle.loads(pickle.dumps(net.topology))
    assert copied.index == index


@pytest.mark.parametrize("seen", ["view", "edges", "subclass", "one end"])
def test_names_of_many_inputs_are_found_in_other_kinds_of_graphs(seen):
    graph = _wide(40)
    if seen == "view":
        graph = nx.subgraph_view(graph, filter_node=lambda node: node != "x3")
    elif seen == "edges":
        graph = graph.edge_subgraph(list(graph.edges)[1:])
    elif seen == "one end":
        graph._adj["x1"]["x0"] = {}  # as a graph of its own kind may say, which has parents nowhere else
    else:

        class Thin(nx.DiGraph):
            edge_attr_dict_factory = staticmethod(lambda shared={"weight": 0.5}: shared)

        graph = Thin(graph.edges)
    plain = said.drawn(graph)
    with mock.patch.object(said, "MANY", 10):
        later = said.drawn(graph)
    assert plain.names == later.names
    assert plain.index == dict(later.index)
    assert plain.sources.tolist() == later.sources.tolist()
    assert plain.targets.tolist() == later.targets.tolist()
    assert plain.edges.data == later.edges.data


@given(st.lists(st.integers(0, 2**40)), st.integers(1, 60), st.integers(1, 9))
def test_many_keys_are_sorted_part_by_part_as_few_are(keys, many, portion):
    keys, n = np.array(keys, np.int64), max(keys, default=0) + 1
    with mock.patch.multiple(adjacency, MANY=many, PORTION=portion):
        found = stable_order(keys, n)
    np.testing.assert_array_equal(found, np.argsort(keys, kind="stable"))
    assert found.dtype == np.int32


def test_numbers_are_their_own_names_as_in_a_dictionary():
    own, plain = numbered(range(5)), numbered(list(range(5)))
    assert isinstance(plain, dict)
    assert dict(own) == plain
    assert len(own) == 5
    names = (0, 4, 5, -1, True, 1.0, 1.5, np.int64(2), float("nan"), "1", b"1", None, (1,), 2**70, 2**61 - 1)
    for name in names:
        assert own.get(name) == plain.get(name)
        assert (name in own) == (name in plain)
    with pytest.raises(TypeError):
        own.get([1])


def test_large_graphs_of_numbers_are_built_alike_from_either_side():
    rng = np.random.default_rng(0)
    targets = np.repeat(np.arange(20, 320), 4)
    sources = ((targets - 20) * rng.random(len(targets))).astype(int) + np.tile(np.arange(4) * 5, 300)
    pairs = np.unique(np.stack([sources, targets]), axis=1)
    mixed = rng.permutation(pairs.shape[1])
    graph = nx.DiGraph(list(zip(*pairs.tolist(), strict=True)))
    one, other, third = (
        dagnet.Network.from_arrays(*pairs, seed=1),
        dagnet.Network.from_arrays(*pairs[:, mixed], seed=1),
        dagnet.Network(graph, seed=1),
    )
    for net in (other, third):
        assert dict(net.weights) == dict(one.weights)
    for name in ("sources", "targets"):
        assert {getattr(net.topology, name).dtype for net in (one, other, third)} == {np.dtype(np.int32)}
