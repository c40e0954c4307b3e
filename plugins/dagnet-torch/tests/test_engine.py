"""The engine against the reference engine: any graph, every kind of step, both types."""

import copy
import pickle
import shutil

import numpy as np
import pytest
from data.engine_conformance import GRAPHS, assert_conforms, pair
from data.strategies import dags, rows_for, seeds
from graphs import network, plain, rich
from graphs import rows_for as drawn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dagnet
from dagnet.contracts import Draw
from dagnet.plan import training_plan
from dagnet.plan.frozen import KINDS

DTYPES = ("float64", "float32")
dtypes = pytest.mark.parametrize("dtype", DTYPES)


@dtypes
@given(graph=dags(), seed=seeds, rows=st.sampled_from((1, 2, 63, 65)))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_graph_has_the_references_values_and_gradients(engine, dtype, graph, seed, rows):
    net, reference = pair(graph, engine, dtype, seed=seed)
    assert_conforms(net, reference, *rows_for(net, rows=rows, seed=seed))


@pytest.mark.parametrize("name", GRAPHS)
def test_dense_steps_too(engine, name):
    net, reference = pair(GRAPHS[name](), engine)
    X, y = rows_for(net, rows=65, seed=0)
    assert_conforms(net, reference, X, y)
    assert_conforms(net, reference, X, y, wrt=[*net.edges][1::5])


def training_walk(plan, engine, vector, dtype):
    """What an engine makes of a plan for training."""
    rng = np.random.default_rng(5)
    inputs = rng.normal(size=(70, plan.n_inputs)).astype(dtype)
    pull = rng.normal(size=(70, len(plan.outputs))).astype(dtype)
    draw = Draw(12345, np.linspace(0.5, 1.5, 70).astype(dtype) / 70)
    runner = dagnet.registry.find_engine(engine).prepare(plan, dtype=np.dtype(dtype), threads=1)
    state = runner.forward(vector, inputs, draw=draw)
    into = np.full(plan.n_slots, np.nan, dtype)
    runner.backward(vector, state, pull, into=into)
    units = np.arange(plan.n_units)
    return [
        state.value(units),
        state.pre_activation(units),
        state.delta(units),
        into,
        draw.mean,
        draw.variance,
    ]


@dtypes
def test_every_kind_of_step_as_training_runs_it(engine, dtype):
    net = network(rich(), "reference", dtype=dtype)
    plan = training_plan(net.layout.plan)
    assert {step.kind for step in plan.program()} >= set(KINDS) - {0}  # dense ones are tested above
    slots = net.layout.by_slot(net.parameters)
    for ours, right in zip(
        *(training_walk(plan, name, slots, dtype) for name in (engine, "reference")), strict=True
    ):
        scale = max(1.0, float(np.abs(right).max()))
        np.testing.assert_allclose(ours, right, rtol=0, atol=scale * (1e-12 if dtype == "float64" else 2e-5))


def test_both_ways_to_find_the_derivatives_of_weights_agree(engine):
    net = network(plain(), engine)
    X, y = drawn(net, 9)
    by_product = net.gradient(X, y).flat.copy()
    net.runner.program.edges._pattern = None  # as on a card
    np.testing.assert_allclose(net.gradient(X, y).flat, by_product, rtol=0, atol=1e-13)


@dtypes
def test_verify_passes(engine, dtype):
    for graph in (plain(), rich()):
        net = network(graph, engine, dtype=dtype)
        report = dagnet.verify(net, *drawn(net, 20))
        assert report.passed, report


def test_gradients_are_central_differences(engine):
    net = network(plain(), engine)
    X, y = drawn(net, 6)
    assert dagnet.check_gradient(net, X, y).passed


def test_attributions_are_the_references(engine):
    graph = plain()
    graph.nodes[20].update(aggregation="max", units=2)
    graph.nodes[25].update(normalization="layer", units=4)
    ours, right = (network(graph, name) for name in (engine, "reference"))
    X, _ = drawn(ours, 4)
    (one, *_) = [node for node in graph if not graph.out_degree(node)]
    found = [net.attribute(X, one) for net in (ours, right)]
    for node in ours.inputs:
        np.testing.assert_allclose(found[0][node], found[1][node], atol=1e-9)
    assert found[0].error < 1e-9


def test_monte_carlo_drops_what_the_reference_drops(engine):
    X, _ = drawn(network(rich(), engine), 100)
    ours, right = (network(rich(), name).predict(X, dropout=True, seed=3) for name in (engine, "reference"))
    np.testing.assert_allclose(ours, right, atol=1e-11)


def test_call_forms_name_the_device(engine):
    net = network(plain(), "torch(device='cpu', compile=False)")
    assert net.engine == "torch(device='cpu', compile=False)"
    X, y = drawn(net, 5)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin.engine == net.engine
        np.testing.assert_array_equal(twin(X), net(X))
    again = network(plain(), engine)
    np.testing.assert_array_equal(again.gradient(X, y).flat, again.gradient(X, y).flat)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's own compiler
def test_compile_makes_one_kernel_of_a_formula_and_the_same_values(device):
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("torch.compile needs a C++ compiler")
    graph = dagnet.layered([3, 4, 1], activation="gelu")
    fused, right = (network(graph, name) for name in (f"torch(device={device!r}, compile=True)", "reference"))
    X, _ = drawn(fused, 9)
    np.testing.assert_allclose(fused(X), right(X), atol=1e-13)
    np.testing.assert_allclose(fused(X[:5]), right(X[:5]), atol=1e-13)


def test_auto_never_takes_it_unasked():
    assert dagnet.Network(plain()).engine != "torch"
