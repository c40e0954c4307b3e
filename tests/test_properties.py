"""Properties of all graphs: against an evaluation on NetworkX that shares nothing with dagnet."""

import copy
import pickle
from collections import Counter

import networkx as nx
import numpy as np
import pytest
from data.independent import Evaluation
from data.strategies import dags, network, row_counts, rows_for, seeds
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import dagnet

EPS = np.finfo(float).eps
LARGEST = 1e3


def close(one, other, tolerance=1e-12):
    one, other = np.asarray(one), np.asarray(other)
    scale = max(1.0, np.abs(other).max(initial=0))
    return one.shape == other.shape and np.abs(one - other).max(initial=0) <= tolerance * scale


def evaluation(graph, net):
    return Evaluation(graph, net.weights, net.biases)


def small(truth, X):
    truth.run(X)
    return max(np.abs(values).max() for values in (*truth.values.values(), *truth.sums.values())) <= LARGEST


def tame(graph, net, X):
    """The contract's rule: redraw where values exceed 1e3 or z lies within 10h of a kink."""
    truth = evaluation(graph, net)
    calm = small(truth, X)
    near = False
    for node in net.nodes:
        number = net.topology.index[node]
        activation = net.topology.activations[net.topology.activation_of[number]]
        for kink in activation.kink_points() if node not in net.inputs else ():
            near |= bool((np.abs(truth.sums[node].real - kink) < 10 * EPS ** (1 / 3)).any())
    return calm and not near and not tied(graph, net, X)


def tied(graph, net, X):
    """Whether the two largest or smallest terms of a max or min are so near that a step may exchange them."""
    forward = net.forward(X)
    for node, said in graph.nodes(data=True):
        terms = [np.full((len(X), said.get("units", 1), 0), 0.0)]
        for parent in graph.pred[node] if said.get("aggregation") in {"max", "min"} else ():
            a = np.asarray(forward[parent]).reshape(len(X), 1, -1)
            terms.append(np.reshape(net.weights[parent, node], (1, -1, a.shape[2])) * a)
        gaps = np.diff(np.sort(np.concatenate(terms, axis=2), axis=2), axis=2)
        scale = 1 + max((np.abs(part).max(initial=0) for part in terms), default=0)
        if gaps.shape[2] and min(gaps[..., 0].min(), gaps[..., -1].min()) < 10 * EPS ** (1 / 3) * scale:
            return True
    return False


@given(dags(), seeds, row_counts)
def test_the_reference_engine_equals_an_independent_evaluation(graph, seed, rows):
    net = network(graph, engine="reference", seed=seed)
    X, y = rows_for(net, rows=rows, seed=seed)
    truth = evaluation(graph, net)
    outputs = truth.run(X).real
    assert close(net(X), outputs)
    forward = net.forward(X)
    for node in graph:
        z, a = truth.sums[node].real, truth.values[node].real
        single = graph.nodes[node].get("units", 1) == 1
        assert close(forward[node], a[:, 0] if single else a)
        assert close(forward.pre_activation(node), z[:, 0] if single else z)
    weights = np.random.default_rng(seed).uniform(0.5, 2, rows)
    assert close(net.evaluate(X, y), truth.loss(X, y).real, 1e-11)
    assert close(net.evaluate(X, y, sample_weight=weights), truth.loss(X, y, weights).real, 1e-11)


@given(dags(max_nodes=6), seeds, row_counts)
def test_the_gradient_is_the_exact_derivative(graph, seed, rows):
    net = network(graph, engine="reference", seed=seed)
    X, y = rows_for(net, rows=rows, seed=seed)
    truth = evaluation(graph, net)
    assume(small(truth, X))
    forward = net.forward(X)  # on a kink a complex step may go to either side
    assume(all(np.all(forward.pre_activation(node) != 0) for node in graph if node not in net.inputs))
    weights = np.random.default_rng(seed).uniform(0.5, 2, rows) if seed % 2 else None
    gradient = net.gradient(X, y, sample_weight=weights)
    assert close(gradient.loss, truth.loss(X, y, weights).real, 1e-11)
    for edge in gradient.weights:
        shape = np.shape(gradient.weights[edge])
        assert close(gradient.weights[edge], truth.weight_gradient(edge, X, y, weights).reshape(shape), 1e-10)
    for node in gradient.biases:
        shape = np.shape(gradient.biases[node])
        assert close(gradient.biases[node], truth.bias_gradient(node, X, y, weights).reshape(shape), 1e-10)
    for node in graph:
        delta = gradient.delta(node)
        if node not in net.inputs:
            assert close(delta, truth.delta(node, X, y, weights).reshape(delta.shape), 1e-10)
    assert close(gradient.inputs, truth.input_gradient(X, y, weights), 1e-10)


