"""What an aggregation must do, one check a sentence; terms are (terms, units, rows)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Aggregation
from dagnet.contracts.trials import quotients, wrong
from dagnet.testing.outcomes import DTYPES, applied, copy_checks, must

SHAPES = ((1, 2, 3), (2, 1, 4), (5, 3, 2), (3, 2, 0))
NEAR = 1e-6


def _terms(dtype: type = np.float64) -> Iterator[Array]:
    rng = np.random.default_rng(0)
    return (rng.normal(0, 1.5, shape).astype(dtype) for shape in SHAPES)


def check_it_reduces_the_terms_and_keeps_the_dtype(aggregation: Aggregation) -> None:
    """For float64 and float32, of one term and of several; the derivative is of the terms' shape."""
    for terms in (terms for dtype in DTYPES for terms in _terms(dtype)):
        for what, result in applied(aggregation, terms).items():
            shape = terms.shape[what == "function" :]
            got, of = f"{result.dtype} of shape {result.shape}", f"{terms.dtype} of shape {shape}"
            must(got == of, f"its {what} gives {got} for terms of shape {terms.shape}; it must be {of}")


def check_each_place_is_computed_on_its_own(aggregation: Aggregation) -> None:
    """What stands beside a unit or a row does not change its result."""
    terms = np.random.default_rng(1).normal(0, 1.5, (4, 3, 5))
    together, alone = applied(aggregation, terms), applied(aggregation, terms[:, 1:2, 3:4])
    for what, result in together.items():
        near = np.allclose(result[..., 1:2, 3:4], alone[what], rtol=1e-13, atol=1e-14)
        must(near, f"its {what} depends on what stands beside a place; reduce over axis=0 alone")


def check_the_derivative_is_the_functions(aggregation: Aggregation) -> None:
    """Central differences say the same, for terms that are all different."""
    for n in (1, 2, 3, 7):
        rows = np.random.default_rng(n).normal(0, 1.5, (40, n))
        slopes = np.asarray(aggregation.slope(rows.T, aggregation.value(rows.T))).T
        numeric, near = quotients(lambda terms: aggregation.value(terms.T), rows)
        off = np.argwhere(wrong(slopes, numeric, near, NEAR))
        if len(off):
            place = tuple(off[0])
            raise AssertionError(
                f"for terms {rows[place[0]].round(6).tolist()} its derivative by term {place[1]} says "
                f"{slopes[place]:.9g}, central differences say {numeric[place]:.9g}"
            )


def check_single_precision_agrees_with_double(aggregation: Aggregation) -> None:
    """As far as float32 goes."""
    for terms in _terms(np.float32):
        doubles = applied(aggregation, terms.astype(np.float64))
        for what, single in applied(aggregation, terms).items():
            near = np.allclose(single, doubles[what], rtol=1e-4, atol=1e-4)
            must(near, f"its {what} in float32 is off what it gives in float64")


check_it_can_be_pickled, check_it_can_be_copied = copy_checks(
    lambda aggregation: np.concatenate([aggregation.value(terms).ravel() for terms in _terms()])
)
