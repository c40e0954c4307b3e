"""Which rows train, validate and test: drawn by a seed, classes in equal shares."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dagnet.arrays import Array
from dagnet.errors import DataError
from dagnet.model.selection import make_generator
from dagnet.values import FRACTION


def split_rows(n: int, shares: Mapping[str, float], labels: Array | None, seed: object) -> dict[str, Array]:
    """Row numbers by purpose, each sorted; what is left over is ``"train"``.

    Each share, 0 for none, is taken from the rows that the earlier ones left.  Where ``labels`` (rows,)
    says classes, every part gets its share of each.  DataError for too few rows.

    Examples
    --------
    >>> parts = split_rows(10, {"test": 0.2}, np.arange(10) % 2, 0)
    >>> {purpose: len(rows) for purpose, rows in parts.items()}
    {'test': 2, 'train': 8}
    """
    generator = make_generator(seed)
    left, result = np.arange(n), {}
    for purpose, share in shares.items():
        FRACTION.check(f"--{purpose}", share)
        if not share:
            continue
        taken = _taken(left, share, None if labels is None else labels[left], generator)
        if not 0 < len(taken) < len(left):
            mend = f"give more rows, or --{purpose} 0 for none"
            raise DataError(
                f"--{purpose}: a share of {share:g} leaves a part of {len(left)} rows empty; {mend}"
            )
        result[purpose] = taken
        left = np.setdiff1d(left, taken)
    result["train"] = left
    return result


def _taken(rows: Array, share: float, labels: Array | None, generator: np.random.Generator) -> Array:
    groups = [rows] if labels is None else [rows[labels == label] for label in np.unique(labels)]
    chosen = [generator.permutation(group)[: round(share * len(group))] for group in groups]
    return np.sort(np.concatenate(chosen))
