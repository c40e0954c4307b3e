"""The operations that a formula may have: one row each, and nothing else to touch to add one.

Of an operation the table says its NumPy function (its meaning), its partial derivatives, and how it is
written.  ``slope(*inputs, result)``, one for each input and ``None`` where it is 0, is written with
NumPy: on arrays it gives numbers, on symbols formulas.  At a kink the slope is PyTorch's for the
function of that name:

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
``np.hypot``                      0 at the origin
================================  ========================================================
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import unwrap
from typing import Any

import numpy as np

Slope = Callable[..., Any]
LN2, LN10 = math.log(2.0), math.log(10.0)


@dataclass(frozen=True)
class Operation:
    """One row."""

    function: Callable[..., Any]  # NumPy's: what the operation means
    slopes: tuple[Slope | None, ...]  # one for each input
    infix: str = ""  # its operator in text
    truth: bool = False  # whether it gives a yes or no
    steep: bool = False  # whether a slope may be infinite: a zero beside it in a product then wins
    library: str = ""  # its name in C's mathematical library, where an engine finds it
    expansion: Callable[..., Any] | None = None  # itself in simpler operations, for engines without it
    latex: str = ""  # how LaTeX writes it, with ``%s`` for each input


def composed(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of our own that is one operation on symbols; on arrays it is what it says."""

    @wraps(function)
    def call(*inputs: Any) -> Any:
        symbol = next((item for item in inputs if hasattr(type(item), "operate")), None)
        return function(*inputs) if symbol is None else symbol.operate(function.__name__, *inputs)

    return call


def full_name(function: Any) -> str:
    """How a user writes a function: ``numpy.sort``, ``scipy.special.expit``."""
    name = getattr(function, "__name__", repr(function))
    if not isinstance(function, np.ufunc):
        return f"{getattr(function, '__module__', None) or 'numpy'}.{name}"
    if getattr(np, name, None) is function:
        return f"numpy.{name}"
    special = sys.modules.get("scipy.special")
    return f"{'scipy.special.' if getattr(special, name, None) is function else 'the ufunc '}{name}"


def select(conditions: Any, choices: Any, default: Any = 0.0) -> Any:
    """``numpy.select``, with ``numpy.where``."""
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        default = np.where(condition, choice, default)
    return default


@composed
def sigmoid(z: Any) -> Any:
    """g(z) = 1/(1 + exp(−z)), the logistic function.

    Written as exp(min(z, 0))/(1 + exp(−|z|)), which never overflows.

    Examples
    --------
    >>> sigmoid(np.array([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    t = np.exp(-np.abs(z))
    return np.maximum(t, np.sign(z)) / (1.0 + t)


NEAR = (
    *(-7.779460367272012e-10, 1.3710975905183266e-08, -1.620631268457348e-07, 1.6447131426112253e-06),
    *(-1.4924712289815019e-05, 0.00012055293576241884, -0.000854832592929161, 0.005223977606117977),
    *(-0.026866170643111403, 0.11283791670944185, -0.3761263890318352, 1.1283791670955126),
)
FAR = (
    *(-1.77020204145022e-11, 6.517327582624352e-10, -1.0901953155231237e-08, 1.0820662950718875e-07),
    *(-6.876531222066907e-07, 2.67250798614481e-06, -3.609374110352148e-06, -2.800131434716247e-05),
    *(0.00023065149353600903, -0.0009199436319404386, 0.002098770044185836, -0.0005840557029103525),
    *(-0.018865391634365458, 0.1026376538925768, 0.6366675772796059, 1.128368712528232),
    1.0635592146312997e-06,
)


def polyval(coefficients: Any, x: Any) -> Any:
    """``numpy.polyval``, highest power first, by Horner's scheme."""
    total = coefficients[0]
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


@composed
def erf(x: Any) -> Any:
    """erf(x) = 2/√π ∫₀ˣ exp(−t²) dt, the error function, to about one unit in the last place.

    For |x| ≤ 1 x·P(x²), beyond that 1 − exp(−Q(|x|)); from |x| = 6 on the result is ±1 in
    float64.  P (degree 11, relative error 7e-18) and Q (degree 16, weighted with erfc, so that
    the error of erf itself is 3e-17) are minimax polynomials, computed for this module by
    Lawson's algorithm on Chebyshev nodes in 60-digit arithmetic.  No division, one exp.

    Examples
    --------
    >>> erf(np.array([-np.inf, 0.0, 0.5]))
    array([-1.        ,  0.        ,  0.52049988])
    """
    y = np.minimum(np.abs(x), 6.0)
    near, far = polyval(NEAR, np.minimum(y * y, 1.0)), polyval(FAR, y)
    beyond = (y > 1.0) * np.ones_like(y)
    return np.copysign((1.0 - beyond) * (y * near) + beyond * (1.0 - np.exp(-far)), x)


