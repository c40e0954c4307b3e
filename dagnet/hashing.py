"""Random bits that are a function of what they are for: the same on every engine, in any order."""

from __future__ import annotations

from typing import Any

import numpy as np

from dagnet.arrays import Array

ODD = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ divided by the golden ratio
STRIDE = np.uint32(0x9E3779B1)  # 2³² divided by it
SHIFTS = tuple(np.array(shift, np.uint64) for shift in (30, 27, 31))
FACTORS = tuple(np.array(factor, np.uint64) for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""Arrays without axes, because NumPy makes such a one of each scalar, which takes as long as the rest."""
FIRST, SECOND = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)


def mixed(keys: Array) -> Array:
    """64 bits each, all of which depend on all bits of the key (Steele et al., SplitMix64, 2014)."""
    keys = keys ^ (keys >> SHIFTS[0])
    keys *= FACTORS[0]
    keys ^= keys >> SHIFTS[1]
    keys *= FACTORS[1]
    keys ^= keys >> SHIFTS[2]
    return keys


def step_key(seed: int, step: int) -> int:
    """The key of a training step's masks, 64 bits."""
    key = np.array([(seed + step * int(ODD)) % 2**64], np.uint64)
    return int(mixed(mixed(key) + ODD)[0])


def unit_keys(key: int, numbers: Array) -> Array:
    """(units,) 64 bits each, of the step's key and the units' numbers."""
    return mixed(np.uint64(key) + mixed(numbers.astype(np.uint64) + ODD))


def threshold(rate: Any) -> Any:
    """A value is kept where its 16 bits are at least that: rates are in steps of 1/65,536."""
    return np.minimum(np.rint(np.multiply(rate, 2**16)), 2**16 - 1).astype(np.uint32)


def kept(key: int, numbers: Array, n_rows: int, rate: Any, first: int = 0) -> Array:
    """(units, rows) mask of dropout: by the step's key, the unit's number and the row's, from ``first`` on.

    ``rate`` is a number, or (units, 1).

    MurmurHash3's finaliser (Appleby, 2011) of a row and the unit's key, whose halves enter at two places.
    Of 32 rows the first sixteen have the lower halves of sixteen words, the others the upper ones.
    """
    keys, row = unit_keys(key, numbers), np.arange(first, first + n_rows).astype(np.uint32)
    low, high = (keys & np.uint64(2**32 - 1)).astype(np.uint32), (keys >> np.uint64(32)).astype(np.uint32)
    word = (row >> np.uint32(5)) * np.uint32(16) + (row & np.uint32(15))
    bits = word * STRIDE + low[:, None]
    bits = (bits ^ (bits >> np.uint32(16))) * FIRST ^ high[:, None]
    bits = (bits ^ (bits >> np.uint32(13))) * SECOND
    bits ^= bits >> np.uint32(16)
    bits >>= (row & np.uint32(16))[None, :]
    result: Array = (bits & np.uint32(2**16 - 1)) >= threshold(rate)
    return result
