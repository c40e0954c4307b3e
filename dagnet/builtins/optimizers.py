"""Optimizers: PyTorch's update rules, with its defaults, and L-BFGS, which searches along the loss.

Each other rule is elementwise, so that it runs on whole vectors as it stands, and an engine may
compile it as one pass.  In the formulas θ is the parameter, g its gradient, t the step (from
1) and η the learning rate; ``weight_decay`` λ adds λθ to g, except in ``adamw``.

Examples
--------
>>> print(SGD(learning_rate=0.1, momentum=0.9))
sgd(learning_rate=0.1, momentum=0.9, dampening=0.0, weight_decay=0.0, nesterov=False)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Evaluate, Optimizer
from dagnet.errors import PluginError
from dagnet.hookspecs import hookimpl
from dagnet.values import BETAS, FINITE, FLAG, FRACTION, NOT_NEGATIVE, POSITIVE, Rule, whole

State = Mapping[str, Any]
New = tuple[Any, State]


def _allows_nesterov(value: Any, settings: Mapping[str, Any]) -> bool:
    fitting = settings["momentum"] > 0.0 and settings["dampening"] == 0.0
    return FLAG.holds(value, settings) and (fitting or not value)


_NESTEROV = Rule("True or False, and True only with momentum above 0 and dampening 0", _allows_nesterov, bool)
_COMMON = {"learning_rate": POSITIVE, "weight_decay": NOT_NEGATIVE}
_SMOOTH = {"eps": NOT_NEGATIVE}


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent: b ← μ b + (1 − dampening) g (b ← g in the first step), θ ← θ − η b.

    With ``nesterov`` θ ← θ − η (g + μ b); without momentum θ ← θ − η g.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep
    learning", 2013, in PyTorch's form.
    """

    name: ClassVar[str] = "sgd"
    state_names: ClassVar[tuple[str, ...]] = ("momentum_buffer",)
    rules: ClassVar = {**_COMMON, "momentum": NOT_NEGATIVE, "dampening": FINITE, "nesterov": _NESTEROV}
    learning_rate: float = 1e-3
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def update(self, parameter: Any, gradient: Any, state: State, step: Any, learning_rate: Any) -> New:
        """The new parameter and momentum buffer."""
        gradient = gradient + self.weight_decay * parameter
        if self.momentum == 0.0:
            return parameter - learning_rate * gradient, state
        moved = self.momentum * state["momentum_buffer"] + (1.0 - self.dampening) * gradient
        buffer = np.where(step == 1, gradient, moved)
        direction = gradient + self.momentum * buffer if self.nesterov else buffer
        return parameter - learning_rate * direction, {"momentum_buffer": buffer}


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop: v ← α v + (1 − α) g², θ ← θ − η g/(√v + ε).

    With ``centered`` √(v − m²), where m ← α m + (1 − α) g; with momentum μ
    b ← μ b + g/(√v + ε), θ ← θ − η b.

    Source: Tieleman & Hinton, lecture 6.5, 2012; Graves, "Generating sequences with recurrent
    neural networks", 2013 (centred).
    """

    name: ClassVar[str] = "rmsprop"
    state_names: ClassVar[tuple[str, ...]] = ("square_average", "gradient_average", "momentum_buffer")
    rules: ClassVar = {**_COMMON, **_SMOOTH, "alpha": FRACTION, "momentum": NOT_NEGATIVE, "centered": FLAG}
    learning_rate: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False

    def update(self, parameter: Any, gradient: Any, state: State, step: Any, learning_rate: Any) -> New:
        """The new parameter and state."""
        del step
        gradient = gradient + self.weight_decay * parameter
        squares = self.alpha * state["square_average"] + (1.0 - self.alpha) * (gradient * gradient)
        average, buffer, variance = state["gradient_average"], state["momentum_buffer"], squares
        if self.centered:
            average = average + (1.0 - self.alpha) * (gradient - average)
            # Not below 0, as rounding makes it when the gradient stays the same.
            variance = np.maximum(squares - average * average, 0.0)
        direction = gradient / (np.sqrt(variance) + self.eps)
        if self.momentum > 0.0:
            direction = buffer = self.momentum * buffer + direction
        new = {"square_average": squares, "gradient_average": average, "momentum_buffer": buffer}
        return parameter - learning_rate * direction, new


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: θ ← θ − η m̂/(√v̂ + ε), with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).

    Here m ← β₁ m + (1 − β₁) g and v ← β₂ v + (1 − β₂) g².

    Source: Kingma & Ba, "Adam: a method for stochastic optimization", 2015.
    """

    name: ClassVar[str] = "adam"
    state_names: ClassVar[tuple[str, ...]] = ("mean", "square")
    rules: ClassVar = {**_COMMON, **_SMOOTH, "betas": BETAS}
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def update(self, parameter: Any, gradient: Any, state: State, step: Any, learning_rate: Any) -> New:
        """The new parameter, mean and mean square of the gradients."""
        gradient = gradient + self.weight_decay * parameter
        return self._moved(parameter, gradient, state, step, learning_rate)

    def _moved(self, parameter: Any, gradient: Any, state: State, step: Any, learning_rate: Any) -> New:
        """With c = √(1 − β₂ᵗ): η c/(1 − β₁ᵗ) and ε c are found once a step, which leaves one division."""
        (b1, b2), mean, square = self.betas, state["mean"], state["square"]
        root = np.sqrt(1.0 - b2**step)
        rate = learning_rate * root / (1.0 - b1**step)
        mean = mean + (1.0 - b1) * (gradient - mean)
        square = b2 * square + (1.0 - b2) * (gradient * gradient)
        new = parameter - rate * (mean / (np.sqrt(square) + self.eps * root))
        return new, {"mean": mean, "square": square}


