"""l1·Σ|w| + l2·Σw² on the device, as :class:`dagnet.training.learner.Penalty` has it."""

from __future__ import annotations

from typing import Any

import torch

from dagnet.training.learner import penalties


class Penalty:
    """The penalty of the parameters that learn, and its derivative."""

    def __init__(self, layout: Any, free: Any, settings: Any, place: Any) -> None:
        self._terms = []
        for word, power in (("l1", 1), ("l2", 2)):
            rate, by_parameter = penalties(layout, getattr(settings, word), word, power)
            if rate:
                self._terms.append((rate, power, place.tensor(by_parameter[free])))

    def __call__(self, live: Any) -> tuple[Any, Any]:
        """Its value in double precision, and (parameters,) its derivative."""
        value, slope = torch.zeros((), dtype=torch.float64, device=live.device), torch.zeros_like(live)
        for rate, power, each in self._terms:
            if power == 2:
                value = value + rate * (live * each * live).sum(dtype=torch.float64)
                slope = slope + live * each * (2 * rate)
            else:
                value = value + rate * (live.abs() * each).sum(dtype=torch.float64)
                slope = slope + torch.sign(live) * each * rate
        return value, slope
