"""Each activation against neat-python's function of the same name."""

import numpy as np
import pytest

import dagnet

neat = pytest.importorskip("neat")
OWN = neat.activations.ActivationFunctionSet().functions
EDGES = [0.0, 1.0, 1e-7, 3.4, 12.0, 24.0, 60.0]
POINTS = np.unique([*np.linspace(-70, 70, 1401), *EDGES, *np.negative(EDGES), *np.linspace(-4, 4, 801)])


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_are_neats(name, dtype):
    z = POINTS[POINTS < 700].astype(dtype)
    expected = np.array([OWN[name](x) for x in z.tolist()])
    ours = dagnet.activations()[f"neat_{name}"].value(z)
    assert ours.dtype == dtype
    wobble = 1e-12 if dtype == "float64" else 2e-5
    assert (np.abs(ours - expected) <= wobble * np.maximum(1.0, np.abs(expected))).all()


@pytest.mark.parametrize("name", OWN)
def test_derivatives_are_those_of_neats_values(name):
    activation, h = dagnet.activations()[f"neat_{name}"], 1e-6
    near = [np.abs(POINTS - kink) < 1e-4 for kink in activation.kink_points()]
    z = POINTS[~np.any([np.zeros(len(POINTS), bool), *near], axis=0)]
    expected = np.array([(OWN[name](x + h) - OWN[name](x - h)) / (2 * h) for x in z.tolist()])
    slopes = activation.slope(z, activation.value(z))
    size = np.maximum(np.abs(slopes), np.abs(activation.value(z)) * 1e-3)
    assert (np.abs(slopes - expected) <= 1e-5 * np.maximum(1.0, size)).all()


@pytest.mark.parametrize("name", OWN)
def test_all_run_as_machine_code(name):
    net = dagnet.Network(dagnet.layered([2, 3, 1], activation=f"neat_{name}"), seed=0)
    X, y = np.random.default_rng(0).normal(size=(9, 2)), np.zeros(9)
    assert dagnet.verify(net, X, y).passed
    assert not any("NumPy" in note for note in net.plan.notes.values())


def test_nothing_is_missing():
    assert {f"neat_{name}" for name in OWN} <= set(dagnet.activations())


def test_those_of_weight_agnostic_networks_are_their_formulas():
    z = np.linspace(-3, 3, 41)
    right = {"sin": np.sin(np.pi * z), "cos": np.cos(np.pi * z), "gauss": np.exp(-z * z / 2)}
    right |= {"step": (z > 0) * 1.0, "inverse": -z, "abs": np.abs(z), "square": z * z}
    for name, expected in right.items():
        np.testing.assert_allclose(dagnet.activations()[f"wann_{name}"].value(z), expected, atol=1e-15)


def test_median_and_maxabs_are_neats():
    rng, functions = np.random.default_rng(0), neat.aggregations.AggregationFunctionSet().functions
    for n in (1, 2, 3, 4, 9):
        terms = rng.integers(-3, 4, (n, 50)).astype(float)
        for name in ("median", "maxabs"):
            expected = [functions[name](column) for column in terms.T.tolist()]
            assert dagnet.aggregations()[name].value(terms).tolist() == expected
