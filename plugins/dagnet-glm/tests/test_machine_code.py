"""The losses train as one piece with the network, and refuse there what they refuse elsewhere."""

import numpy as np
import pytest
from test_likelihoods import LOSSES

import dagnet
from dagnet.contracts import ThreeCalls

compiled = dagnet.engines().get("compiled")
pytestmark = pytest.mark.skipif(
    compiled is None or compiled.unavailable() is not None, reason="the compiled engine cannot run here"
)

X = np.random.default_rng(0).normal(size=(40, 3))


def network(spec, engine, dtype="float64"):
    graph = dagnet.layered([3, 4, 2], activation="tanh")
    return dagnet.Network(graph, loss=spec, engine=engine, dtype=dtype, seed=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec", LOSSES)
def test_losses_are_compiled_and_train_as_numpy_does(spec, dtype):
    net, same = (network(spec, engine, dtype) for engine in ("compiled", "reference"))
    assert not isinstance(net.runner.fused_gradient(net.loss), ThreeCalls)
    for each in (net, same):
        each.fit(X, LOSSES[spec], epochs=3, seed=0, progress=False)
    tolerance = 1e-9 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(net.parameters, same.parameters, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize(("spec", "target"), [("gamma", 0.0), ("gamma", -1.0), ("tweedie(power=2.0)", 0.0)])
def test_a_target_without_a_density_is_refused_in_training(spec, target, weight):
    y, weights, said = LOSSES[spec].copy(), np.ones(40), list[object]()
    y[39, 1], weights[39] = target, weight
    for engine in ("compiled", "reference"):
        net = network(spec, engine)
        with pytest.raises(dagnet.DataError, match=rf"above 0, got {target} in row 7; leave") as refusal:
            net.fit(X, y, epochs=1, batch_size=8, shuffle=False, sample_weight=weights, progress=False)
        said.append((str(refusal.value), refusal.value.__notes__))
    assert said[0] == said[1]
