"""Normalisations: frozen data; what they calculate is written once, for rows of arrays.

Of a batch (Ioffe and Szegedy, 2015): of each unit x̂ = (a − mean) / √(variance + eps) over the rows, and
y = scale · x̂ + shift.  Of a layer (Ba, Kiros and Hinton, 2016): the same over the units of one node, row
by row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from dagnet.errors import PluginError, did_you_mean
from dagnet.values import FACTOR, FLAG, POSITIVE, Rule, checked

MOMENTS = {"mean": 0.0, "variance": 1.0}
"""The running statistics of a normalisation of a batch, and where they begin."""
LEARNED = {"scale": 1.0, "shift": 0.0}
"""What a normalisation learns, and where it begins."""


@dataclass(frozen=True)
class Normalization:
    """How a node's value is normalised, over the rows of a batch or over the units of the node.

    Parameters
    ----------
    name
        ``"batch"`` or ``"layer"``.
    momentum
        The share of a batch's moments in the running ones, as in PyTorch.
    eps
        Added to the variance.
    before_activation
        Whether z is normalised, else the activation's value.
    """

    name: str
    momentum: float = 0.1
    eps: float = 1e-5
    before_activation: bool = False

    rules: ClassVar[Mapping[str, Rule]] = {
        "momentum": FACTOR,
        "eps": POSITIVE,
        "before_activation": FLAG,
    }

    @classmethod
    def of(cls, name: str, settings: Mapping[str, Any]) -> Self:
        """By name and settings; PluginError or DataError for those that there are not."""
        where = f"normalization {name!r}"
        if name not in KNOWN:
            raise PluginError(f"unknown {where}{did_you_mean(name, KNOWN, listed=2)}")
        for word in settings:
            if word not in KNOWN[name]:
                raise PluginError(
                    f"{where} has no parameter {word!r}{did_you_mean(word, KNOWN[name], listed=3)}"
                )
        defaults = {item.name: item.default for item in fields(cls)[1:]}
        return cls(name, **checked(where, {**defaults, **settings}, cls.rules))

    @property
    def over_rows(self) -> bool:
        """Whether it normalises over the rows of a batch."""
        return self.name == "batch"

    def __str__(self) -> str:
        said = [
            f"{item.name}={getattr(self, item.name)!r}"
            for item in fields(self)[1:]
            if getattr(self, item.name) != item.default
        ]
        return f"{self.name}({', '.join(said)})" if said else self.name


KNOWN = {"batch": ("momentum", "eps", "before_activation"), "layer": ("eps", "before_activation")}