@dataclass(frozen=True)
class AdamW(Adam):
    """AdamW: θ ← (1 − η λ) θ, then a step of Adam with the gradient as it is.

    Source: Loshchilov & Hutter, "Decoupled weight decay regularization", 2019.
    """

    name: ClassVar[str] = "adamw"
    weight_decay: float = 1e-2

    def update(self, parameter: Any, gradient: Any, state: State, step: Any, learning_rate: Any) -> New:
        """The new parameter, mean and mean square of the gradients."""
        kept = (1.0 - learning_rate * self.weight_decay) * parameter
        return self._moved(kept, gradient, state, step, learning_rate)


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adagrad: s ← s + g², θ ← θ − η/(1 + (t − 1) lr_decay) · g/(√s + ε).

    Source: Duchi, Hazan & Singer, "Adaptive subgradient methods for online learning and
    stochastic optimization", 2011.
    """

    name: ClassVar[str] = "adagrad"
    state_names: ClassVar[tuple[str, ...]] = ("sum",)
    rules: ClassVar = {
        **_COMMON, **_SMOOTH, "lr_decay": NOT_NEGATIVE, "initial_accumulator_value": NOT_NEGATIVE,
    }  # fmt: skip
    learning_rate: float = 1e-2
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10

    def start(self, parameters: Array) -> dict[str, Array]:
        """A fresh state: the sum starts at ``initial_accumulator_value``."""
        return {"sum": np.full_like(parameters, self.initial_accumulator_value)}

    def update(self, parameter: Any, gradient: Any, state: State, step: Any, learning_rate: Any) -> New:
        """The new parameter and sum of squared gradients."""
        gradient = gradient + self.weight_decay * parameter
        total = state["sum"] + gradient * gradient
        rate = learning_rate / (1.0 + (step - 1.0) * self.lr_decay)
        return parameter - rate * (gradient / (np.sqrt(total) + self.eps)), {"sum": total}


@dataclass(frozen=True)
class LBFGS(Optimizer):
    """L-BFGS: θ ← θ + t d, where d = −H g and H is made of the last ``memory`` pairs Δθ, Δg.

    H starts from Δθ·Δg / Δg·Δg of the newest pair, without one from 1/max(1, ‖g‖).  From t = η on a t is
    searched with L(t) ≤ L(0) + 10⁻⁴ t L′(0) and |L′(t)| ≤ 0.9 |L′(0)|, the strong Wolfe conditions, in at
    most so many ``trials``; then the lowest serves.  The loss never rises: where none is lower, θ stays and
    the pairs are forgotten.

    Source: Nocedal & Wright, "Numerical optimization", 2006, algorithms 7.4, 3.5 and 3.6.
    """

    name: ClassVar[str] = "lbfgs"
    state_names: ClassVar[tuple[str, ...]] = ("moves", "changes")
    rules: ClassVar = {"learning_rate": POSITIVE, "memory": whole(1), "trials": whole(1)}
    searches: ClassVar[bool] = True
    learning_rate: float = 1.0
    memory: int = 10
    trials: int = 25

    def start(self, parameters: Array) -> dict[str, Array]:
        """A fresh state: Δθ and Δg, (memory, parameters) each, the newest last; 0 where there is none yet."""
        return {name: np.zeros((self.memory, len(parameters)), parameters.dtype) for name in self.state_names}

    def step(
        self, parameters: Array, gradient: Array, state: dict[str, Array], *, step: int, learning_rate: float,
        evaluate: Evaluate | None = None,
    ) -> None:  # fmt: skip
        """Along d, unless rounding hides what there is to gain."""
        del step
        if evaluate is None:
            raise PluginError("optimizer 'lbfgs': step must have evaluate=, a function to search along")
        (loss, _), direction = evaluate(parameters), _direction(gradient, state)
        best, smallest = Trial(0.0, loss, float(gradient @ direction), gradient), np.finfo(gradient.dtype).eps

        def probe(t: float) -> Trial:
            found, slopes = evaluate(parameters + t * direction)
            slope = float(slopes @ direction)
            return Trial(t, found if math.isfinite(slope) else math.inf, slope, slopes)

        if -best.slope * learning_rate > smallest * abs(loss):
            best = _searched(probe, best, learning_rate, self.trials)
        if not best.loss < loss:
            for vectors in state.values():
                vectors[...] = 0
            return
        move, change = best.t * direction, best.gradient - gradient
        parameters += move
        if float(move @ change) > smallest * float(change @ change):
            for vectors, newest in ((state["moves"], move), (state["changes"], change)):
                vectors[:-1], vectors[-1] = vectors[1:], newest


class Trial(NamedTuple):
    """A place on the line θ + t d, the loss there, its slope along d, and its gradient."""

    t: float
    loss: float
    slope: float
    gradient: Array


def _direction(gradient: Array, state: State) -> Array:
    """−H g by two loops over the pairs."""
    both = zip(state["moves"], state["changes"], strict=True)
    pairs = [(move, change, float(move @ change)) for move, change in both if change.any()]
    direction, shares = -gradient, list[float]()
    for move, change, curvature in reversed(pairs):
        shares.append(float(move @ direction) / curvature)
        direction -= shares[-1] * change
    newest = pairs[-1][2] / float(pairs[-1][1] @ pairs[-1][1]) if pairs else 1.0
    direction *= newest if pairs else 1.0 / max(1.0, float(np.linalg.norm(gradient)))
    for (move, change, curvature), share in zip(pairs, reversed(shares), strict=True):
        direction += (share - float(change @ direction) / curvature) * move
    return direction


def _searched(probe: Callable[[float], Trial], first: Trial, t: float, most: int) -> Trial:
    """A trial that fulfils both conditions, else the lowest; both algorithms are one loop, which halves."""
    low, high = first, None
    for _ in range(most):
        trial = probe(t)
        if not trial.loss <= first.loss + 1e-4 * t * first.slope or trial.loss >= low.loss:
            high = trial
        elif abs(trial.slope) <= -0.9 * first.slope:
            return trial
        else:
            if trial.slope * (1.0 if high is None else high.t - low.t) >= 0.0:
                high = low
            low = trial
        t = 2.0 * low.t if high is None else (low.t + high.t) / 2.0
    return low


@hookimpl
def dagnet_optimizers() -> list[type[Optimizer]]:
    """The optimizers."""
    return [SGD, RMSprop, Adam, AdamW, Adagrad, LBFGS]
