"""The gradient of what has no formula: one reverse pass over the arrays that ran through a function.

NumPy hands every ufunc and every function called on a :class:`Taped` array to the rules of this package
(``__array_ufunc__``, NEP 13, and ``__array_function__``, NEP 18); each leaves a step on the tape.  The cost
is a small multiple of the function's own, however many numbers the gradient has.  Source: A. Griewank and
A. Walther, *Evaluating Derivatives*, 2nd ed., SIAM 2008, chapter 3.

At a kink the derivative is the one of :mod:`dagnet.formula.operations`; sorting moves elements and keeps
the order of equal ones.  Where one side of a product of the chain rule is 0 and the other infinite or NaN,
it is 0: ``np.sqrt(np.maximum(z, 0))`` has 0 at negative z, and ``1 / (1 + np.exp(-z))`` at -1e4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dagnet.errors import shorten
from dagnet.formula import array_rules  # noqa: F401 - its rules register themselves
from dagnet.formula.tape import Array, NotDifferentiable, Tape, Taped

__all__ = ["NotDifferentiable", "Taped", "value_and_gradient"]


def value_and_gradient(function: Callable[..., Any], x: Array, *rest: Any) -> tuple[Array, Array]:
    """A function's value, and the derivative of its sum with respect to its first argument.

    Parameters
    ----------
    function
        ``function(x, *rest)``, written with NumPy; it works on a copy of ``x``.
    x
        An array of floating-point numbers.
    rest
        What else the function wants.

    Returns
    -------
    value, gradient
        ``function(x, *rest)``, where a number that does not depend on ``x`` is broadcast to its shape, and
        ∂(sum of it)/∂x, of x's shape and dtype.

    Raises
    ------
    NotDifferentiable
        Where something stands in the way: ``what`` continues "the function …", ``mend`` says what to write
        instead.

    Examples
    --------
    >>> value_and_gradient(lambda x: np.cumsum(np.sort(x)), np.array([2.0, 1.0, 5.0]))
    (array([1., 3., 8.]), array([2., 3., 1.]))
    """
    x = np.asarray(x)
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    tape: Tape = []
    argument = Taped(x.copy(), tape)
    try:
        with np.errstate(all="ignore"):
            result = function(argument, *map(_guarded, rest))
            if not isinstance(result, Taped):
                return _constant(result, x), argument.bar
            value = np.array(result.value)  # the way back puts back what was overwritten
            result.bar[...] = 1
            while tape:
                tape.pop()()
    finally:
        tape.clear()
    return value, argument.bar


def _guarded(item: Any) -> Any:
    """What cannot be written to need not be copied for the way back."""
    if type(item) is np.ndarray:
        item = item.view()
        item.flags.writeable = False
    return item


def _constant(result: Any, x: Array) -> Array:
    if not isinstance(result, (np.ndarray, np.generic, int, float)):
        raise NotDifferentiable(f"must be a function that returns an array, got {shorten(result)}")
    value: Array = np.asarray(result, x.dtype)
    return value if value.ndim else np.full(x.shape, value)