@given(dags(max_nodes=6), seeds)
def test_the_gradient_passes_the_difference_test_of_the_contract(graph, seed):
    net = network(graph, engine="reference", seed=seed)
    X, y = rows_for(net, rows=3, seed=seed)
    assume(tame(graph, net, X))
    gradient = net.gradient(X, y)
    for place in np.flatnonzero(net.trainable):
        kept = float(net.parameters[place])
        h = EPS ** (1 / 3) * max(1.0, abs(kept))
        losses = []
        for step in (h, -h):
            net.parameters[place] = kept + step
            losses.append(net.evaluate(X, y))
        net.parameters[place] = kept
        numeric, analytic = (losses[0] - losses[1]) / (2 * h), gradient.flat[place]
        bound = 1e-6 * max(abs(analytic), abs(numeric)) + 8 * EPS * max(1.0, abs(gradient.loss)) / h
        assert abs(analytic - numeric) <= bound or near_loss_kink(net, X, y)


def test_at_most_a_tenth_of_the_draws_is_redrawn():
    drawn = Counter()

    @given(dags(max_nodes=6), seeds)
    @settings(max_examples=200, derandomize=True, database=None)
    def draw(graph, seed):
        net = network(graph, engine="reference", seed=seed)
        drawn[tame(graph, net, rows_for(net, rows=3, seed=seed)[0])] += 1

    draw()
    assert drawn[False] <= 0.1 * drawn.total()


def near_loss_kink(net, X, y):
    """Losses declare no kinks; near theirs a difference says nothing."""
    if net.loss.name not in {"absolute_error", "huber"}:
        return False
    distance = np.abs(net(X) - np.asarray(y, float).reshape(net(X).shape))
    delta = net.loss.parameters.get("delta", 0.0)
    return bool((np.abs(distance - delta) < 1e-3).any() or (distance < 1e-3).any())


@given(dags(), seeds, st.data())
def test_a_restricted_walk_gives_what_was_asked_and_enters_only_its_chains(graph, seed, data):
    net = network(graph, engine="reference", seed=seed)
    X, y = rows_for(net, rows=2, seed=seed)
    edges, nodes = list(graph.edges), list(net.biases)
    # A pair that is both an edge and a node means the edge, so its bias cannot be asked for.
    nodes = [node for node in nodes if not net.topology.has_edge(node)]
    wanted_edges = data.draw(st.lists(st.sampled_from(edges), unique=True, max_size=3)) if edges else []
    wanted_nodes = data.draw(st.lists(st.sampled_from(nodes), unique=True, max_size=3)) if nodes else []
    wrt = data.draw(st.permutations([*wanted_edges, *wanted_nodes]))
    truth = evaluation(graph, net)
    everything = net.gradient(X, y, wrt=[*edges, *nodes])
    gradient = net.gradient(X, y, wrt=wrt)
    asked = {other for edge in wanted_edges for other in truth.alike(edge)}
    assert set(gradient.weights) == asked
    assert set(gradient.biases) == set(wanted_nodes)
    for edge in asked:
        assert close(gradient.weights[edge], everything.weights[edge])
    for node in wanted_nodes:
        assert close(gradient.biases[node], everything.biases[node])
    assert_visited(graph, net, gradient.visited, {v for _, v in asked} | set(wanted_nodes))
    mask = np.zeros(len(net.parameters), bool)
    for edge in asked:
        mask[net.layout.weight_places(net.topology.edge_number(edge))] = True
    for node in wanted_nodes:
        mask[net.layout.bias_places(net.topology.node_number(node))] = True
    assert (gradient.flat[~mask] == 0).all()


@given(dags(), seeds)
def test_a_walk_for_all_trainable_parameters_leaves_frozen_parts_out(graph, seed):
    net = network(graph, engine="reference", seed=seed)
    X, y = rows_for(net, rows=2, seed=seed)
    gradient = net.gradient(X, y)
    free_edges = {e for e in graph.edges if graph.edges[e].get("trainable", True)}
    free_nodes = {node for node in graph if node in net.biases and graph.nodes[node].get("trainable", True)}
    assert set(gradient.weights) == free_edges
    assert set(gradient.biases) == free_nodes
    assert (gradient.flat[~net.trainable] == 0).all()
    assert_visited(graph, net, gradient.visited, {v for _, v in free_edges} | free_nodes)