def step(x: Any) -> Any:
    """1 where x > 0, else 0 (for NaN too), in x's dtype.

    ``np.where`` costs ten times as much where the choice follows the data at random.

    Examples
    --------
    >>> step(np.array([-1.0, 0.0, 0.5], dtype=np.float32))
    array([0., 0., 1.], dtype=float32)
    """
    return (x > 0.0) * np.ones_like(x)


def exp(z: Any) -> Any:
    """g(z) = exp(z); where that overflows, infinity without a warning.

    Examples
    --------
    >>> exp(np.array([0.0, 1e4]))
    array([ 1., inf])
    """
    with np.errstate(over="ignore"):
        return np.exp(z)


def _fixed(*values: float) -> tuple[Slope, ...]:
    return tuple((lambda *_, value=value: value) for value in values)


def _both(slope: Slope) -> tuple[Slope, Slope]:
    """The slopes of what is symmetric, by that of the first input."""
    return slope, lambda x, y, result: slope(y, x, result)


def _extreme(behind: np.ufunc) -> tuple[Slope, Slope]:
    return _both(lambda x, y, _: np.where(np.equal(x, y), 0.5, np.where(behind(x, y), 0.0, 1.0)))


def _extreme_number(first: np.ufunc) -> tuple[Slope, Slope]:
    def slope(x: Any, y: Any, _: Any) -> Any:
        return np.where(first(x, y) | np.isnan(y), 1.0, 0.0)

    return slope, lambda *inputs: 1.0 - slope(*inputs)


def _share(exp: Any) -> tuple[Slope, Slope]:
    """How much of eˣ + eʸ is eˣ; a half at ties, those of two infinities among them."""
    return _both(lambda x, y, _: np.where(np.equal(x, y), 0.5, 1.0 / (1.0 + exp(np.subtract(y, x)))))


def _power_of_base(x: Any, n: Any, _: Any) -> Any:
    return np.where(np.equal(n, 0), 0.0, n * np.power(x, np.subtract(n, 1)))


def _power_of_exponent(x: Any, n: Any, y: Any) -> Any:
    return np.where(np.equal(x, 0) & np.greater_equal(n, 0), 0.0, y * np.log(x))


def _leg(x: Any) -> Any:
    """√(1 − x²)."""
    return np.sqrt((1.0 - x) * (1.0 + x))


def _arctan2(numerator: Any, y: Any, x: Any) -> Any:
    length = np.hypot(y, x)
    return np.where(np.equal(length, 0), 0.0, numerator / length / length)


def _log_of_sum(exp: Any, log1p: Any) -> Slope:
    def expansion(x: Any, y: Any) -> Any:
        apart = np.where(np.equal(x, y), 0.0, np.abs(x - y))
        return np.maximum(x, y) + log1p(exp(-apart))

    return expansion


def _pull(outer: Any, slope: Any) -> Any:
    """Outer · slope, 0 where one of them is 0, whatever the other one is."""
    with np.errstate(all="ignore"):
        return np.where(np.equal(outer, 0) | np.equal(slope, 0), 0.0, np.multiply(outer, slope))


