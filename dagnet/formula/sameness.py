"""Whether a function is still what it was when it was traced.

A function is traced anew for each network and each fit, unless its code, what it closes over, the global
names in its code, its defaults and its fields are the same immutable objects as before.
"""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Iterator
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

PLAIN = (int, float, complex, str, bytes, type(None), np.generic, CodeType, np.ufunc)
UNSEEN = frozenset({"open", "input", "eval", "exec", "globals", "vars", "getattr", "setattr", "__import__"})
"""Built-in functions behind which anything may change."""


class _MayChange(Exception):
    pass


def is_own(function: Any) -> bool:
    """Whether a function is dagnet's own, and so never changes."""
    module = getattr(function, "__module__", None) or ""
    return (
        isinstance(function, FunctionType)
        and module.startswith("dagnet.")
        and "<locals>" not in function.__qualname__
    )


def what_it_reads(*functions: Any) -> tuple[Any, ...] | None:
    """All immutable objects that some functions are made of, or None where there are others."""
    found: list[Any] = []
    seen: set[int] = set()
    try:
        for function in functions:
            _admit(function, found, seen)
    except (_MayChange, ValueError):  # the latter: a closed-over name that has no value yet
        return None
    return tuple(found)


def same(before: tuple[Any, ...] | None, now: tuple[Any, ...] | None) -> bool:
    """Whether two answers of :func:`what_it_reads` are the same objects."""
    if before is None or now is None:
        return False
    return len(before) == len(now) and all(a is b for a, b in zip(before, now, strict=True))


def _admit(value: Any, found: list[Any], seen: set[int]) -> None:
    if id(value) in seen:
        return
    seen.add(id(value))
    found.append(value)
    if isinstance(value, PLAIN) or _is_library(value):
        return
    for part in _parts(value):
        _admit(part, found, seen)


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
    """What an object is made of."""
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
