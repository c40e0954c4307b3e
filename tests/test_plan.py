"""The compiler's passes, and the frozen plan with its checker, its knife and its printer."""

import copy
import pickle
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from data.engine_conformance import GRAPHS, SIDE

import dagnet
from dagnet.compiler import DENSE_MINIMUM, compile_topology
from dagnet.errors import DagnetError
from dagnet.plan import ACTIVATE, DENSE, SPARSE, STEP, Plan


def compiled(graph, **arguments):
    return compile_topology(dagnet.Network(graph, engine="reference", **arguments).topology)


def plan_of(graph, **arguments) -> Plan:
    return compiled(graph, **arguments).plan


@pytest.fixture
def plan():
    graph = dagnet.layered([2, 3, 2])
    graph.add_edge("x1", "y2")
    return plan_of(graph)


# -- the passes --------------------------------------------------------------------------


def test_inputs_come_first_and_units_after_their_parents():
    graph = nx.DiGraph([("a", "b"), ("c", "b"), ("b", "d"), ("c", "d")])
    net = dagnet.Network(graph, inputs=["c", "a"], engine="reference")
    units = [net.layout.units_of(net.topology.index[name]).start for name in "cabd"]
    assert units == [0, 1, 2, 3]
    for edge in graph.edges:
        u, v = (net.layout.units_of(net.topology.index[name]).start for name in edge)
        assert u < v


def test_units_of_a_level_stand_by_fan_out_and_then_by_fan_in():
    rng = np.random.default_rng(0)
    graph = nx.DiGraph()
    for child in range(30):
        graph.add_edges_from((f"x{parent}", child) for parent in rng.permutation(6)[: rng.integers(1, 5)])
        graph.add_edges_from((child, f"y{child}{k}") for k in range(rng.integers(1, 3)))
    net = dagnet.Network(graph, engine="reference")
    units = sorted(range(30), key=lambda node: net.layout.units_of(net.topology.index[node]).start)
    degrees = [(graph.out_degree(node), graph.in_degree(node)) for node in units]
    assert degrees == sorted(degrees)


def test_units_of_a_level_are_sorted_by_activation_so_that_one_step_serves_them():
    graph = nx.DiGraph((f"x{k % 2}", f"h{k}") for k in range(12))
    for k in range(12):
        graph.nodes[f"h{k}"]["activation"] = ("sin", "cos", "tanh")[k % 3]
    steps = plan_of(graph).steps
    assert (steps["kind"] == ACTIVATE).sum() == 3
    assert (steps["kind"] == SPARSE).sum() == 1


def test_a_layered_network_is_one_matrix_a_layer():
    plan = plan_of(dagnet.layered([SIDE, SIDE + 1, SIDE + 2, 1]))
    dense = plan.steps[plan.steps["kind"] == DENSE]
    assert dense["n_target"].tolist() == [SIDE + 1, SIDE + 2]
    assert dense["n_source"].tolist() == [SIDE, SIDE + 1]
    assert (dense["what"] == 0).all()
    assert plan.gather.size == 0


def test_a_node_of_many_units_is_one_matrix_by_birth():
    graph = nx.DiGraph()
    graph.add_node("x", units=SIDE + 1)
    graph.add_node("h", units=SIDE)
    graph.add_edge("x", "h")
    step = plan_of(graph).steps[0]
    assert (step["kind"], step["n_target"], step["n_source"]) == (DENSE, SIDE, SIDE + 1)


def test_what_is_too_small_or_too_narrow_stays_sparse():
    assert DENSE_MINIMUM > 4 * 4
    assert (plan_of(dagnet.layered([4, 4, 1])).steps["kind"] != DENSE).all()
    assert (plan_of(dagnet.layered([DENSE_MINIMUM, 2, 1])).steps["kind"] != DENSE).all()
    assert (plan_of(dagnet.layered([2, DENSE_MINIMUM, 1])).steps["kind"] != DENSE).all()


def test_parents_that_lie_apart_are_gathered():
    plan = plan_of(GRAPHS["gathered blocks"]())
    dense = plan.steps[plan.steps["kind"] == DENSE]
    assert (dense["what"] == 1).all()
    for step in dense:
        sources = plan.step_sources(step)
        assert (np.diff(sources) > 0).all()
        rows = slice(plan.indptr[step["target"]], plan.indptr[step["target"] + 1])
        assert (plan.sources[rows] == sources).all()


def test_equal_fingerprints_of_unequal_parents_make_no_block(monkeypatch):
    """The sums of random marks only find candidates; that parents are the same is proved."""

    class Colliding:
        def integers(self, low, high, n, dtype):
            return np.full(n, mark, dtype)

    monkeypatch.setattr("numpy.random.default_rng", lambda seed: Colliding())
    mark = 1
    graph = nx.DiGraph((f"x{(k + j) % 200}", f"h{k}") for k in range(SIDE) for j in range(SIDE))
    topology = dagnet.topology.topology_from_graph(
        graph,
        dagnet.topology.read_settings(graph, inputs=None, outputs=None, loss=None, dtype=None),
        activation="relu",
        weight=None,
    )
    plan = compile_topology(topology).plan
    plan.verify()
    assert (plan.steps["kind"] != DENSE).all()
    mark = 0
    uneven = graph.copy()
    uneven.add_edges_from((f"x{j}", "more") for j in range(SIDE - 1))
    settings = dagnet.topology.read_settings(uneven, inputs=None, outputs=None, loss=None, dtype=None)
    topology = dagnet.topology.topology_from_graph(uneven, settings, activation="relu", weight=None)
    assert (compile_topology(topology).plan.steps["kind"] != DENSE).all()


