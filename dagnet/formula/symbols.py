"""Symbols: what a function is called with to see what it calculates (NumPy's two doors, NEP 13 and 18).

A symbol stands for an array that is not known yet.  Operators, ufuncs and some of NumPy's functions are
recorded; in-place operators, masks with assignment and loops of known length mean what they mean in NumPy.
All else raises :class:`dagnet.formula.Untraceable` with the reason.
"""

# ruff: noqa: D102 - the methods are ndarray's

from __future__ import annotations

from functools import partialmethod
from typing import Any, Self, cast

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from dagnet.formula.data import NUMBER, PLACE, SIZE, TERM, UNIT, Op, Recorder, Untraceable
from dagnet.formula.operations import BY_UFUNC, OPERATIONS, PAIRS, REDUCTIONS, full_name, polyval, select

FREE, WHOLE, KEPT, GONE = "any", "whole", "kept", "gone"
"""An array's shape: any, an argument's, that with the reduced axis of length 1, that without the axis."""
REDUCED = {OPERATIONS[entry.combine].function: kind for kind, entry in REDUCTIONS.items()}
BITWISE = (np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert)
LIKE = {"zeros_like": 0.0, "ones_like": 1.0, "empty_like": float("nan")}
SYNONYMS = {"amax": "max", "amin": "min", "around": "round"}
METHODS = ("sum", "prod", "max", "min", "mean", "round", "fix", "copy", "squeeze")
ONE_NUMBER = (
    "takes {} of a whole array, as math.exp and the like do",
    "write it with NumPy's functions (np.exp for math.exp, np.where for if)",
)
BY_PLACE = ("picks elements by their place", "masks are fine, a[a > 0], and columns of a loss, o[:, 0]")
Part = int | tuple[int, int | None] | None


class NeedsNumber(Untraceable):
    """A function asks for a parameter's value: the formula is for that value alone."""

    def __init__(self, parameters: set[str]) -> None:
        self.parameters = parameters
        super().__init__(f"asks for the value of {', '.join(sorted(parameters))}")


def plain(recorder: Recorder, place: int) -> Any:
    """A constant as a number, so that what is written with it is as short as can be; else a symbol."""
    number = recorder.known(place)
    return Symbol(recorder, place) if number is None else number


