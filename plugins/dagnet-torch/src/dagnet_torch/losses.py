"""Losses by their formulas, on tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from dagnet.contracts import Loss, counting, weighted_gradient
from dagnet_torch.batches import Batch
from dagnet_torch.functions import Place


class FormulaLoss:
    """L = Σ factor · ℓ, in double precision, and ∂L/∂outputs."""

    def __init__(self, loss: Loss, place: Place) -> None:
        formulas = loss.formulas
        if formulas.value is None or formulas.slope is None:
            raise ValueError(loss.reason)
        self._value, self._slope = (
            place.written(formula, loss.parameters) for formula in (formulas.value, formulas.slope)
        )

    def __call__(self, outputs: Any, targets: Any, factor: Any) -> tuple[Any, Any]:
        """Of (rows, output units), (rows, columns) and (rows,): a number, and (rows, output units)."""
        outputs = outputs.contiguous()
        values, idle = self._value(outputs, targets)[..., 0], factor == 0  # 0 times infinity is no number
        values = values.expand(len(outputs)).masked_fill(idle, 0)
        loss = torch.dot(values.double(), factor.double())
        pull = self._slope(outputs, targets).masked_fill(idle[:, None], 0) * factor[:, None]
        return loss, pull.expand_as(outputs)


class OnDevice:
    """Judges a batch by one loss that has a formula."""

    parts: Any = None

    def __init__(self, loss: Loss, place: Place) -> None:
        self._loss = FormulaLoss(loss, place)

    def __call__(self, outputs: Any, batch: Batch) -> tuple[Any, Any]:
        """The loss, and ∂loss/∂outputs, (rows, output units)."""
        return self._loss(outputs, batch.targets, batch.factor)


class ByNumpy:
    """Judges a batch by NumPy: several heads, missing labels, losses without a formula.

    The values of the output units leave the device for it; ``parts`` are those of the last batch.
    """

    parts: Any = None

    def __init__(self, objective: Any, place: Place, *, gaps: bool) -> None:
        self._objective, self._place = objective, place
        self._one = None if gaps else objective.one

    def __call__(self, outputs: Any, batch: Batch) -> tuple[Any, Any]:
        """The loss, and ∂loss/∂outputs, (rows, output units)."""
        values, (targets, factor) = outputs.contiguous().cpu().numpy(), batch.arrays
        with np.errstate(all="ignore"):
            if self._one is not None:
                each = counting(self._one.row_values(values, targets), factor).astype(np.float64)
                loss = float(np.dot(each, factor.astype(np.float64)))
                pull = weighted_gradient(self._one, values, targets, factor)
            else:
                self.parts = self._objective.parts(values, targets, factor, pull=True)
                loss, pull = self._objective.total(self._objective.losses(self.parts)), self.parts.pull
        return torch.tensor(loss, dtype=torch.float64, device=self._place.device), self._place.tensor(pull)


def judge_of(objective: Any, data: Any, place: Place) -> OnDevice | ByNumpy:
    """What judges the batches of a run."""
    gaps = data.gaps is not None
    if gaps or objective.one is None or objective.one.formula is None:
        return ByNumpy(objective, place, gaps=gaps)
    return OnDevice(objective.one, place)