def assert_visited(graph, net, visited, starts):
    chain = starts.union(*(nx.descendants(graph, node) for node in starts))
    reaching = set(net.outputs).union(*(nx.ancestors(graph, node) for node in net.outputs))
    assert isinstance(visited, tuple)
    assert set(visited) == chain & reaching
    assert len(visited) == len(set(visited))
    place = {node: number for number, node in enumerate(visited)}
    for u, v in graph.edges:
        if u in place and v in place:
            assert place[v] < place[u]


@given(dags(), st.data())
def test_ancestry_is_that_of_networkx(graph, data):
    net = network(graph, engine="reference", seed=0)
    rank = {node: number for number, node in enumerate(nx.topological_sort(graph))}
    for edge in graph.edges:
        nodes = net.ancestry.nodes_with(edge)
        alike = evaluation(graph, net).alike(edge)
        expected = set().union(*({v} | nx.descendants(graph, v) for _, v in alike))
        assert set(nodes) == expected
        assert len(nodes) == len(expected)
        place = {node: number for number, node in enumerate(nodes)}
        assert all(place[u] < place[v] for u, v in graph.edges if u in place and v in place)
    for node in graph:
        chain = net.ancestry.parent_chain(node)
        above = nx.ancestors(graph, node) | {node}
        assert set(chain) == {(u, v) for u, v in graph.edges if v in above}
        assert len(chain) == len(set(chain))
    assert rank.keys() == set(graph)


@given(dags(drawn_weights=False), seeds, st.randoms(use_true_random=False))
def test_nothing_depends_on_insertion_order(graph, seed, random):
    net = network(graph, engine="reference")
    other = network(shuffled(graph, random), engine="reference")
    X, y = rows_for(net, rows=3, seed=seed)
    assert net.inputs == other.inputs
    assert net.outputs == other.outputs
    assert close(other(X), net(X))
    one, two = net.gradient(X, y), other.gradient(X, y)
    assert close(one.loss, two.loss)
    assert set(one.weights) == set(two.weights)
    assert all(close(one.weights[edge], two.weights[edge], 1e-11) for edge in one.weights)
    assert set(one.biases) == set(two.biases)
    assert all(close(one.biases[node], two.biases[node], 1e-11) for node in one.biases)
    assert set(one.visited) == set(two.visited)
    assert close(one.inputs, two.inputs, 1e-11)


def shuffled(graph, random):
    other = nx.DiGraph()
    other.graph.update(graph.graph)
    nodes, edges = list(graph.nodes(data=True)), list(graph.edges(data=True))
    random.shuffle(nodes)
    random.shuffle(edges)
    other.add_nodes_from(nodes)
    other.add_edges_from(edges)
    return other


def assert_same_network(net, other, X, y):
    assert other.nodes == net.nodes
    assert other.edges == net.edges
    assert other.inputs == net.inputs
    assert other.outputs == net.outputs
    assert other.loss == net.loss
    assert other.dtype == net.dtype
    assert other.parameters.tobytes() == net.parameters.tobytes()
    assert (other.trainable == net.trainable).all()
    assert other(X).tobytes() == net(X).tobytes()
    one, two = net.gradient(X, y), other.gradient(X, y)
    assert one.loss == two.loss
    assert one.flat.tobytes() == two.flat.tobytes()
    assert one.visited == two.visited
    assert str(net.plan) == str(other.plan)


@given(dags(), seeds, st.sampled_from(["float64", "float32"]), st.sampled_from(["relu", "tanh", "sin"]))
def test_the_graph_of_a_network_builds_the_same_network(graph, seed, dtype, activation):
    net = network(graph, engine="reference", seed=seed, dtype=dtype, activation=activation)
    X, y = rows_for(net, rows=2, seed=seed)
    assert_same_network(net, network(net.to_networkx(), engine="reference"), X, y)