class Symbol(NDArrayOperatorsMixin):
    """An array that is not known yet.

    ``axis`` is the one that it may be reduced over, or None; ``part`` is what it was read by: the place of
    a mask, or a range of columns.
    """

    __array_priority__ = 1000

    def __init__(
        self, recorder: Recorder, at: int, shape: str = FREE, part: Part = None, axis: int | None = None
    ) -> None:
        self.recorder, self.at, self.shape_kind, self.part, self.axis = recorder, at, shape, part, axis

    @property
    def op(self) -> Op:
        return self.recorder.ops[self.at]

    # -- making more of them -----------------------------------------------------------------

    def like(self, at: int, shape: str | None = None) -> Symbol:
        return Symbol(self.recorder, at, shape or self.shape_kind, self.part, self.axis)

    def place_of(self, item: Any) -> int:
        if isinstance(item, Symbol):
            return item.at
        if isinstance(item, np.ndarray) and item.ndim == 0:
            item = item[()]
        if not isinstance(item, (bool, int, float, np.bool_, np.integer, np.floating)):
            what = f"an array of shape {np.shape(item)}" if np.shape(item) else f"a {type(item).__name__}"
            raise Untraceable(f"calculates with {what}", "numbers may be parameters")
        return self.recorder.constant(item)

    def operate(self, name: str, *inputs: Any) -> Symbol:
        """An operation on symbols and numbers."""
        at = self.recorder.apply(name, *map(self.place_of, inputs))
        symbols = [item for item in inputs if isinstance(item, Symbol)]
        shape = _joined({item.shape_kind for item in symbols}, self.axis)
        parts = {item.part for item in symbols if item.shape_kind == WHOLE or isinstance(item.part, int)}
        if len(parts) > 1:
            part = "what was read by one mask, or in some columns,"
            raise Untraceable(f"puts together {part} with other elements")
        return Symbol(self.recorder, at, shape, parts.pop() if parts else None, self.axis)

    # -- NumPy's two doors -------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        out = options.pop("out", None)
        if method == "reduce" and ufunc in REDUCED and out is None:
            return self._reduced(REDUCED[ufunc], **{"axis": 0, **options})
        if ufunc in PAIRS and not options and out is None:
            return tuple(part(*inputs) for part in PAIRS[ufunc])
        if method != "__call__" or options or ufunc not in BY_UFUNC:
            way = "" if method == "__call__" else f".{method}"
            with_ = f" with {', '.join(options)}" if options else ""
            raise Untraceable(f"calls {full_name(ufunc)}{way}{with_}, which has no formula")
        if ufunc in BITWISE and not all(_is_truth(item) for item in inputs):
            raise Untraceable(f"calls {full_name(ufunc)} of numbers that are no truth values")
        result = self.operate(BY_UFUNC[ufunc], *inputs)
        return result if out is None else _written(out[0], result)

    def __array_function__(self, function: Any, _types: Any, arguments: Any, options: Any) -> Any:
        name = SYNONYMS.get(function.__name__, function.__name__)
        rule = getattr(self, f"_call_{name}", None)
        if rule is not None:
            return rule(*arguments, **options)
        if name in LIKE and isinstance(arguments[0], Symbol):
            return arguments[0].filled(LIKE[name])
        if name in METHODS and isinstance(arguments[0], Symbol):
            return getattr(arguments[0], name)(*arguments[1:], **options)
        raise Untraceable(f"calls {full_name(function)}, which has no formula")

    def _call_where(self, *arguments: Any) -> Symbol:
        if len(arguments) != 3:
            raise Untraceable("asks numpy.where for places", "give it the two choices")
        return self.operate("where", *arguments)

    def _call_clip(self, x: Any, a_min: Any = None, a_max: Any = None, **options: Any) -> Symbol:
        low, high = options.pop("min", a_min), options.pop("max", a_max)
        return self.operate("clip", x, -np.inf if low is None else low, np.inf if high is None else high)

    def _call_full_like(self, x: Symbol, value: Any, **_: Any) -> Symbol:
        return x.filled(value)

    _call_select, _call_polyval = staticmethod(select), staticmethod(polyval)

    def _call_piecewise(self, x: Any, conditions: Any, functions: Any, *more: Any, **options: Any) -> Any:
        result = x.filled(0.0)
        if len(functions) == len(conditions) + 1:
            result[...] = functions[-1](x, *more, **options) if callable(functions[-1]) else functions[-1]
        for condition, function in zip(conditions, functions, strict=False):
            mask = condition if isinstance(condition, Symbol) else x.filled(bool(condition))
            result[mask] = function(x[mask], *more, **options) if callable(function) else function
        return result

    def _call_nan_to_num(self, x: Any, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
        if posinf is None or neginf is None:
            what = "calls numpy.nan_to_num, whose bounds depend on the dtype"
            raise Untraceable(what, "name posinf= and neginf=")
        x = np.where(np.isnan(x), nan, x)
        return np.where(x == np.inf, posinf, np.where(x == -np.inf, neginf, x))

    def _call_copyto(self, into: Any, source: Any, *, where: Any = True, **_: Any) -> None:
        _written(into, self.operate("where", where, source, into))

    def _call_putmask(self, into: Any, mask: Any, values: Any) -> None:
        self._call_copyto(into, values, where=mask)

    def _call_sinc(self, x: Any) -> Any:
        angle = np.pi * np.where(x == 0, 1.0, x)
        return np.where(x == 0, 1.0, np.sin(angle) / angle)

    def _call_expand_dims(self, x: Any, axis: Any) -> Any:
        return x[:, None] if axis in {1, -1} else x[...,]

    # -- reductions --------------------------------------------------------------------------

    def _reduced(self, kind: str, axis: Any = None, *, keepdims: bool = False, **options: Any) -> Symbol:
        wanted = {1: (1, -1), 0: (0,)}.get(-1 if self.axis is None else self.axis, ())
        masked = isinstance(self.part, int)
        if axis not in wanted or isinstance(axis, bool) or self.shape_kind != WHOLE or options or masked:
            where = "along its array" if self.axis is None else f"otherwise than over axis={self.axis}"
            raise Untraceable(f"takes the {kind} {where}", "an array runs through it as it is")
        number = self._in_columns(REDUCTIONS[kind].start) if self.part else self.recorder.number(self.at)
        at = self.recorder.reduce(kind, self._everywhere(number))
        return Symbol(self.recorder, at, KEPT if keepdims or self.axis == 0 else GONE, None, self.axis)

    def _everywhere(self, number: int) -> int:
        """A number in the form of arrays, which it may be the same in."""
        ops, form = self.recorder.ops, TERM if self.axis == 0 else UNIT
        if ops[number].form == form:
            return number
        like = next(place for place, op in enumerate(ops) if op.form == form)
        return self.recorder.add(Op("where", (self.recorder.constant(True), number, like), form))

    # -- columns -----------------------------------------------------------------------------

    def _among(self, columns: tuple[int, int | None]) -> int:
        """Whether a unit is in some columns; those below 0 count from the end."""
        apply, unit, (start, stop) = self.recorder.apply, self.recorder.add(Op(PLACE)), columns
        if columns == (-1, None) or stop == start + 1:
            return apply("equal", unit, self._column(start))
        if stop is None:
            return apply("greater_equal", unit, self._column(start))
        below = apply("less", unit, self._column(stop))
        if start == 0:
            return below
        return apply("logical_and", apply("greater_equal", unit, self._column(start)), below)

    def _column(self, number: int) -> int:
        at = self.recorder.constant(float(number))
        size = Op(SIZE, (), NUMBER, value=UNIT)
        return at if number >= 0 else self.recorder.apply("add", self.recorder.add(size), at)

    def _in_columns(self, otherwise: float) -> int:
        """The numbers in a part's columns, and another one elsewhere."""
        among = self._among(self.part) if isinstance(self.part, tuple) else self.recorder.constant(True)
        return self.recorder.apply("where", among, self.at, self.recorder.constant(otherwise))

    def _columns(self, key: Any) -> tuple[int, int | None] | None:
        """The columns that ``[:, key]`` means, if it is a whole number or a plain slice."""
        pair = self.axis == 1 and isinstance(key, tuple) and len(key) == 2
        if not pair or key[0] not in (slice(None), Ellipsis):
            return None
        if isinstance(key[1], (int, np.integer)) and not isinstance(key[1], bool):
            return int(key[1]), int(key[1]) + 1 or None
        if isinstance(key[1], slice) and key[1].step in {None, 1}:
            start, stop = key[1].start or 0, key[1].stop
            return (start, stop) if isinstance(start, int) and isinstance(stop, int | None) else None
        return None

    sum, prod = partialmethod(_reduced, "sum"), partialmethod(_reduced, "prod")
    max, min = partialmethod(_reduced, "max"), partialmethod(_reduced, "min")

    def mean(self, axis: Any = None, **options: Any) -> Symbol:
        total = self._reduced("sum", axis, **options)
        if isinstance(self.part, tuple):
            return total / total.like(self.recorder.reduce("sum", self._among(self.part)))
        size = Op(SIZE, (), NUMBER, value=TERM if self.axis == 0 else UNIT)
        return total / total.like(self.recorder.add(size))

    # -- what arrays can do ------------------------------------------------------------------

    def filled(self, value: Any) -> Symbol:
        return self.like(self.place_of(bool(value) if self.op.truth else value))

    def clip(self, *bounds: Any, **options: Any) -> Symbol:
        return self._call_clip(self, *bounds, **options)

    def round(self, decimals: int = 0) -> Symbol:
        if decimals:
            raise Untraceable("rounds to decimals")
        return self.operate("rint", self)

    def fix(self) -> Symbol:
        return self.operate("trunc", self)

    def copy(self, *_: Any, **__: Any) -> Symbol:
        return self.like(self.at)

    def astype(self, dtype: Any, *_: Any, **__: Any) -> Symbol:
        if np.dtype(dtype).kind == "b":
            return self.like(self.recorder.truth(self.at))
        if np.dtype(dtype).kind != "f" and not self.op.truth:
            raise Untraceable(f"makes numbers of type {np.dtype(dtype)}", "use np.trunc")
        return self.like(self.recorder.number(self.at))

    def squeeze(self, axis: Any = None) -> Symbol:
        if self.shape_kind != KEPT or axis not in {1, -1}:
            raise Untraceable("calls numpy.squeeze")
        return self.like(self.at, GONE)

    def __getitem__(self, key: Any) -> Symbol:
        """What stands at a mask's places, or in columns, is calculated everywhere and used there alone."""
        if key is Ellipsis or (isinstance(key, slice) and key == slice(None)):
            return self.like(self.at)
        columns = self._columns(key)
        if columns is not None and self.shape_kind == WHOLE and self.part is None:
            part = Symbol(self.recorder, self.at, WHOLE, columns, 1)
            if columns[1] != columns[0] + 1 and columns != (-1, None):
                return self.like(self.at) if columns == (0, None) else part
            return part._reduced("sum", 1, keepdims=isinstance(key[1], slice))
        if columns == (0, 1) and self.shape_kind == KEPT:
            return self.like(self.at, GONE)
        if self.axis == 1 and self.shape_kind == GONE and key == (slice(None), None):
            return self.like(self.at, KEPT)
        if not isinstance(key, Symbol) or not key.op.truth or self.part is not None:
            raise Untraceable(*BY_PLACE)
        return Symbol(self.recorder, self.at, self.shape_kind, key.at, self.axis)

    def __setitem__(self, key: Any, item: Any) -> None:
        """A mask, or columns, with assignment is a choice; the name stands for the result from here on."""
        if key is Ellipsis or (isinstance(key, slice) and key == slice(None)):
            _written(self, item if isinstance(item, Symbol) else self.filled(item))
            return
        columns = self._columns(key)
        if columns is not None and self.shape_kind == WHOLE and self.part is None:
            condition, part = self._among(columns), cast("Part", columns)
        elif isinstance(key, Symbol) and key.op.truth:
            condition, part = key.at, key.at
        else:
            raise Untraceable(*BY_PLACE)
        if isinstance(item, Symbol) and item.shape_kind == WHOLE and item.part != part:
            raise Untraceable("writes to some places what was read from others", "use np.where")
        self.at = self.recorder.apply("where", condition, self.place_of(item), self.at)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(bool if self.op.truth else float)

    @property
    def real(self) -> Symbol:
        return self

    def __pow__(self, n: Any) -> Any:
        """As arrays do, who know some powers by name."""
        short = {0.5: np.sqrt, -1: np.reciprocal}.get(n) if isinstance(n, (int, float)) else None
        return np.power(self, n) if short is None else short(self)

    def __ipow__(self, n: Any) -> Self:
        _written(self, self**n)
        return self

    # -- what would leave NumPy --------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__") and hasattr(np.ndarray, name):
            raise Untraceable(f"uses ndarray.{name}, which has no formula")
        raise AttributeError(f"'ndarray' object has no attribute {name!r}")

    def _parameters(self, what: str) -> set[str]:
        """The parameters, and nothing else, that a number is made of."""
        found = self.recorder.behind(self.at)
        if not found <= self.recorder.values.keys():
            raise Untraceable(ONE_NUMBER[0].format(what), ONE_NUMBER[1])
        return found

    def __array__(self, *_: Any, **__: Any) -> Any:
        if self.shape_kind == FREE:
            raise NeedsNumber(self._parameters("the value"))
        raise Untraceable(
            "makes a bare array of one that depends on its argument (np.asarray, np.array, np.vectorize "
            "and assignment into np.zeros or np.empty do that)",
            "np.zeros_like starts a result",
        )

    def __bool__(self) -> bool:
        """Of a parameter: code may branch on it, and is traced for the branch that it takes now."""
        self._parameters("the truth value")
        return bool(self.recorder.now(self.at))

    def __float__(self) -> float:
        raise NeedsNumber(self._parameters("float()"))

    def __int__(self) -> int:
        raise NeedsNumber(self._parameters("int()"))

    __index__ = __int__

    def __len__(self) -> int:
        raise Untraceable("asks how long its array is", "an array runs through it as it is")

    def __iter__(self) -> Any:
        raise Untraceable("goes through its elements one by one", "write it for whole arrays")


def _joined(found: set[str], axis: int | None) -> str:
    """The shape of what is calculated from arrays of some shapes, as NumPy broadcasts them."""
    if axis == 1 and GONE in found and found & {WHOLE, KEPT}:
        what = "puts together arrays of shape (rows,) and (rows, units)"
        raise Untraceable(what, "reduce with keepdims=True")
    return next((shape for shape in (WHOLE, KEPT, GONE) if shape in found), FREE)


def _written(into: Any, result: Symbol) -> Symbol:
    if not isinstance(into, Symbol):
        raise Untraceable("writes into an array that is no argument of its own", "return a new one")
    into.at = into.recorder.number(result.at) if not into.op.truth else result.at
    return into


def _is_truth(item: Any) -> bool:
    return item.op.truth if isinstance(item, Symbol) else isinstance(item, (bool, np.bool_))
