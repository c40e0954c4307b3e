"""From a NumPy function to its formula: called once on symbols; and whether it is still the same function.

A function is traced anew for each network and each fit, unless its code, what it closes over, the global
names in its code, its defaults and its fields are the same immutable objects as before.
"""

from __future__ import annotations

import builtins
import dataclasses
import linecache
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from dagnet.formula.data import ARGUMENT, NUMBER, TERM, UNIT, Op, Recorder, Untraceable
from dagnet.formula.formula import Formula
from dagnet.formula.symbols import FREE, WHOLE, NeedsNumber, Symbol

NOT_THEIRS = tuple(str(Path(module).parent) for module in (np.__file__, __file__))
STANDARD = str(Path(linecache.__file__).parent)
PLAIN = (int, float, complex, str, bytes, type(None), np.generic, CodeType, np.ufunc)
UNSEEN = frozenset({"open", "input", "eval", "exec", "globals", "vars", "getattr", "setattr", "__import__"})
"""Built-in functions behind which anything may change."""


def is_number(value: Any) -> bool:
    """Whether a parameter is a number, and so an argument of formulas; a truth value is not."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def traced(
    function: Callable[..., Any], arguments: Sequence[str], parameters: Mapping[str, Any] | None = None, *,
    axis: int | None = None, numbers: tuple[str, ...] = (),
) -> Formula:  # fmt: skip
    """The formula of ``function(*arguments, *parameters)``; Untraceable with the reason and its source line.

    Parameters
    ----------
    arguments
        Names of arrays, all of one shape; those in ``numbers`` are one number each.
    parameters
        Names and values.  Numbers become arguments of the formula, unless the function asks for their
        values; it may branch on them, and the formula is that of the branch taken.  Those that are
        among ``arguments``, too, are arrays.
    axis
        Over which axis the function may reduce: 1 those of losses, 0 those of aggregations.
    """
    parameters = dict(parameters or {})
    fixed = {name for name, value in parameters.items() if not is_number(value)} | {*arguments}

    def once() -> Formula:
        recorder = Recorder({name: value for name, value in parameters.items() if name not in fixed})
        form, symbols = TERM if axis == 0 else UNIT, dict[str, Symbol]()
        for name in (*arguments, *recorder.values):
            number = name in numbers or name not in arguments
            at = recorder.add(Op(ARGUMENT, (), NUMBER if number else form, False, name))
            symbols[name] = Symbol(recorder, at, FREE if number else WHOLE, axis=axis)
        with np.errstate(all="ignore"):
            given = (symbols[name].copy() for name in arguments if name not in parameters)
            found = function(*given, *(symbols.get(name, value) for name, value in parameters.items()))
        places = []
        for item in _results(found):
            at = recorder.number(symbols[arguments[0]].place_of(item))  # which may take operations more
            whole = isinstance(item, Symbol) and item.shape_kind == WHOLE
            places.append(recorder.spread(at, 0) if whole else at)
        return Formula(tuple(symbols), tuple(recorder.ops), tuple(places))

    while True:
        try:
            return once()
        except NeedsNumber as needed:
            more = needed.parameters
        except Exception as error:
            more = set(parameters)
            if more <= fixed:
                raise _worded(error) from error
        fixed |= more


def _results(found: Any) -> list[Any]:
    """The symbols of a result, or of an optimizer's (parameter, state)."""
    items = [found]
    if isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], Mapping):
        items = [found[0], *found[1].values()]
    for item in items:
        if isinstance(item, Symbol) and item.part is not None:
            raise Untraceable("returns what stands at a mask's places, or in columns, alone")
        if isinstance(item, (list, tuple)):
            raise Untraceable(f"returns a {type(item).__name__}", "return one array")
    return items


def _worded(error: Exception) -> Untraceable:
    at = place_in_source(error)
    if isinstance(error, Untraceable):
        return Untraceable(f"{error.what}{at}", error.mend)
    first = str(error).partition("\n")[0]
    return Untraceable(f"raises {type(error).__name__} where it is traced: {first}{at}")


