"""What can be plugged in: frozen data that refuses what it cannot be."""

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest

import dagnet
from dagnet.contracts import Exporter, History, Initializer, Optimizer
from dagnet.errors import PluginError


def cube(z, k=1.0):
    return k * z**3


def slope(z, a, k=1.0):
    return 3 * k * z**2


def squares(o, t):
    return ((o - t) ** 2).sum(axis=1)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: dagnet.Activation("a b", cube), "activation: name must be an identifier"),
        (lambda: dagnet.Activation("cube", 3), "activation 'cube': function must be a function, got 3"),
        (lambda: dagnet.Activation("cube", cube, 3), "activation 'cube': derivative must be a function"),
        (lambda: dagnet.Activation("cube", cube, parameters=[1]), "parameters must be a mapping"),
        (lambda: dagnet.Activation("cube", cube, parameters={1: 2}), "parameters must be a mapping"),
        (lambda: dagnet.Loss("l", None), "loss 'l': value must be a function"),
        (lambda: dagnet.Loss("l", squares, 3), "loss 'l': gradient must be a function"),
        (lambda: dagnet.Loss("l", squares, predict=3), "loss 'l': predict must be a function"),
        (lambda: dagnet.Loss("l", squares, targets="labels"), "must be one of real, positive, binary"),
        (lambda: dagnet.Loss("l", squares, outputs="any"), "must be one of real, probability, positive"),
        (lambda: Initializer("ones", None), "initializer 'ones': draw must be a function"),
        (lambda: Exporter("xyz", "xyz", print), "suffix must be a lower-case suffix"),
        (lambda: Exporter("xyz", ".XYZ", print), "suffix must be a lower-case suffix"),
        (lambda: Exporter("xyz", 3, print), "suffix must be a lower-case suffix"),
        (lambda: Exporter("xyz", ".xyz", None), "write must be a function"),
        (lambda: Exporter("x y", ".xyz", print), "exporter: name must be an identifier"),
    ],
)
def test_what_cannot_be(build, words):
    with pytest.raises(PluginError) as caught:
        build()
    assert words in str(caught.value)


def test_frozen_and_equal_by_what_they_are():
    one, two = (dagnet.Activation("cube", cube, slope, parameters={"k": 1.0}) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert one != one.bind(2.0)
    assert one != dagnet.Activation("cube", cube, lambda z, a, k: 3 * k * z**2, parameters={"k": 1.0})
    assert one != "cube"
    with pytest.raises(FrozenInstanceError):
        one.name = "other"
    with pytest.raises(TypeError):
        one.parameters["k"] = 2.0
    for again in (copy.deepcopy(one), pickle.loads(pickle.dumps(one)), copy.copy(one)):
        assert again == one
        with pytest.raises(TypeError):
            again.parameters["k"] = 2.0


def test_kinks():
    bent = dagnet.Activation("bent", np.abs, lambda z, a: np.sign(z), kinks=[0, 1])
    assert bent.kinks == (0, 1)
    assert bent.kink_points() == (0.0, 1.0)
    moved = dagnet.Activation(
        "moved",
        lambda z, at: np.abs(z - at),
        lambda z, a, at: np.sign(z - at),
        parameters={"at": 2.0},
        kinks=lambda at: [at],
    )
    assert moved.kink_points() == (2.0,)
    assert moved.bind(at=3).kink_points() == (3.0,)


@dataclass(frozen=True)
class Momentum(Optimizer):
    """A rule with one state vector and one setting."""

    name = "momentum_of_this_test"
    state_names = ("velocity",)
    learning_rate: float = 0.1
    decay: float = 0.5

    def update(self, parameter, gradient, state, step, learning_rate):
        velocity = self.decay * state["velocity"] + gradient
        return parameter - learning_rate * velocity, {"velocity": velocity}


def test_an_optimizer_steps_in_place():
    rule = Momentum()
    parameters = np.array([1.0, 2.0])
    state = rule.start(parameters)
    assert state["velocity"].tolist() == [0.0, 0.0]
    for step in (1, 2):
        rule.step(parameters, np.array([1.0, -1.0]), state, step=step, learning_rate=0.1)
    assert state["velocity"].tolist() == [1.5, -1.5]
    np.testing.assert_allclose(parameters, [1 - 0.25, 2 + 0.25])
    assert str(rule) == "momentum_of_this_test(learning_rate=0.1, decay=0.5)"
    assert rule.settings() == {"decay": 0.5}
    with pytest.raises(PluginError, match=r"must define update\(\) or override step\(\)"):
        Optimizer.update(rule, 1.0, 1.0, {}, 1, 0.1)


def test_history():
    history = History({"loss": [3, 2]})
    history.append(loss=1.5, validation_loss=4)
    assert history["loss"] == [3.0, 2.0, 1.5]
    assert str(history["validation_loss"]) == "[nan, nan, 4.0]"
    assert list(history) == ["loss", "validation_loss"]
    assert len(history) == 2
    assert history.epochs == 3
    assert repr(history) == "<History: 3 epochs: loss=1.5, validation_loss=4>"
    copied = history.to_dict()
    copied["loss"].append(0)
    assert history.epochs == 3
    with pytest.raises(KeyError, match="did you mean 'loss'"):
        history["los"]
    assert History().epochs == 0
    assert History()._repr_html_()
