"""What plans calculate with, as functions of tensors: activations, aggregations, and the sums of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dagnet.contracts import Activation, Aggregation, Unsupported
from dagnet.formula.data import Calculation
from dagnet.registry import named
from dagnet_torch.formulas import Written

SUM = 0  # the mode of embedding_bag


@dataclass(frozen=True)
class Place:
    """Where tensors are, of which type, and whether formulas are fused by ``torch.compile``."""

    dtype: Any
    device: Any
    fuse: bool = False

    def written(self, formula: Calculation, numbers: Mapping[str, Any]) -> Written:
        """A formula as a function of tensors here."""
        own = {name: float(value) for name, value in numbers.items() if name in formula.arguments}
        return Written(formula, own, self.dtype, self.device, fuse=self.fuse)

    def index(self, numbers: Any) -> Any:
        """Whole numbers as a tensor."""
        return torch.tensor(np.asarray(numbers, np.int64), device=self.device)

    def entries(self, numbers: Any) -> Any:
        """Indices and offsets of a bag: in 32 bits, where that is enough, half as many bytes to read."""
        numbers = np.asarray(numbers)
        short = numbers.max(initial=0) < 2**31
        return torch.tensor(numbers.astype(np.int32 if short else np.int64), device=self.device)

    def tensor(self, array: Any) -> Any:
        """Numbers of the type, copied unless they are here already."""
        array = np.asarray(array)
        safe = array.flags.writeable and all(stride >= 0 for stride in array.strides)
        return torch.from_numpy(array if safe else array.copy()).to(self.device, self.dtype)


def refuse(item: Any) -> None:
    """Refuse a function without a formula; those of a class of their own calculate by NumPy."""
    if type(item) in {Activation, Aggregation} and item.formula is None:
        what = f"{named(item)} has no formula, so PyTorch cannot run it: it {item.reason}"
        raise Unsupported(f"engine 'torch': {what}; or use engine='compiled', which runs it through NumPy")


class Activates:
    """An activation: value, slope, and the slopes by what it learns, each of z and of that."""

    def __init__(self, activation: Activation, place: Place) -> None:
        refuse(activation)
        self._activation, formulas = activation, activation.formulas
        self.names = list(activation.trainable)
        self._written = formulas.value is not None and formulas.slope is not None
        if formulas.value is None or formulas.slope is None:
            return
        numbers = {name: x for name, x in activation.parameters.items() if name not in self.names}
        self._value, self._slope = (
            place.written(formula, numbers) for formula in (formulas.value, formulas.slope)
        )
        self._by = [place.written(formula, numbers) for formula in formulas.by]

    @property
    def makes(self) -> int:
        """Of so many numbers a unit and row each formula is made at most."""
        formulas = [self._value, self._slope, *self._by] if self._written else []
        return max((formula.makes for formula in formulas), default=3)

    def value(self, z: Any, learned: list[Any], out: Any) -> None:
        """G(z), written to ``out``."""
        if self._written:
            self._value(z, *learned, out=out)
        else:
            out.copy_(_by_numpy(self._activation.value, self.names, learned, z))

    def call(self, z: Any, out: Any) -> Callable[[], Any]:
        """A call of :meth:`value` on fixed tensors, of what learns nothing."""
        return self._value.bound(z, out=out) if self._written else lambda: self.value(z, [], out)

    def slope_call(self, z: Any, a: Any) -> Callable[[], Any]:
        """A call of :meth:`slope` on fixed tensors, of what learns nothing."""
        return self._slope.bound(z, a) if self._written else lambda: self.slope(z, a, [])

    def slope(self, z: Any, a: Any, learned: list[Any]) -> Any:
        """g'(z), as a factor: booleans perhaps, or one number."""
        if self._written:
            return self._slope(z, a, *learned)
        return _by_numpy(self._activation.slope, self.names, learned, z, a)

    def slope_by(self, number: int, z: Any, learned: list[Any]) -> Any:
        """∂g/∂(what is learned)."""
        if self._written:
            return self._by[number](z, *learned)
        name = self.names[number]
        return _by_numpy(lambda x, **own: self._activation.slope_by(name, x, **own), self.names, learned, z)


class Aggregates:
    """An aggregation of terms, (terms, units, rows), and its derivatives."""

    def __init__(self, aggregation: Aggregation, place: Place) -> None:
        refuse(aggregation)
        self._aggregation, formulas = aggregation, aggregation.formulas
        self._written = formulas.value is not None and formulas.slope is not None
        if formulas.value is None or formulas.slope is None:
            return
        self._value, self._slope = (
            place.written(formula, aggregation.parameters) for formula in (formulas.value, formulas.slope)
        )

    @property
    def makes(self) -> int:
        """Of so many numbers a term and row each formula is made at most."""
        return max(self._value.makes, self._slope.makes) if self._written else 3

    def value(self, terms: Any) -> Any:
        """(units, rows)."""
        found = self._value(terms) if self._written else _by_numpy(self._aggregation.value, [], [], terms)
        return found if found.dtype == terms.dtype else found.to(terms.dtype)

    def slope(self, terms: Any, result: Any) -> Any:
        """∂result/∂terms, as a factor."""
        if self._written:
            return self._slope(terms, result)
        return _by_numpy(self._aggregation.slope, [], [], terms, result)


def _by_numpy(function: Any, names: list[str], learned: list[Any], *tensors: Any) -> Any:
    """A function of NumPy on tensors."""
    arrays = [tensor.detach().cpu().numpy() for tensor in tensors]
    own = {name: x.detach().cpu().numpy() for name, x in zip(names, learned, strict=True)}
    with np.errstate(all="ignore"):
        return torch.tensor(np.asarray(function(*arrays, **own)), device=tensors[0].device)


def bag(values: Any, index: Any, offsets: Any, weights: Any) -> Any:
    """Weighted sums of rows of ``values``; ``offsets`` ends with the number of entries."""
    return torch.ops.aten._embedding_bag_forward_only(  # noqa: SLF001 - an operator of ATen, without autograd
        values, index, offsets, False, SUM, False, weights, True
    )[0]


class Scatter:
    """Adds rows up by where they belong, always in the same order: the same bits on every device."""

    def __init__(self, places: Any, place: Place) -> None:
        flat = np.asarray(places).ravel()
        units, starts = np.unique(np.sort(flat, kind="stable"), return_index=True)
        self._units = place.index(units)
        self._order = place.index(np.argsort(flat, kind="stable"))
        self._offsets = place.index([*starts.tolist(), len(flat)])

    def add(self, into: Any, rows: Any) -> None:
        """Add (places, …) to ``into``."""
        flat = rows.reshape(-1, rows.shape[-1])
        into.index_add_(0, self._units, bag(flat, self._order, self._offsets, None))
