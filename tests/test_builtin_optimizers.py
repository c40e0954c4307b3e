"""Built-in optimizers: a hundred steps against PyTorch's documented rules, and PyTorch itself."""

import copy
import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from dagnet.builtins import optimizers
from dagnet.builtins.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop
from dagnet.errors import DataError
from dagnet.formula.formula import evaluate
from dagnet.testing import parametrize_with_checks

CASES = [
    SGD(),
    SGD(0.1),
    SGD(0.05, momentum=0.9),
    SGD(0.05, momentum=0.9, dampening=0.3),
    SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    SGD(0.05, weight_decay=0.1),
    SGD(0.05, momentum=0.5, dampening=-0.5, weight_decay=0.1),
    RMSprop(),
    RMSprop(0.02, alpha=0.9, eps=1e-3, weight_decay=0.05),
    RMSprop(0.02, centered=True),
    RMSprop(0.02, momentum=0.9),
    RMSprop(0.001, momentum=0.5, centered=True, weight_decay=0.1, alpha=0.5),
    Adam(),
    Adam(0.1, betas=(0.5, 0.9), eps=1e-4),
    Adam(0.01, weight_decay=0.1),
    Adam(0.01, betas=(0.0, 0.0)),
    Adam(0.01, betas=(0.3, 0.99)),
    AdamW(),
    AdamW(0.05, betas=(0.8, 0.95), weight_decay=0.2, eps=1e-6),
    AdamW(0.05, weight_decay=0.0),
    Adagrad(),
    Adagrad(0.1, lr_decay=0.05, weight_decay=0.01),
    Adagrad(0.1, initial_accumulator_value=0.5, eps=1e-3),
]
STEPS = 100
START = np.array([1.5, -2.0, 0.0, 30.0, -1e-3])


def gradient_at(theta, step):
    """A gradient that turns and shrinks as the parameters move, with some noise and zeros."""
    noise = np.sin(np.arange(5) * 1.7 + step)
    gradient = np.array([2.0, 0.5, 1.0, 0.1, 40.0]) * theta + 0.3 * noise
    gradient[2] = 0.0 if step % 3 else gradient[2]
    return gradient


def documented(item):
    """One parameter's steps in plain Python floats, as PyTorch's pages write the algorithms."""
    state = {}

    def sgd(theta, g, t):
        g = g + item.weight_decay * theta
        if item.momentum != 0:
            if t > 1:
                state["b"] = item.momentum * state["b"] + (1 - item.dampening) * g
            else:
                state["b"] = g
            g = g + item.momentum * state["b"] if item.nesterov else state["b"]
        return theta - item.learning_rate * g

    def rmsprop(theta, g, _t):
        g = g + item.weight_decay * theta
        v = state["v"] = item.alpha * state.get("v", 0.0) + (1 - item.alpha) * g**2
        if item.centered:
            m = state["m"] = item.alpha * state.get("m", 0.0) + (1 - item.alpha) * g
            v = max(v - m**2, 0.0)
        if item.momentum > 0:
            b = state["b"] = item.momentum * state.get("b", 0.0) + g / (math.sqrt(v) + item.eps)
            return theta - item.learning_rate * b
        return theta - item.learning_rate * g / (math.sqrt(v) + item.eps)

    def adam(theta, g, t):
        if isinstance(item, AdamW):
            theta = theta - item.learning_rate * item.weight_decay * theta
        else:
            g = g + item.weight_decay * theta
        m = state["m"] = item.betas[0] * state.get("m", 0.0) + (1 - item.betas[0]) * g
        v = state["v"] = item.betas[1] * state.get("v", 0.0) + (1 - item.betas[1]) * g**2
        m_hat, v_hat = m / (1 - item.betas[0] ** t), v / (1 - item.betas[1] ** t)
        return theta - item.learning_rate * m_hat / (math.sqrt(v_hat) + item.eps)

    def adagrad(theta, g, t):
        rate = item.learning_rate / (1 + (t - 1) * item.lr_decay)
        g = g + item.weight_decay * theta
        s = state["s"] = state.get("s", item.initial_accumulator_value) + g**2
        return theta - rate * g / (math.sqrt(s) + item.eps)

    return {"sgd": sgd, "rmsprop": rmsprop, "adam": adam, "adamw": adam, "adagrad": adagrad}[item.name]


def run(item, dtype=np.float64, steps=STEPS):
    """The parameters after each step, (steps, 5)."""
    theta = START.astype(dtype)
    state = item.start(theta)
    path = []
    for step in range(1, steps + 1):
        gradient = gradient_at(theta, step).astype(dtype)
        item.step(theta, gradient, state, step=step, learning_rate=item.learning_rate)
        path.append(theta.copy())
    assert set(state) == set(item.state_names)
    assert all(vector.dtype == dtype and vector.shape == (5,) for vector in (theta, *state.values()))
    return np.array(path)


def by_hand(item):
    rules, theta = [documented(item) for _ in START], START
    for step in range(1, STEPS + 1):
        pairs = zip(rules, theta.tolist(), gradient_at(theta, step).tolist(), strict=True)
        theta = np.array([rule(p, g, step) for rule, p, g in pairs])
        yield theta


def by_torch(item):
    torch = pytest.importorskip("torch")
    theta = torch.tensor(START, requires_grad=True)
    settings = {key: value for key, value in vars(item).items() if key != "learning_rate"}
    there = getattr(torch.optim, type(item).__name__)([theta], lr=item.learning_rate, **settings)
    for step in range(1, STEPS + 1):
        theta.grad = torch.tensor(gradient_at(theta.detach().numpy(), step))
        there.step()
        yield theta.detach().numpy().copy()


