"""Losses by their formulas, on tensors."""

from __future__ import annotations

from typing import Any

import torch

from dagnet.contracts import Loss
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
        values = self._value(outputs, targets)[..., 0]
        loss = torch.dot(values.expand(len(outputs)).double(), factor.double())
        pull = self._slope(outputs, targets) * factor[:, None]
        return loss, pull.expand_as(outputs)