def test_an_edge_has_its_slots_where_the_layout_says():
    graph = nx.DiGraph()
    for name, units in (("a", 2), ("b", 1), ("c", 3)):
        graph.add_node(name, units=units)
    W, v = np.arange(6.0).reshape(3, 2), np.array([[10.0], [11.0], [12.0]])
    graph.add_edge("b", "c", weight=v)
    graph.add_edge("a", "c", weight=W)
    net = dagnet.Network(graph, engine="reference")
    assert (net.weights["a", "c"] == W).all()
    assert (net.weights["b", "c"] == v).all()
    together = net.parameters[: net.plan.n_weights].reshape(3, 3)
    assert (together == np.hstack([W, v])).all()


def test_shared_weights_are_tied_slots():
    graph = nx.DiGraph([("a", "b"), ("b", "c"), ("a", "c")])
    for edge in (("a", "b"), ("b", "c")):
        graph.edges[edge].update(share="k", weight=0.5)
    plan = plan_of(graph)
    assert plan.n_slots == 5
    assert plan.n_parameters == 4
    assert len(np.unique(plan.tie)) == 4


def test_isolated_inputs_make_a_plan_too():
    graph = nx.DiGraph([("x", "y")])
    graph.add_nodes_from(["lonely", "alone"])
    plan = plan_of(graph)
    plan.verify()
    assert plan.n_inputs == 3
    one = nx.DiGraph()
    one.add_node("x")
    plan = plan_of(one, outputs=["x"])
    plan.verify()
    assert len(plan.steps) == 0
    assert plan.n_parameters == 0


# -- verify ------------------------------------------------------------------------------


def broken_steps(plan, column, value, number=0):
    steps = plan.steps.copy()
    steps[number][column] = value
    return replace(plan, steps=steps)


def with_entry(array, place, value):
    changed = array.copy()
    changed[place] = value
    return changed


DAMAGE = {
    "known step kinds": lambda p: broken_steps(p, "kind", 7),
    "one row of parents a unit": lambda p: replace(p, indptr=p.indptr[:-1]),
    "rows cover all weights": lambda p: replace(p, indptr=with_entry(p.indptr, -1, 99)),
    "rows do not overlap": lambda p: replace(p, indptr=with_entry(p.indptr, 4, 99)),
    "inputs have no parents": lambda p: replace(p, indptr=with_entry(p.indptr, 2, 1)),
    "inputs have no biases": lambda p: replace(p, bias_slot=with_entry(p.bias_slot, 0, 9)),
    "parents come before their children": lambda p: replace(p, sources=with_entry(p.sources, 0, 6)),
    "parents exist": lambda p: replace(p, sources=with_entry(p.sources, 0, -1)),
    "outputs exist": lambda p: replace(p, outputs=np.array([70])),
    "one entry a unit": lambda p: replace(p, needs_delta=p.needs_delta[1:]),
    "one entry a slot": lambda p: replace(p, needs_gradient=p.needs_gradient[1:]),
    "biases follow the weights": lambda p: replace(p, bias_slot=with_entry(p.bias_slot, 3, 0)),
    "wanted derivatives are walked to": lambda p: replace(p, needs_delta=np.zeros(p.n_units, bool)),
    "one parameter a slot": lambda p: replace(p, tie=np.arange(3)),
    "every computed unit is summed once": lambda p: broken_steps(p, "n_target", 2),
    "every computed unit is activated once": lambda p: replace(p, steps=p.steps[:-1]),
    "sums come before activations": lambda p: replace(p, steps=p.steps[[1, 0, 2, 3]]),
    "activations exist": lambda p: broken_steps(p, "what", 9, 1),
    "a step starts at its first weight": lambda p: broken_steps(p, "slot", 3),
    "a sparse step counts its nonzeros": lambda p: broken_steps(p, "n_source", 3),
    "the transpose is that of the walked edges": lambda p: replace(p, slots_out=p.slots_out[::-1].copy()),
}


@pytest.mark.parametrize("sentence", DAMAGE)
def test_every_invariant_is_checked(plan, sentence):
    plan.verify()
    with pytest.raises(DagnetError, match=f"this plan is broken: {sentence}"):
        DAMAGE[sentence](plan).verify()


def test_values_must_be_ready_when_a_step_reads_them(plan):
    steps = plan.steps[[0, 2, 1, 3]]
    with pytest.raises(DagnetError, match="a step reads values that are ready"):
        replace(plan, steps=steps).verify()