@pytest.mark.parametrize("right", [by_hand, by_torch])
@pytest.mark.parametrize("item", CASES, ids=str)
def test_a_hundred_steps_are_those_of_the_documented_rule_and_pytorchs(item, right):
    np.testing.assert_allclose(run(item), [*right(item)], rtol=1e-12, atol=1e-12)


def test_names_and_defaults():
    assert [str(cls()) for cls in optimizers.dagnet_optimizers()] == [
        "sgd(learning_rate=0.001, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False)",
        "rmsprop(learning_rate=0.01, alpha=0.99, eps=1e-08, weight_decay=0.0, momentum=0.0, centered=False)",
        "adam(learning_rate=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0)",
        "adamw(learning_rate=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01)",
        (
            "adagrad(learning_rate=0.01, lr_decay=0.0, weight_decay=0.0, "
            "initial_accumulator_value=0.0, eps=1e-10)"
        ),
        "lbfgs(learning_rate=1.0, memory=10, trials=25)",
    ]


@parametrize_with_checks(CASES)
def test_what_every_optimizer_must_do(check):
    check()


@pytest.mark.parametrize("item", CASES, ids=str)
def test_float32_stays_float32_and_follows_float64(item):
    single, double = run(item, np.float32, steps=10), run(item, steps=10)
    np.testing.assert_allclose(single, double, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("item", CASES, ids=str)
def test_its_formula_is_the_rule(item):
    assert item.reason == ""
    assert item.formula.arguments[:2] == ("parameter", "gradient")
    rng = np.random.default_rng(0)
    theta, gradient, *vectors = rng.uniform(0.1, 1.0, (2 + len(item.state_names), 7))
    for step in (1, 2, 9):
        numbers = [{"step": step, "learning_rate": 0.02, **item.settings()}[name]
                   for name in item.formula.arguments[2 + len(vectors) :]]  # fmt: skip
        results = evaluate(item.formula, theta, gradient, *vectors, *numbers)
        new, state = item.update(
            theta, gradient, dict(zip(item.state_names, vectors, strict=True)), step, 0.02
        )
        for ours, truth in zip(results, [new, *(state[name] for name in item.state_names)], strict=True):
            np.testing.assert_allclose(ours, truth, rtol=1e-14)


def test_settings_are_arguments_of_the_formula_and_choices_are_not():
    contents = {Adam(betas=(b, 0.99), weight_decay=b / 10).formula.content for b in (0.1, 0.5, 0.9)}
    assert len(contents) == 1
    assert SGD(momentum=0.9, nesterov=True).formula != SGD(momentum=0.9).formula
    assert "betas[1]" in Adam().formula.arguments


def test_a_constant_gradient_leaves_centred_rmsprop_a_number():
    theta = np.array([1.0, 1.0])
    item = RMSprop(1e-3, alpha=0.5, centered=True)
    state = item.start(theta)
    for step in range(1, 200):  # the variance is 0 up to rounding
        item.step(theta, np.array([0.1, 0.3]), state, step=step, learning_rate=1e-9)
    assert np.isfinite(theta).all()


@pytest.mark.parametrize(
    ("cls", "settings", "what"),
    [
        *(
            (cls, {"learning_rate": bad}, "learning_rate must be a finite number above 0")
            for cls in optimizers.dagnet_optimizers()
            for bad in (0, -0.1, math.nan, math.inf, "fast", None, True, 10**400)
        ),
        (SGD, {"momentum": -0.1}, "momentum must be a finite number of at least 0"),
        (SGD, {"dampening": "x"}, "dampening must be a finite number"),
        (SGD, {"weight_decay": -1}, "weight_decay must be a finite number of at least 0"),
        (SGD, {"nesterov": True}, "nesterov must be .* only with momentum above 0 and dampening 0"),
        (SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov must be .* dampening 0"),
        (SGD, {"nesterov": 1, "momentum": 0.9}, "nesterov must be True or False"),
        (RMSprop, {"alpha": 1.0}, "alpha must be a number from 0 up to, but without, 1"),
        (RMSprop, {"alpha": -0.1}, "alpha must be"),
        (RMSprop, {"eps": -1e-8}, "eps must be a finite number of at least 0"),
        (RMSprop, {"centered": "yes"}, "centered must be True or False"),
        (Adam, {"betas": (0.9, 1.0)}, "betas must be a pair of numbers, each from 0 up to, but without, 1"),
        (Adam, {"betas": (-0.1, 0.9)}, "betas must be a pair"),
        (Adam, {"betas": (0.9,)}, "betas must be a pair"),
        (Adam, {"betas": 0.9}, "betas must be a pair"),
        (Adam, {"betas": ("a", 0.9)}, "betas must be a pair"),
        (AdamW, {"weight_decay": math.nan}, "weight_decay must be"),
        (Adagrad, {"lr_decay": -1}, "lr_decay must be"),
        (Adagrad, {"initial_accumulator_value": -1}, "initial_accumulator_value must be"),
        (Adagrad, {"eps": math.inf}, "eps must be"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(cls, settings, what):
    with pytest.raises(DataError, match=f"^optimizer '{cls.name}': {what}.*, got "):
        cls(**settings)


def test_settings_are_plain_python_numbers_and_frozen():
    item = Adam(np.float32(0.5), betas=[0, np.float64(0.5)], weight_decay=1)
    assert (item.learning_rate, item.betas, item.weight_decay) == (0.5, (0.0, 0.5), 1.0)
    assert {type(value) for value in (item.learning_rate, *item.betas, item.weight_decay)} == {float}
    with pytest.raises(FrozenInstanceError):
        item.eps = 1.0
    assert replace(item, eps=0.0) != item
    assert copy.deepcopy(item) == item
    with pytest.raises(DataError, match="learning_rate must be"):
        replace(item, learning_rate=0.0)
