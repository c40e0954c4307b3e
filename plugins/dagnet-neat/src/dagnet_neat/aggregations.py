"""NEAT's aggregations that dagnet does not have itself."""

from typing import Any

import numpy as np

import dagnet

__all__ = ["dagnet_aggregations"]


def median(terms: Any) -> Any:
    """The aggregation is the term in the middle, of an even count the mean of the middle two."""
    ordered, n = np.sort(terms, axis=0), len(terms)
    return 0.5 * (ordered[(n - 1) // 2] + ordered[n // 2])


def median_slope(terms: Any, _result: Any) -> Any:
    """½ for each of the two in the middle, 1 where that is one term."""
    slope, n = np.zeros_like(terms), len(terms)
    order = np.argsort(terms, axis=0, kind="stable")
    for place in ((n - 1) // 2, n // 2):
        one = order[place][None]
        np.put_along_axis(slope, one, np.take_along_axis(slope, one, axis=0) + 0.5, axis=0)
    return slope


def maxabs(terms: Any) -> Any:
    """The aggregation is the term that is farthest from 0, with its sign; of equals the first."""
    return np.take_along_axis(terms, np.abs(terms).argmax(axis=0)[None], axis=0)[0]


def maxabs_slope(terms: Any, _result: Any) -> Any:
    """1 for that term."""
    slope = np.zeros_like(terms)
    np.put_along_axis(slope, np.abs(terms).argmax(axis=0)[None], 1.0, axis=0)
    return slope


@dagnet.hookimpl
def dagnet_aggregations() -> list[dagnet.Aggregation]:
    """``median`` and ``maxabs``; sum, product, max, min and mean are dagnet's own."""
    return [
        dagnet.Aggregation("median", median, derivative=median_slope, kinks=True),
        dagnet.Aggregation("maxabs", maxabs, derivative=maxabs_slope, kinks=True),
    ]
