"""Dropout's masks by :mod:`dagnet.hashing`, bit for bit, in whole numbers of 64 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from dagnet.hashing import FIRST, SECOND, STRIDE, threshold, unit_keys

LOW = 2**32 - 1


class Keys:
    """What says which values of some units, or which terms, are dropped in a step."""

    def __init__(self, numbers: Any, rates: Any, device: Any) -> None:
        self._numbers, self._device = np.asarray(numbers), device
        bounds = np.broadcast_to(threshold(rates), self._numbers.shape).astype(np.int64)
        self._bounds = torch.tensor(bounds, device=device)[:, None]

    def halves(self, key: int) -> tuple[Any, Any]:
        """The halves of the units' keys in a step, (units, 1) each."""
        keys = unit_keys(key, self._numbers)
        low, high = (keys & np.uint64(LOW)), keys >> np.uint64(32)
        return tuple(torch.tensor(x.astype(np.int64), device=self._device)[:, None] for x in (low, high))

    def kept(self, halves: tuple[Any, Any], first: int, n_rows: int) -> Any:
        """(units, rows) what stays, of rows from ``first`` on: :func:`dagnet.hashing.kept`."""
        low, high = halves
        row = torch.arange(first, first + n_rows, device=self._device)
        word = (row >> 5) * 16 + (row & 15)
        bits = (word * int(STRIDE) + low) & LOW
        bits = (((bits ^ (bits >> 16)) * int(FIRST)) & LOW) ^ high
        bits = ((bits ^ (bits >> 13)) * int(SECOND)) & LOW
        bits = (bits ^ (bits >> 16)) >> (row & 16)
        return (bits & (2**16 - 1)) >= self._bounds