@pytest.mark.parametrize(
    ("column", "value"), [("what", 1), ("source", 1), ("n_source", 3), ("source", -3), ("source", 10**6)]
)
def test_dense_steps_must_read_what_their_units_read(column, value):
    plan = plan_of(dagnet.layered([SIDE, SIDE, 1]))
    with pytest.raises(DagnetError, match="a dense step's units have the same parents"):
        broken_steps(plan, column, value).verify()


def test_gathered_units_must_be_the_parents():
    plan = plan_of(GRAPHS["gathered blocks"]())
    with pytest.raises(DagnetError, match="the same parents"):
        replace(plan, gather=plan.gather[::-1].copy()).verify()


# -- restrict ----------------------------------------------------------------------------


def test_a_plan_without_wanted_parameters_walks_nowhere(plan):
    cut = plan.restrict(parameters=np.zeros(plan.n_slots, bool))
    assert not cut.needs_delta.any()
    assert cut.indptr_out[-1] == 0
    deltas = plan.restrict(parameters=np.zeros(plan.n_slots, bool), deltas=np.ones(plan.n_units, bool))
    assert deltas.needs_delta.all()
    deltas.verify()


def test_a_dense_step_cut_to_some_of_its_units_stays_dense():
    plan = plan_of(dagnet.layered([SIDE, SIDE, 1]))
    kept = np.zeros(plan.n_units, bool)
    kept[SIDE + 2 : SIDE + 7] = True
    cut = plan.restrict(units=kept, deltas=np.ones(plan.n_units, bool))
    cut.verify()
    assert cut.n_inputs == SIDE
    assert cut.steps["kind"].tolist() == [DENSE, ACTIVATE]
    assert cut.steps["n_target"].tolist() == [5, 5]
    assert cut.unit_ids.tolist() == [*range(SIDE), *range(SIDE + 2, SIDE + 7)]


def test_what_a_cut_plan_reads_is_an_input_without_biases(plan):
    cut = plan.restrict(units=np.arange(plan.n_units) == plan.n_units - 1)
    assert cut.n_inputs
    assert (plan.bias_slot[cut.unit_ids] >= 0).sum() > 1
    assert (cut.bias_slot[: cut.n_inputs] == -1).all()


def test_restriction_does_not_change_the_plan(plan):
    before = pickle.dumps(plan)
    plan.restrict(units=np.ones(plan.n_units, bool), parameters=np.ones(plan.n_slots, bool))
    assert pickle.dumps(plan) == before


# -- the data itself ---------------------------------------------------------------------


def test_a_plan_is_frozen_and_stays_so(plan):
    for one in (plan, copy.deepcopy(plan), pickle.loads(pickle.dumps(plan))):
        for value in vars(one).values():
            if isinstance(value, np.ndarray):
                assert not value.flags.writeable
        with pytest.raises(AttributeError):
            one.n_units = 3
        one.verify()
    assert plan.steps.dtype == STEP


def test_the_listing_reads_like_a_program():
    graph = nx.DiGraph([("a", "h"), ("b", "h"), ("h", "y"), ("h", "z")])
    graph.nodes["h"]["activation"] = "elu(alpha=0.5)"
    graph.nodes["z"]["bias"] = False
    assert str(plan_of(graph)).splitlines() == [
        "plan: 5 units, 4 weights, 2 biases, 4 steps, the reverse walk enters 3 units for 6 derivatives",
        "        input     u0…u1",
        "     0  sparse    u2               = 2 weights + 1 bias",
        "     1  activate  u2               = elu(alpha=0.5)",
        "     2  sparse    u3…u4            = 2 weights + 1 bias",
        "     3  activate  u3…u4            = identity",
        "        output    u3…u4",
    ]
    assert repr(plan_of(graph)) == "<Plan: 5 units, 6 slots, 4 steps>"


def test_the_listing_of_dense_shared_and_noted_steps():
    listing = " ".join(str(plan_of(dagnet.layered([SIDE, SIDE, 20]))).split())
    n = SIDE
    assert f"dense u{n}…u{2 * n - 1} = W[{n}×{n}] @ u0…u{n - 1} + {n} biases" in listing
    assert "gathered" in str(plan_of(GRAPHS["gathered blocks"]()))
    graph = nx.DiGraph([("a", "b"), ("b", "c")])
    for edge in graph.edges:
        graph.edges[edge].update(share=1, weight=0.5)
    plan = plan_of(graph)
    assert "3 parameters" in str(plan)
    noted = replace(plan, notes={"relu": "NumPy: because"})
    assert "= relu   [NumPy]" in str(noted)
    assert "note      relu: NumPy: because" in str(noted)


def test_the_listing_of_a_long_program_is_short():
    path = plan_of(nx.path_graph(200, nx.DiGraph))
    lines = str(path).splitlines()
    assert len(lines) < 60
    assert "… 348 more steps …" in str(path)
    many = nx.DiGraph([("x", k) for k in range(30)])
    listing = str(plan_of(many, outputs=range(29, -1, -2)))
    assert "… 3 more" in listing
