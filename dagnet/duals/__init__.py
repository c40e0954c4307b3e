"""Derivatives of NumPy functions that come without one: forward mode, by dual numbers.

A function is run once on *dual arrays*, arrays that carry their derivative along; NumPy hands
every ufunc and every function called on them to the rules of this package
(``__array_ufunc__``, NEP 13, and ``__array_function__``, NEP 18).  Source: A. Griewank and
A. Walther, *Evaluating Derivatives*, 2nd ed., SIAM 2008, chapter 3.

At a kink the derivative is the one that PyTorch's function of the same name has:

================================  ========================================================
``np.maximum``, ``np.minimum``    a half for each at a tie; so ``np.maximum(z, 0)`` has ½ at
                                  0, as ``torch.maximum`` has, where the built-in ``relu``
                                  and ``np.where(z > 0, z, 0)`` have 0
``np.fmax``, ``np.fmin``          a tie goes to the first argument
``np.clip``                       1 at the bounds and between them (``torch.clamp``)
``np.abs``, ``np.sign``           0 at 0
``np.where``, ``np.select``       the chosen branch's, whatever the other one holds
``np.max``, ``np.min``            shared evenly among ties (``torch.amax``)
``np.floor`` and the like         0, at the jumps too
``np.hypot``, ``np.linalg.norm``  0 at the origin
================================  ========================================================

A zero derivative inside wins over an infinite one outside (``np.sqrt(np.maximum(z, 0))`` has 0
at negative z), and where a number overflowed to infinity, a zero one outside over an infinite one
inside (``1 / (1 + np.exp(-z))`` has 0 at -1e4, where PyTorch has NaN).

Masks with assignment and in-place operators mean what they mean in NumPy, on a copy of the
input.  A function without a rule, or one that leaves NumPy (``math.exp``, ``np.vectorize``),
is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.duals import choices, functions  # noqa: F401 - their rules register themselves
from dagnet.duals.dual import Dual, NotDifferentiable
from dagnet.duals.spelling import Term, spelled_out, spelled_term
from dagnet.errors import DagnetError, PluginError, expected

__all__ = ["Derivative", "RowGradient"]

Array = NDArray[Any]

LARGEST = 2**20
"""How many tangents one array may hold; more seeds are run in several passes."""


@dataclass(frozen=True)
class Derivative:
    """``derivative(z, a, *parameters)``: g'(z) of an elementwise function, of z's shape and dtype.

    Parameters
    ----------
    function
        ``function(z, *parameters) -> a``, elementwise and vectorised, written with NumPy.

    Raises
    ------
    PluginError
        When called, where the function cannot be differentiated; the message names the NumPy
        function that stands in the way.

    Examples
    --------
    >>> import numpy as np
    >>> cube = Derivative(lambda z: z**3)
    >>> cube(np.array([1.0, 2.0]), None)
    array([ 3., 12.])
    """

    function: Callable[..., Any]

    def __call__(self, z: Any, a: Any = None, *parameters: Any) -> Array:  # noqa: ARG002
        """g'(z); the value ``a`` is not needed."""
        z = _floating(z)
        where = f"activation function {_name(self.function)!r}"
        result = _run(self.function, z, np.ones(1), parameters, where=where, mend="give derivative=…")
        if result.shape != z.shape:
            must = f"elementwise, of its argument's shape {z.shape}"
            raise PluginError(expected(where, must, result.shape))
        return result.tangents[..., 0].astype(z.dtype)

    def check(self, *parameters: Any) -> None:
        """Refuse now what would be refused at the first call."""
        _tried(self, np.linspace(-1, 1, 6).reshape(2, 3), None, *parameters)

    def spelled_out(self, parameters: tuple[Any, ...] = ()) -> FunctionType | None:
        """The derivative as code, ``slope(z, a)``, that an engine may compile; None if there is none."""
        return spelled_out(self.function, parameters)


