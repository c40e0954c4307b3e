"""How to train: the arguments of ``fit``, checked once."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from dagnet.contracts import Callback, Optimizer
from dagnet.errors import DataError, expected
from dagnet.registry import find_optimizer

__all__ = ["Settings", "checked_callbacks", "checked_rate"]


@dataclass(frozen=True)
class Settings:
    """The checked arguments of ``fit`` that say how to train.

    Attributes
    ----------
    epochs
        Passes over the data in all, those before a resume included.
    batch_size
        Rows a step; more than there are is all of them.
    optimizer
        The update rule.
    learning_rate
        Its first learning rate.
    shuffle
        Whether every epoch takes the rows in an order of its own.
    seed
        The seed of that order: a whole number, None, or a Generator.
    clip_norm, clip_value
        The gradient's largest Euclidean norm, and the largest absolute value of an entry, or
        None.  Where both are given, the values are clipped first.
    l1, l2
        The reported loss has l1·Σ|w| + l2·Σw² added, over the trainable weights, not biases.
    """

    epochs: int
    batch_size: int
    optimizer: Optimizer
    learning_rate: float
    shuffle: bool
    seed: Any
    clip_norm: float | None
    clip_value: float | None
    l1: float
    l2: float

    @classmethod
    def checked(
        cls,
        *,
        epochs: object = 100,
        batch_size: object = 32,
        optimizer: object = "adam",
        learning_rate: object = None,
        shuffle: object = True,
        seed: object = None,
        clip_norm: object = None,
        clip_value: object = None,
        l1: object = 0.0,
        l2: object = 0.0,
    ) -> Settings:
        """Check every argument.

        Raises
        ------
        DataError
            For the first argument that will not do.
        PluginError
            For an unknown optimizer.

        Examples
        --------
        >>> Settings.checked(epochs=5, optimizer="sgd", learning_rate=1).learning_rate
        1.0
        """
        rule = find_optimizer(optimizer)
        return cls(
            epochs=_count("epochs", epochs),
            batch_size=_count("batch_size", batch_size),
            optimizer=rule,
            learning_rate=_positive(
                "learning_rate", rule.learning_rate if learning_rate is None else learning_rate
            ),
            shuffle=_flag("shuffle", shuffle),
            seed=seed,
            clip_norm=None if clip_norm is None else _positive("clip_norm", clip_norm),
            clip_value=None if clip_value is None else _positive("clip_value", clip_value),
            l1=_not_negative("l1", l1),
            l2=_not_negative("l2", l2),
        )

    def described(self) -> dict[str, Any]:
        """What an exact resume must have in common, by the name of the argument."""
        seed = self.seed if self.seed is None or isinstance(self.seed, (int, np.integer)) else "a Generator"
        return {
            "batch_size": self.batch_size,
            "optimizer": str(self.optimizer),
            "learning_rate": self.learning_rate,
            "shuffle": self.shuffle,
            "seed": int(seed) if isinstance(seed, np.integer) else seed,
            "clip_norm": self.clip_norm,
            "clip_value": self.clip_value,
            "l1": self.l1,
            "l2": self.l2,
        }


def checked_callbacks(callbacks: object) -> tuple[Callback, ...]:
    """Callbacks in the order in which they are called: as given, then those that run last."""
    must = "a list of Callback objects, such as [dagnet.EarlyStopping(patience=10)]"
    if isinstance(callbacks, (str, bytes, Callback)) or not isinstance(callbacks, Iterable):
        raise DataError(expected("callbacks", must, callbacks))
    listed = tuple(callbacks)
    for number, callback in enumerate(listed):
        if not isinstance(callback, Callback):
            mend = "make one of the class" if isinstance(callback, type) else "derive it from dagnet.Callback"
            raise DataError(expected(f"callbacks[{number}]", "a Callback object", callback, mend))
    return tuple(sorted(listed, key=lambda callback: bool(callback.runs_last)))


def checked_rate(value: object) -> float:
    """A learning rate that a callback sets: finite and at least 0."""
    return _not_negative("learning_rate", value)


def _count(name: str, value: object) -> int:
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1:
        return int(value)
    raise DataError(expected(name, "a whole number of 1 or more", value))


def _flag(name: str, value: object) -> bool:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise DataError(expected(name, "True or False", value))


def _number(value: object) -> float:
    """The value as a float; NaN for what is no number, or one that no float can hold."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def _positive(name: str, value: object) -> float:
    number = _number(value)
    if not 0 < number < math.inf:
        raise DataError(expected(name, "a finite number above 0", value))
    return number


def _not_negative(name: str, value: object) -> float:
    number = _number(value)
    if not 0 <= number < math.inf:
        raise DataError(expected(name, "a finite number of at least 0", value))
    return number
