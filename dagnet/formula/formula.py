"""The formula: what a NumPy function calculates, what it means, and all that can be asked of it.

The interpreter on arrays, by NumPy, is the meaning of every operation.  What is one number in all is
calculated in double precision; where it meets an array it takes the array's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.errors import DagnetError, Verbatim, expected
from dagnet.formula.data import CONSTANT, NUMBER, Calculation, Op, calculated
from dagnet.formula.derivative import derivative
from dagnet.formula.writing import latex, listing

SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0)
CONSTANTS = 60
"""Of how many of a formula's constants the neighbours are tried."""


class Formula(Calculation):
    r"""What a function calculates, as frozen data; ``print`` lists it.

    Parameters
    ----------
    arguments
        Their names; they are the first operations, in order.
    ops
        Operations (name, places that it reads, form, whether it is a yes or no, value), each reading
        earlier ones.  ``form`` is ``"number"``, ``"row"``, ``"unit"`` or ``"term"``: how often it is there.
    results
        The places of what the function returns.

    Examples
    --------
    >>> import dagnet
    >>> print(dagnet.activations()["tanh"].formula)
    z ↦
      t1 = tanh(z)
      return t1
    >>> print(dagnet.activations()["sigmoid"].formula.derivative("z").latex)
    \sigma\left(z\right) \, \left(1 - \sigma\left(z\right)\right)
    """

    def __call__(self, *arguments: Any) -> Any:
        """The first result on arrays, by NumPy."""
        return evaluate(self, *arguments)[0]

    def derivative(self, by: str, *, result: str = "") -> Formula:
        """∂(sum of the first result)/∂(an argument), a formula of the same arguments.

        ``result`` names one more argument, after the first: the result itself, given along.
        """
        return derivative(self, by, result)

    def __str__(self) -> str:
        return listing(self)

    @property
    def latex(self) -> str:
        """The first result as one expression."""
        return latex(self)


def evaluate(formula: Calculation, *arguments: Any) -> tuple[Any, ...]:
    """The results, one array each.

    The first argument is an array that says shape and dtype: its last axis is that of units, its first one
    that of terms.  What is one number a row comes back without the axis of units, all else in that shape.
    """
    if len(arguments) != len(formula.arguments):
        must = f"called with {', '.join(formula.arguments)}"
        raise DagnetError(expected("formula", must, Verbatim(f"{len(arguments)} arguments")))
    first = np.asarray(arguments[0])
    first = first if first.dtype.kind == "f" else first.astype(np.float64)
    given = dict(zip(formula.arguments, (first, *arguments[1:]), strict=True))
    found: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for place in formula.needed():
            op = formula.ops[place]
            inputs = [found[read] for read in op.reads]
            if op.form != NUMBER:
                numbers = (formula.ops[read].form == NUMBER for read in op.reads)
                inputs = [_cast(x, first) if n else x for x, n in zip(inputs, numbers, strict=True)]
            found[place] = calculated(op, inputs, given, first)
    results = (_shaped(found[place], formula.ops[place], first) for place in formula.results)
    given_arrays = [x for x in arguments if isinstance(x, np.ndarray)]
    return tuple(x.copy() if any(np.may_share_memory(x, a) for a in given_arrays) else x for x in results)


def _cast(number: Any, like: Array) -> Any:
    return number if isinstance(number, (bool, np.bool_)) else like.dtype.type(number)


def _shaped(value: Any, op: Op, first: Array) -> Array:
    if op.truth:
        value = np.where(value, 1.0, 0.0)
    value = np.asarray(value, first.dtype)
    if op.form == "row":
        return np.broadcast_to(value, (*first.shape[:-1], 1))[..., 0].copy()
    if (value.shape == first.shape or op.form == "unit") and value.ndim:
        return value
    return np.broadcast_to(value, np.broadcast_shapes(value.shape, first.shape)).copy()


# -- two readings compared -------------------------------------------------------------------


def probe_numbers(
    formulas: Iterable[Calculation], points: Iterable[float] = (), dtype: Any = np.float64
) -> Array:
    """±[1e-30 … 1e30], special values, numbers of usual size, some points and the formulas' constants ± ε."""
    eps = float(np.finfo(dtype).eps)
    rng = np.random.default_rng(0)
    magnitudes = np.concatenate([10.0 ** np.arange(-30, 31, 3), 10.0 ** rng.uniform(-3, 3, 24)])
    ops = (op for formula in formulas for op in formula.ops)
    constants = {op.number for op in ops if op.name == CONSTANT and not op.truth}
    near = [*points, *sorted(filter(np.isfinite, constants))[:CONSTANTS]]
    steps = (-1e-3, -4 * eps, 0, 4 * eps, 1e-3)
    around = [x + step * max(abs(x), 1e-3) for x in near for step in steps]
    usual = rng.normal(0, 3, 64)
    with np.errstate(all="ignore"):
        return np.concatenate([SPECIAL, magnitudes, -magnitudes, usual, around]).astype(dtype)


def first_difference(ours: Any, theirs: Any, near: float, slack: Any = 0.0) -> int:
    """The place of the first two numbers that are not alike, or −1; ``slack`` is allowed beside ``near``."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    with np.errstate(all="ignore"):
        allowed = near * np.maximum(np.abs(ours), np.abs(theirs)) + slack
        alike = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs)) | (np.abs(ours - theirs) <= allowed)
    return -1 if alike.all() else int(np.flatnonzero(~alike.reshape(-1))[0])
