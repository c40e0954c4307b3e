"""Where things are: places by name, names by place, slots and parameters."""

from __future__ import annotations

import copy
import pickle
import time
import tracemalloc

import networkx as nx
import numpy as np
import pytest

import dagnet
from dagnet.model import layout, start
from dagnet.model.naming import ParameterNames


def drawn_network(*, units, shared):
    rng = np.random.default_rng(0)
    graph = nx.DiGraph()
    for node in range(20):
        graph.add_node(node, **({"units": 2} if units and node % 3 == 0 else {}))
    for node in range(4, 20):
        for parent in rng.choice(node, 4, replace=False).tolist():
            shape = (graph.nodes[node].get("units", 1), graph.nodes[parent].get("units", 1))
            key = {"share": (shape, parent % 3)} if shared and parent % 2 else {}
            graph.add_edge(parent, node, **key)
    return dagnet.Network(graph, seed=0)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("units", [False, True])
def test_every_parameter_has_a_name_that_leads_back_to_it(units, shared):
    net = drawn_network(units=units, shared=shared)
    names, layout = ParameterNames(net.layout), net.layout
    assert layout.is_direct != shared
    for place in range(len(net.parameters)):
        name, element, what = names[place]
        is_bias = what == "bias"
        number = net.topology.node_number(name) if is_bias else net.topology.edge_number(name)
        places = layout.bias_places(number) if is_bias else layout.weight_places(number)
        assert places[element or (0,) * places.ndim] == place
        node = net.topology.index[name if is_bias else name[1]]
        assert set(range(layout.plan.n_units)[layout.units_of(node)]) & set(names.units(place).tolist())
    unbiased = np.flatnonzero(~net.topology.has_bias)
    assert len(unbiased)
    assert all(layout.bias_places(node).shape == (0,) for node in unbiased)


@pytest.mark.parametrize("shared", [False, True])
def test_slots_and_parameters(shared):
    net = drawn_network(units=True, shared=shared)
    layout = net.layout
    counts = layout.by_parameter(np.ones(layout.plan.n_slots))
    assert counts.sum() == layout.plan.n_slots
    assert (counts > 1).any() == shared
    slots = layout.by_slot(net.parameters)
    np.testing.assert_allclose(layout.by_parameter(slots), counts * net.parameters)
    into = np.full(len(net.parameters), np.nan)
    np.testing.assert_allclose(layout.by_parameter(slots, out=into), counts * net.parameters)


def test_names_and_weights_of_many_edges_take_no_time():
    rng = np.random.default_rng(0)
    pairs = np.unique(rng.integers(0, 3000, (60_000, 2)), axis=0)
    net = dagnet.Network.from_arrays(pairs[:, 0], 3000 + pairs[:, 1], seed=0)
    start = time.perf_counter()
    names = ParameterNames(net.layout)
    last = [names[place] for place in range(len(net.parameters) - 500, len(net.parameters))]
    assert all(name.what == "bias" for name in last)
    weights = dict(net.weights)
    assert time.perf_counter() - start < 2  # 0.3 s; a search through all names for each takes minutes
    assert list(weights) == list(net.edges)


def test_copies_share_what_is_frozen_and_own_their_parameters():
    net = drawn_network(units=True, shared=True)
    net.note = ["mine"]
    twin, again = copy.deepcopy(net), pickle.loads(pickle.dumps(net))
    assert twin.runner is net.runner
    assert again.runner is not net.runner
    for other in (twin, again):
        assert (other.parameters == net.parameters).all()
        assert other.note == ["mine"]
        assert other.note is not net.note
        other.parameters[:] = 0
        assert net.parameters.any()
        assert not other.forward(np.ones((1, other.layout.plan.n_inputs)))[19].any()


def wide(n=300, degree=5, seed=0):
    """Parents and children of a random graph in a random order."""
    rng = np.random.default_rng(seed)
    targets = np.repeat(np.arange(degree, n), degree)
    sources = (rng.random(len(targets)) * targets).astype(np.int64)
    return rng.permutation(np.unique(np.stack([sources, targets]), axis=1), axis=1)


def test_where_weights_stand_is_found_again_where_it_is_not_kept(monkeypatch):
    ends, rows = wide(), np.random.default_rng(1)
    kept = dagnet.Network.from_arrays(*ends, seed=0)
    monkeypatch.setattr(layout, "MANY", 1)
    net = dagnet.Network.from_arrays(*ends, seed=0)
    assert not {"weights", "biases"} & vars(net.layout).keys()
    X, y = rows.normal(size=(9, len(net.inputs))), rows.normal(size=(9, len(net.outputs)))
    for one in (kept, net):
        one.fit(X, y, epochs=2, seed=0, standardize=True)
    assert not {"weights", "biases"} & vars(net.layout).keys()
    for one in (net, pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert dict(one.weights) == dict(kept.weights)
        assert dict(one.biases) == dict(kept.biases)
        np.testing.assert_array_equal(one.layout.weights, kept.layout.weights)
        np.testing.assert_array_equal(one.layout.biases, kept.layout.biases)


@pytest.mark.parametrize("given", [False, True])
def test_weights_that_are_drawn_in_portions_are_those_drawn_at_once(monkeypatch, given):
    parents, children = wide()
    graph = nx.DiGraph()
    for place, pair in enumerate(zip(parents.tolist(), children.tolist(), strict=True)):
        graph.add_edge(*pair, **({"weight": float(place)} if given and place % 3 == 0 else {}))
    nets = {}
    for portion in (2**18, 7):
        monkeypatch.setattr(start, "PORTION", portion)
        for form in ("he_uniform", "he_normal", "constant(0.5)"):
            for dtype in ("float64", "float32"):
                net = dagnet.Network(graph, initializer=form, seed=3, dtype=dtype)
                nets.setdefault((form, dtype), []).append(net.parameters)
    for one, other in nets.values():
        np.testing.assert_array_equal(one, other)


def test_an_edge_takes_few_bytes():
    """Kept and at most while building; 31 and 48 where there are ten million edges, ten a node."""
    ends = wide(40_000, 10)
    dagnet.Network.from_arrays(*wide(), dtype="float32", seed=0)
    tracemalloc.start()
    net = dagnet.Network.from_arrays(*ends, dtype="float32", seed=0)
    kept, most = (size / net.topology.n_edges for size in tracemalloc.get_traced_memory())
    tracemalloc.stop()
    assert kept < 42  # 36
    assert most < 95  # of few edges portions are a large part
