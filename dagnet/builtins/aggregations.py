"""Aggregations of a node's terms w·a: (terms, …) → (…), one number of all terms at each place."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Aggregation
from dagnet.hookspecs import hookimpl


def total(terms: Array) -> Array:
    """Z − b = Σ t."""
    return np.sum(terms, axis=0)


def mean(terms: Array) -> Array:
    """Z − b = Σ t / n."""
    return np.mean(terms, axis=0)


def product(terms: Array) -> Array:
    """Z − b = Π t."""
    return np.prod(terms, axis=0)


def _product_slope(terms: Array, result: Array) -> Array:
    """The product of the other terms, from those before and those after: no division by a zero."""
    del result
    before, after = np.ones_like(terms), np.ones_like(terms)
    np.cumprod(terms[:-1], axis=0, out=before[1:])
    after[:-1] = np.cumprod(terms[:0:-1], axis=0)[::-1]
    return before * after


def largest(terms: Array) -> Array:
    """Z − b = max t; terms that tie share the derivative evenly."""
    return np.max(terms, axis=0)


def _ties(terms: Array, result: Array) -> Array:
    """Of a result that is NaN all terms share the derivative."""
    best = 1.0 - ((terms < result) | (terms > result))
    return (best / np.sum(best, axis=0)).astype(terms.dtype)


def smallest(terms: Array) -> Array:
    """Z − b = min t; terms that tie share the derivative evenly."""
    return np.min(terms, axis=0)


@hookimpl
def dagnet_aggregations() -> Iterable[Aggregation]:
    """All built-in aggregations."""
    return [
        Aggregation("sum", total),
        Aggregation("mean", mean),
        Aggregation("product", product, derivative=_product_slope),
        Aggregation("max", largest, derivative=_ties, kinks=True),
        Aggregation("min", smallest, derivative=_ties, kinks=True),
    ]
