"""What a function reads besides its arguments: whether one run of it can stand for later ones.

A function that is traced is run once, on symbols, and never again.  That is right only where it
does the same each time: where it reads nothing but numbers, strings, NumPy and functions of the
same kind, keeps no count, draws no random numbers, and answers no error of its own.  Names may
be given other values between two runs; :meth:`Reads.changed` sees it.
"""

from __future__ import annotations

import builtins
import dis
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache, partial
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

__all__ = ["Reads", "reads_of"]

NUMBERS = (int, float, complex, str, type(None), np.generic)
BUILTINS = frozenset(
    {
        *("abs", "bool", "dict", "enumerate", "float", "int", "isinstance", "len", "list", "map", "max"),
        *("min", "pow", "range", "reversed", "round", "sorted", "sum", "tuple", "zip"),
    }
)
CHANGES = frozenset(
    {
        *("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_ATTR", "DELETE_ATTR", "IMPORT_NAME", "LOAD_BUILD_CLASS"),
        *("YIELD_FROM", "GET_AWAITABLE"),
    }
)
NOT_PURE = ("copyto", "fill_diagonal", "place", "put", "putmask", "put_along_axis", "seterr", "seterrcall")
ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")
_GONE = object()


class _Unclear(Exception):
    """A function reads something that may change unseen, or does more than calculate."""


class Reads:
    """The names that some functions read, and what they meant."""

    def __init__(self) -> None:
        self._names: list[tuple[Mapping[str, Any], str, Any]] = []
        self._cells: list[tuple[CellType, Any]] = []
        self._seen: set[int] = set()

    def changed(self) -> bool:
        """Whether one of the names means something else by now."""
        for names, name, value in self._names:
            if names.get(name, _GONE) is not value:
                return True
        return any(cell.cell_contents is not value for cell, value in self._cells)

    def admit(self, value: Any, attributes: tuple[str, ...] = ()) -> None:
        """Note what a value reads; of a module, what its attributes read."""
        if isinstance(value, ModuleType) and attributes and attributes[0] in vars(value):
            self._named(vars(value), attributes[0], attributes[1:])
        elif isinstance(value, tuple):
            for item in value:
                self.admit(item)
        elif isinstance(value, partial):
            self.admit((value.func, *value.args))
            for name in value.keywords:
                self._named(value.keywords, name)
        elif isinstance(value, FunctionType) and value.__module__ != "numpy":
            self._function(value)
        elif not (isinstance(value, (*NUMBERS, np.ufunc)) or _is_known(value)):
            raise _Unclear

    def _named(self, names: Mapping[str, Any], name: str, attributes: tuple[str, ...] = ()) -> None:
        self.admit(names[name], attributes)
        if names is not vars(np):
            self._names.append((names, name, names[name]))

    def _function(self, function: FunctionType) -> None:
        if id(function) in self._seen:
            return
        self._seen.add(id(function))
        if set(vars(function)) - {"__wrapped__"}:
            raise _Unclear
        self.admit((*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()))
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        for closed_over, name, attributes in _names_in(function.__code__):
            if closed_over and name in cells:
                self.admit(cells[name].cell_contents, attributes)
                self._cells.append((cells[name], cells[name].cell_contents))
            elif not closed_over and name in function.__globals__:
                self._named(function.__globals__, name, attributes)
            elif not closed_over and name not in BUILTINS and not _is_error(getattr(builtins, name, None)):
                raise _Unclear


def reads_of(*values: Any) -> Reads | None:
    """What functions, and values that they are given, read; None where it may change unseen."""
    reads = Reads()
    try:
        reads.admit(values)
    except (_Unclear, ValueError):  # the latter: a closed-over name that has no value yet
        return None
    return reads


def _is_error(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


def _is_known(value: Any) -> bool:
    """NumPy's functions, those of the C library's mathematics, numbers' types and errors."""
    module = getattr(value, "__module__", None)
    if isinstance(value, type):
        return _is_error(value) or module == "numpy" or value.__name__ in BUILTINS
    if isinstance(value, BuiltinFunctionType) and module != "numpy":
        return module == "math" or (module == "builtins" and value.__name__ in BUILTINS)
    return callable(value) and module == "numpy" and value.__name__ not in NOT_PURE


@lru_cache(maxsize=1024)
def _names_in(code: CodeType) -> tuple[tuple[bool, str, tuple[str, ...]], ...]:
    """What code reads, and functions inside it: whether closed over, the name, attributes of it."""
    instructions = list(dis.get_instructions(code))
    count = Counter(instruction.opname for instruction in instructions)
    assigned = {i.argval for i in instructions if i.opname in {"STORE_DEREF", "DELETE_DEREF"}}
    # ``with`` has one of each; whatever else handles errors might take a refused trace for an answer
    handles = count["PUSH_EXC_INFO"] > count["WITH_EXCEPT_START"]
    raising = "errstate" in code.co_names and "raise" in str(code.co_consts)
    if CHANGES & count.keys() or assigned.intersection(code.co_freevars) or handles or raising:
        raise _Unclear
    found = dict[tuple[bool, str, tuple[str, ...]], None]()
    for place, instruction in enumerate(instructions):
        if instruction.opname in {"LOAD_GLOBAL", "LOAD_DEREF"}:
            attributes = []
            for following in instructions[place + 1 :]:
                if following.opname not in ATTRIBUTES:
                    break
                attributes.append(following.argval)
            found[instruction.opname == "LOAD_DEREF", instruction.argval, tuple(attributes)] = None
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= dict.fromkeys(_names_in(constant))
    return tuple(found)