_ARCTAN2: tuple[Slope, ...] = (
    lambda y, x, _: _arctan2(x, y, x),
    lambda y, x, _: _arctan2(np.negative(y), y, x),
)
_CLIP: tuple[Slope, ...] = (
    lambda x, low, high, _: np.where((x >= low) & (x <= high), 1.0, 0.0),
    lambda x, low, high, _: np.where((x < low) & np.less(low, high), 1.0, 0.0),
    lambda x, low, high, _: np.where((x > high) | np.less(high, low), 1.0, 0.0),
)
_QUESTIONS = (np.logical_not, np.isnan, np.isinf, np.isfinite, np.signbit)
_Row = Operation
# fmt: off
_RELATIONS = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater,
    ">=": np.greater_equal, "&": np.logical_and, "|": np.logical_or, "^": np.logical_xor,
}
OPERATIONS: dict[str, Operation] = {
    "add": _Row(np.add, _fixed(1.0, 1.0), "+"),
    "subtract": _Row(np.subtract, _fixed(1.0, -1.0), "-"),
    "multiply": _Row(np.multiply, _both(lambda _x, y, _: y), "*"),
    "pull": _Row(_pull, _both(lambda _x, y, _: y), "*", expansion=_pull),
    "divide": _Row(np.divide, (lambda _x, y, _: np.divide(1.0, y), lambda _, y, q: -q / y), "/", steep=True),
    "power": _Row(np.power, (_power_of_base, _power_of_exponent), "**", steep=True, library="pow"),
    "maximum": _Row(np.maximum, _extreme(np.less), latex=r"\max\left(%s, %s\right)"),
    "minimum": _Row(np.minimum, _extreme(np.greater), latex=r"\min\left(%s, %s\right)"),
    "fmax": _Row(np.fmax, _extreme_number(np.greater_equal)),
    "fmin": _Row(np.fmin, _extreme_number(np.less_equal)),
    "logaddexp": _Row(np.logaddexp, _share(np.exp), expansion=_log_of_sum(np.exp, np.log1p)),
    "logaddexp2": _Row(np.logaddexp2, _share(np.exp2),
                       expansion=_log_of_sum(np.exp2, lambda x: np.log1p(x) / LN2)),
    "copysign": _Row(np.copysign, (lambda x, _, y: np.where(np.equal(x, 0), 0.0, y / x), None)),
    "hypot": _Row(np.hypot, _both(lambda x, _, y: np.where(np.equal(y, 0), 0.0, x / y)), library="hypot"),
    "arctan2": _Row(np.arctan2, _ARCTAN2, library="atan2"),
    "where": _Row(np.where, (None, lambda c, *_: np.where(c, 1.0, 0.0), lambda c, *_: np.where(c, 0.0, 1.0))),
    "clip": _Row(np.clip, _CLIP, expansion=lambda x, low, high: np.minimum(np.maximum(x, low), high)),
    "negative": _Row(np.negative, _fixed(-1.0), latex="-%s"),
    "positive": _Row(np.positive, _fixed(1.0), latex="%s"),
    "absolute": _Row(np.absolute, (lambda x, _: np.sign(x),), library="fabs", latex=r"\left|%s\right|"),
    "square": _Row(np.square, (lambda x, _: 2.0 * x,), latex="{%s}^{2}", expansion=lambda x: x * x),
    "reciprocal": _Row(np.reciprocal, (lambda _, y: -y * y,), steep=True,
                       expansion=lambda x: np.divide(1.0, x)),
    "sqrt": _Row(np.sqrt, (lambda _, y: 0.5 / y,), steep=True, latex=r"\sqrt{%s}"),
    "cbrt": _Row(np.cbrt, (lambda _, y: 1.0 / (3.0 * y * y),), steep=True,
                 library="cbrt", latex=r"\sqrt[3]{%s}"),
    "exp": _Row(np.exp, (lambda _, y: y,), steep=True, latex="e^{%s}"),
    "exp2": _Row(np.exp2, (lambda _, y: LN2 * y,), steep=True, latex="2^{%s}"),
    "expm1": _Row(np.expm1, (lambda x, _: np.exp(x),), steep=True, latex=r"\left(e^{%s} - 1\right)"),
    "log": _Row(np.log, (lambda x, _: 1.0 / x,), steep=True, latex=r"\ln\left(%s\right)"),
    "log2": _Row(np.log2, (lambda x, _: 1.0 / (LN2 * x),), steep=True),
    "log10": _Row(np.log10, (lambda x, _: 1.0 / (LN10 * x),), steep=True),
    "log1p": _Row(np.log1p, (lambda x, _: 1.0 / (1.0 + x),), steep=True, latex=r"\ln\left(1 + %s\right)"),
    "sin": _Row(np.sin, (lambda x, _: np.cos(x),), latex=r"\sin\left(%s\right)"),
    "cos": _Row(np.cos, (lambda x, _: -np.sin(x),), latex=r"\cos\left(%s\right)"),
    "tan": _Row(np.tan, (lambda _, y: 1.0 + y * y,), steep=True, library="tan"),
    "arcsin": _Row(np.arcsin, (lambda x, _: 1.0 / _leg(x),), steep=True, library="asin"),
    "arccos": _Row(np.arccos, (lambda x, _: -1.0 / _leg(x),), steep=True, library="acos"),
    "arctan": _Row(np.arctan, (lambda x, _: 1.0 / (1.0 + x * x),), library="atan"),
    "sinh": _Row(np.sinh, (lambda x, _: np.cosh(x),), steep=True, library="sinh"),
    "cosh": _Row(np.cosh, (lambda x, _: np.sinh(x),), steep=True, library="cosh"),
    "tanh": _Row(np.tanh, (lambda _, y: (1.0 - y) * (1.0 + y),), latex=r"\tanh\left(%s\right)"),
    "arcsinh": _Row(np.arcsinh, (lambda x, _: 1.0 / np.hypot(1.0, x),), library="asinh"),
    "arccosh": _Row(np.arccosh, (lambda x, _: 1.0 / (np.sqrt(x - 1.0) * np.sqrt(x + 1.0)),),
                    steep=True, library="acosh"),
    "arctanh": _Row(np.arctanh, (lambda x, _: 1.0 / ((1.0 - x) * (1.0 + x)),), steep=True, library="atanh"),
    "sigmoid": _Row(sigmoid, (lambda _, y: y * (1.0 - y),),
                    expansion=unwrap(sigmoid), latex=r"\sigma\left(%s\right)"),
    "erf": _Row(erf, (lambda x, _: 2.0 / math.sqrt(math.pi) * np.exp(-(x * x)),), expansion=unwrap(erf)),
    "deg2rad": _Row(np.deg2rad, _fixed(math.pi / 180.0), expansion=lambda x: x * (math.pi / 180.0)),
    "rad2deg": _Row(np.rad2deg, _fixed(180.0 / math.pi), expansion=lambda x: x * (180.0 / math.pi)),
    "floor_divide": _Row(np.floor_divide, (None, None), "//"),
    "remainder": _Row(np.remainder, (lambda *_: 1.0, lambda x, y, _: -np.floor_divide(x, y)), "%"),
    "fmod": _Row(np.fmod, (lambda *_: 1.0, lambda x, y, _: -np.trunc(x / y)), library="fmod"),
    "heaviside": _Row(np.heaviside, (None, lambda x, *_: np.where(np.equal(x, 0), 1.0, 0.0))),
    **{f.__name__: _Row(f, (None,)) for f in (np.sign, np.floor, np.ceil, np.trunc, np.rint)},
    **{f.__name__: _Row(f, (None,), truth=True) for f in _QUESTIONS},
    **{f.__name__: _Row(f, (None, None), sign, truth=True) for sign, f in _RELATIONS.items()},
}
BY_UFUNC: dict[Any, str] = {
    **{entry.function: name for name, entry in OPERATIONS.items()},
    np.fabs: "absolute", np.conjugate: "positive", np.float_power: "power",
    np.radians: "deg2rad", np.degrees: "rad2deg", np.invert: "logical_not",
    np.bitwise_and: "logical_and", np.bitwise_or: "logical_or", np.bitwise_xor: "logical_xor",
}
"""NumPy's ufuncs, by which NumPy calls symbols; operators come as ufuncs, too."""
# fmt: on


