"""What an activation must do, one check a sentence.

The grid: all multiples of ½ from −30 to 30, 97 numbers from −3 to 3.1, and ±1e-3; there an
activation and its derivative are finite.  At ±1e4 they may be infinite, as exp is, but not NaN.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Activation
from dagnet.contracts.probing import off_kinks
from dagnet.contracts.trials import quotients, wrong
from dagnet.testing.outcomes import DTYPES, applied, copy_checks, must

SHAPES = ((3, 4), (1, 7), (6, 1), (2, 0), (5,))
GRID: Array = np.concatenate([np.arange(-30, 30.5, 0.5), np.linspace(-3, 3.1, 97), [-1e-3, 1e-3]])
FAR = np.array([-1e4, 1e4])
NEAR = 1e-6


def _everywhere(activation: Activation, *places: Array) -> Iterator[tuple[Array, str, Array]]:
    """The places and each result, by name, in both precisions."""
    for dtype in DTYPES:
        for z in (place.astype(dtype) for place in places):
            for what, result in applied(activation, z).items():
                yield z, what, result


def check_shape_and_dtype_are_preserved(activation: Activation) -> None:
    """For float64 and float32, for (units, rows) of any size, for one axis."""
    for z, what, result in _everywhere(activation, *(np.resize(GRID, shape) for shape in SHAPES)):
        got, of = f"{result.dtype} of shape {result.shape}", f"{z.dtype} of shape {z.shape}"
        must(got == of, f"its {what} gives {got} for {of}; return an array like z")


def check_each_number_is_computed_on_its_own(activation: Activation) -> None:
    """An activation is elementwise: what stands beside a number does not change its result."""
    z = GRID.reshape(4, -1)
    together = applied(activation, z)
    for row, column in ((0, 0), (1, 7), (3, 50)):
        for what, alone in applied(activation, z[row : row + 1, column : column + 1]).items():
            near = np.allclose(together[what][row, column], alone, rtol=1e-13, atol=1e-14, equal_nan=True)
            must(near, f"its {what} depends on what stands beside a number; it must be elementwise")


def check_the_derivative_is_the_functions(activation: Activation) -> None:
    """Central differences say the same, away from the declared kinks."""
    rng = np.random.default_rng(0)
    z = off_kinks(activation, np.concatenate([GRID, rng.normal(0, 1, 50), rng.normal(0, 8, 50)]))
    slopes = np.asarray(activation.slope(z, activation.value(z)))
    numeric, near = quotients(activation.value, z)
    off = np.flatnonzero(wrong(slopes, numeric, near, NEAR))
    if len(off):
        first = off[0]
        more = f", and {len(off) - 1} more like it" if len(off) > 1 else ""
        mend = "; is there a kink? Declare it with kinks=[…]" if len(off) <= len(z) // 20 else ""
        says = f"says {slopes[first]:.9g}, central differences say {numeric[first]:.9g}"
        raise AssertionError(f"at z = {z[first]:g} its derivative {says}{more}{mend}")


def check_single_precision_agrees_with_double(activation: Activation) -> None:
    """As far as float32 goes."""
    z = GRID.astype(np.float32)
    doubles = applied(activation, z.astype(np.float64))
    for what, single in applied(activation, z).items():
        size = np.maximum(1, np.maximum(np.abs(z), np.abs(doubles[what])))
        near = np.abs(single - doubles[what]) <= 64 * float(np.finfo(np.float32).eps) * size
        must(near.all(), f"its {what} in float32 is off {_at(z, ~near)}")


def check_it_is_finite_on_the_grid(activation: Activation) -> None:
    """The function and the derivative, in both precisions."""
    for z, what, result in _everywhere(activation, GRID):
        bad = ~np.isfinite(result)
        must(not bad.any(), f"its {what} is not finite {_at(z, bad)}, {z.dtype}")


def check_it_is_no_nan_far_out(activation: Activation) -> None:
    """At ±1e4 the function and the derivative may be infinite, but are numbers."""
    for z, what, result in _everywhere(activation, FAR):
        bad = np.isnan(result)
        must(not bad.any(), f"its {what} is NaN {_at(z, bad)}, {z.dtype}")


def _at(z: Array, bad: Array) -> str:
    return "at z = " + ", ".join(f"{float(number):g}" for number in z[bad][:3])


check_it_can_be_pickled, check_it_can_be_copied = copy_checks(
    lambda activation: np.stack(list(applied(activation, GRID).values()))
)