@dataclass(frozen=True)
class RowGradient:
    """``gradient(outputs, targets, *parameters)`` of a loss, (rows, output units).

    The derivative of the summed value with respect to ``outputs``.  Of a sum over output units
    of one term each it is the term's own derivative; else dual numbers have one seed an
    output unit where each row's value depends on that row alone, else one an output.

    Parameters
    ----------
    value
        ``value(outputs, targets, *parameters) -> (rows,)``, written with NumPy.
    rowwise
        Whether a row's value depends on that row alone.

    Examples
    --------
    >>> import numpy as np
    >>> squares = RowGradient(lambda outputs, targets: np.sum((outputs - targets) ** 2, axis=1))
    >>> squares(np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]]))
    array([[2., 4.]])
    """

    value: Callable[..., Any]
    rowwise: bool = True

    def __call__(self, outputs: Any, targets: Any, *parameters: Any) -> Array:
        """The gradient, of the outputs' shape and dtype."""
        outputs = _floating(outputs)
        gradient: Array = np.zeros(outputs.shape, outputs.dtype)
        if not gradient.size:
            return gradient
        if (term := self.term(*parameters)) is not None:
            with np.errstate(all="ignore"):
                gradient[...] = term.slope(outputs, targets, outputs.shape[1])
            return gradient
        # Rows that do not couple share their seeds: column u's seed is 1 in every row.
        units = outputs.shape[1] if self.rowwise else outputs.size
        block = max(1, LARGEST // outputs.size)
        for first in range(0, units, block):
            chosen = slice(first, min(first + block, units))
            tangents = np.eye(units, chosen.stop - first, -first)
            if self.rowwise:
                gradient[:, chosen] = self._tangents(outputs, tangents, targets, parameters)
            else:
                tangents = tangents.reshape(*outputs.shape, -1)
                summed = self._tangents(outputs, tangents, targets, parameters).sum(axis=0)
                gradient.reshape(-1)[chosen] = summed
        return gradient

    def term(self, *parameters: Any) -> Term | None:
        """What the loss adds up over its output units, where it is such a sum."""
        return spelled_term(self.value, parameters) if self.rowwise else None

    def check(self, width: int, *parameters: Any) -> None:
        """Refuse now what would be refused at the first call, for so many output units."""
        targets = np.zeros((2, width))
        targets[:, 0] = 1
        _tried(self, np.full((2, width), 0.5), targets, *parameters)

    def _tangents(self, outputs: Array, tangents: Array, targets: Any, parameters: tuple[Any, ...]) -> Array:
        where = f"loss function {_name(self.value)!r}"
        result = _run(
            self.value, outputs, tangents, (targets, *parameters), where=where, mend="give gradient=…"
        )
        if result.shape != outputs.shape[:1]:
            shape = f"one number a row, of shape {outputs.shape[:1]}"
            raise PluginError(expected(where, shape, result.shape, "sum over the output units, axis=1"))
        return result.tangents


def _run(
    function: Callable[..., Any], x: Array, tangents: Array, rest: tuple[Any, ...], *, where: str, mend: str
) -> Dual:
    """Call a user's function on a dual; what stands in the way is worded with its name."""
    if isinstance(function, np.vectorize):
        raise PluginError(
            f"{where} is an np.vectorize, which hands over bare numbers; {mend} or use whole arrays"
        )
    try:
        with np.errstate(all="ignore"):
            return _as_dual(function(Dual(x.copy(), tangents), *rest), x, tangents, where)
    except NotDifferentiable as refusal:
        otherwise = refusal.mend or "write it with NumPy functions that have one"
        raise PluginError(f"{where} {refusal.what}; {mend} or {otherwise}") from refusal
    except DagnetError:
        raise
    except Exception as error:
        with np.errstate(all="ignore"):
            function(x.copy(), *rest)  # a mistake of the function's own is raised as it is
        message = f"{where} cannot be differentiated, {type(error).__name__}: {_first_line(error)}"
        raise PluginError(f"{message}; {mend} or write it with NumPy's functions alone") from error


def _as_dual(result: Any, x: Array, tangents: Array, where: str) -> Dual:
    """A result that does not depend on the argument has zero tangents; one number serves all."""
    if isinstance(result, Dual):
        return result
    if not isinstance(result, (np.ndarray, np.generic, int, float)):
        raise PluginError(expected(where, "a function that returns an array", result))
    value = np.asarray(result, x.dtype)
    return Dual(value if value.ndim else np.broadcast_to(value, x.shape), np.zeros(tangents.shape[-1]))


def _tried(derived: Callable[..., Any], *arguments: Any) -> None:
    """A function may refuse the numbers that are tried here; then the first real ones decide."""
    try:
        derived(*arguments)
    except PluginError:
        raise
    except Exception:  # noqa: BLE001, S110 - a stranger's code may raise anything
        pass


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _floating(z: Any) -> Array:
    array: Array = np.asarray(z)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