def _fraction(x: Any) -> Any:
    """What :func:`numpy.trunc` leaves over, with x's sign."""
    return np.copysign(np.where(np.isinf(x), 0.0, x - np.trunc(x)), x)


PAIRS: dict[Any, tuple[Callable[..., Any], ...]] = {
    np.divmod: (np.floor_divide, np.remainder),
    np.modf: (_fraction, np.trunc),
}
"""The ufuncs of two results, each written with others."""


@dataclass(frozen=True)
class Reduction:
    """A sum and the like over one axis.

    ``slope(x, result, reduce)`` is ∂result/∂x, where ``reduce(kind, x)`` keeps the axis; ``combine`` is
    the ufunc of two, ``start`` what changes nothing.
    """

    function: Callable[..., Any]
    combine: str
    start: float
    slope: Callable[..., Any]
    latex: str


def _ties(x: Any, best: Any, reduce: Callable[[str, Any], Any]) -> Any:
    equal = np.where(np.equal(x, best) | (np.isnan(x) & np.isnan(best)), 1.0, 0.0)
    return equal / reduce("sum", equal)


def _others(x: Any, _: Any, reduce: Callable[[str, Any], Any]) -> Any:
    """The product of the other factors; a division by a zero among them would miss it."""
    zero = np.where(np.equal(x, 0), 1.0, 0.0)
    whole = np.where(np.equal(x, 0), 1.0, x)
    beside = reduce("sum", zero) - zero
    return np.where(np.equal(beside, 0), reduce("prod", whole) / whole, 0.0)


REDUCTIONS: dict[str, Reduction] = {
    "sum": Reduction(np.sum, "add", 0.0, lambda *_: 1.0, r"\sum"),
    "prod": Reduction(np.prod, "multiply", 1.0, _others, r"\prod"),
    "max": Reduction(np.max, "maximum", -math.inf, _ties, r"\max"),
    "min": Reduction(np.min, "minimum", math.inf, _ties, r"\min"),
}