def place_in_source(error: BaseException) -> str:
    """As in " (line 3 of mine.py: `y = math.exp(z)`)": the last line of no library that is at hand here."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        path = frame.f_code.co_filename
        library = path.startswith(NOT_THEIRS) or (path.startswith(STANDARD) and "site-packages" not in path)
        if not library and not frame.f_globals.get("__name__", "").startswith("dagnet."):
            return _place(path, line)
    return ""


def place_of(function: Any) -> str:
    """As in " (line 2 of mine.py: `def wave(z):`)": where a function is written, if that is known."""
    function = getattr(function, "pyfunc", None) or getattr(function, "func", function)
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    return _place(code.co_filename, code.co_firstlineno) if code else ""


def _place(path: str, line: int) -> str:
    text = linecache.getline(path, line).strip()
    shown = f": `{text[:80]}`" if text else ""
    return f" (line {line} of {Path(path).name}{shown})"


# -- whether it is still the same -------------------------------------------------------------


class _MayChange(Exception):
    pass


def is_own(function: Any) -> bool:
    """Whether a function is dagnet's own, and so never changes."""
    if not isinstance(function, FunctionType) or "<locals>" in function.__qualname__:
        return False
    return (function.__module__ or "").startswith("dagnet.")


def what_it_reads(*functions: Any) -> tuple[Any, ...] | None:
    """All immutable objects that some functions are made of, or None where there are others."""
    found: dict[int, Any] = {}
    waiting = [*functions]
    try:
        while waiting:
            value = waiting.pop()
            if id(value) not in found:
                found[id(value)] = value
                waiting.extend(() if isinstance(value, PLAIN) or _is_library(value) else _parts(value))
    except (_MayChange, ValueError):  # the latter: a closed-over name that has no value yet
        return None
    return tuple(found.values())


def same(before: tuple[Any, ...] | None, now: tuple[Any, ...] | None) -> bool:
    """Whether two answers of :func:`what_it_reads` are the same objects."""
    if before is None or now is None:
        return False
    return len(before) == len(now) and all(a is b for a, b in zip(before, now, strict=True))


def _is_library(value: Any) -> bool:
    """Modules, functions and types of NumPy, the C library's mathematics, built-in functions, errors."""
    if isinstance(value, ModuleType):
        return value.__name__.split(".")[0] in {"numpy", "math", "dagnet"}
    if isinstance(value, type):
        module = value.__module__.split(".")[0]
        return issubclass(value, BaseException) or module in {"numpy", "builtins"}
    module = (getattr(value, "__module__", None) or "").split(".")[0]
    if isinstance(value, BuiltinFunctionType):
        return module in {"math", "builtins", "numpy", ""} and value.__name__ not in UNSEEN
    return callable(value) and (module == "numpy" or is_own(value))


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, (tuple, frozenset)):
        yield from value
    elif isinstance(value, partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, FunctionType):
        yield from _parts_of_function(value)
    elif getattr(getattr(value, "__dataclass_params__", None), "frozen", False):
        yield from (getattr(value, item.name) for item in dataclasses.fields(value))
        yield from _parts_of_class(type(value))
    else:
        raise _MayChange


def _parts_of_class(kind: type) -> Iterator[Any]:
    """What is behind the attributes of its objects, of which code names but the last part."""
    for base in kind.__mro__[:-1]:
        for name, value in vars(base).items():
            if isinstance(value, (staticmethod, classmethod)):
                yield value.__func__
            elif isinstance(value, property):
                yield value.fget
            elif name == "__call__" or not name.startswith("__"):
                yield value


def _parts_of_function(function: FunctionType) -> Iterator[Any]:
    if set(vars(function)) - {"__wrapped__"}:
        raise _MayChange
    yield function.__code__
    yield from (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    yield from (cell.cell_contents for cell in function.__closure__ or ())
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield function.__globals__[name]
        elif name in UNSEEN and hasattr(builtins, name):
            raise _MayChange


def _names(code: CodeType) -> Iterator[str]:
    """Global names (and names of attributes, which do no harm) in code and in functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