def test_where_an_activation_is_said_is_not_seen_in_the_last_bit():
    """As the default or as an attribute: the order in which terms are added is the same."""
    graph = nx.DiGraph([("x", f"h{k}") for k in range(9)] + [(f"h{k}", "y") for k in range(9)])
    for k in range(0, 9, 2):
        graph.nodes[f"h{k}"]["activation"] = "sin" if k % 4 else "relu"
    for engine in dagnet.engines():
        net = dagnet.Network(graph, activation="tanh", seed=0, engine=engine)
        other = dagnet.Network(net.to_networkx(), engine=engine)
        assert str(other.plan) == str(net.plan)
        X = np.random.default_rng(0).normal(size=(50, 1))
        assert net(X).tobytes() == other(X).tobytes()
        assert net.topology.activations == other.topology.activations


@given(dags(), seeds)
def test_copies_and_pickles_are_the_same_network_with_its_own_parameters(graph, seed):
    net = network(graph, engine="reference", seed=seed)
    X, y = rows_for(net, rows=2, seed=seed)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert_same_network(net, other, X, y)
        before = net.parameters.copy()
        other.parameters[:] += 1
        assert (net.parameters == before).all()


@given(dags(), seeds)
def test_building_leaves_the_graph_as_it_was(graph, seed):
    before = pickle.dumps(graph)
    net = network(graph, engine="reference", seed=seed)
    X, y = rows_for(net, rows=2, seed=seed)
    net.gradient(X, y)
    assert pickle.dumps(graph) == before


@given(dags(), seeds, st.data())
def test_plans_hold_their_invariants_and_restricted_ones_compute_the_same(graph, seed, data):
    net = network(graph, engine="reference", seed=seed)
    plan = net.plan
    plan.verify()
    X, _ = rows_for(net, rows=3, seed=seed)
    theta, state = (
        net.layout.by_slot(net.parameters),
        net.runner.forward(net.layout.by_slot(net.parameters), net.encode(X).inputs),
    )
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=plan.n_units, max_size=plan.n_units)))
    cut = plan.restrict(units=kept)
    assert_cut_computes_the_same(cut, theta, state, kept, plan)
    # A cut of a cut names units and slots of the first plan.
    again = np.array(data.draw(st.lists(st.booleans(), min_size=cut.n_units, max_size=cut.n_units)), bool)
    twice = cut.restrict(units=again)
    inside = np.zeros(plan.n_units, bool)
    inside[cut.unit_ids[again]] = True
    inside[cut.unit_ids[: cut.n_inputs]] = False
    assert_cut_computes_the_same(twice, theta, state, inside, plan)
    wanted = np.array(data.draw(st.lists(st.booleans(), min_size=plan.n_slots, max_size=plan.n_slots)), bool)
    plan.restrict(parameters=wanted).verify()
    plan.restrict(units=kept, parameters=wanted).verify()


def assert_cut_computes_the_same(cut, theta, state, kept, plan):
    cut.verify()
    computed = kept.copy()
    computed[: plan.n_inputs] = False
    assert (cut.unit_ids[cut.n_inputs :] == np.flatnonzero(computed)).all()
    runner = dagnet.engines()["reference"].prepare(cut, dtype="float64", threads=1)
    boundary = state.value(cut.unit_ids[: cut.n_inputs]).T
    again = runner.forward(theta[cut.slot_ids], boundary)
    units = np.arange(cut.n_units)
    assert close(again.value(units), state.value(cut.unit_ids))
    outputs = [unit for unit in plan.outputs.tolist() if computed[unit]]
    assert cut.unit_ids[cut.outputs].tolist() == outputs


@given(dags(), seeds)
def test_float32_is_float64_rounded(graph, seed):
    net = network(graph, engine="reference", seed=seed)
    single = network(net.to_networkx(), engine="reference", dtype="float32")
    X, y = rows_for(net, rows=3, seed=seed)
    assume(tame(graph, net, X))
    X = X.astype(np.float32).astype(float)
    assert single(X).dtype == np.float32
    assert single.parameters.dtype == np.float32
    gradient = single.gradient(X, y)
    assert gradient.flat.dtype == np.float32
    assert gradient.inputs.dtype == np.float32
    assert gradient.delta(single.nodes[0]).dtype == np.float32
    assert close(single(X), net(X), 1e-4)
    assert close(gradient.flat, net.gradient(X, y).flat, 1e-2)


@pytest.mark.parametrize("engine", ["reference", "auto"])
@given(dags(), seeds)
def test_the_same_seed_draws_the_same_bits(engine, graph, seed):
    one, two = (network(graph, engine=engine, seed=seed) for _ in range(2))
    assert one.parameters.tobytes() == two.parameters.tobytes()
