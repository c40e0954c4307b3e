"""From an elementwise NumPy function to one that Numba compiles for scalars of one dtype.

The function's code is kept; what its names mean is replaced: ``np`` becomes a namespace of
scalar functions, float literals take the dtype (else float32 would become float64), helpers
are translated likewise.  What cannot be translated raises :class:`Untranslatable` with the
reason; such a function runs through NumPy.
"""

from __future__ import annotations

import builtins
import dis
import hashlib
import math
import types
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numba
import numpy as np

from dagnet.engine.compiled.elementary import EXACT
from dagnet.engine.compiled.mathematics import namespace

__all__ = ["Translation", "Untranslatable", "reads_first_argument"]

SIMPLE = (int, bool, str, type(None), complex)


class Untranslatable(Exception):
    """Why a function cannot be compiled."""


def reads_first_argument(function: Any) -> bool:
    """Whether a Python function ever reads its first argument; True where that cannot be told."""
    code = getattr(function, "__code__", None)
    if not isinstance(function, types.FunctionType) or code is None or not code.co_argcount:
        return True
    first = code.co_varnames[0]
    return any(_touches(instruction, first) for instruction in dis.get_instructions(code))


def _touches(instruction: dis.Instruction, name: str) -> bool:
    value = instruction.argval
    return value == name or (isinstance(value, tuple) and name in value)


class Translation:
    """Translates functions for one dtype, and keeps a digest of all that went into them."""

    def __init__(self, dtype: Any) -> None:
        self.number = np.dtype(dtype).type
        self.module = namespace(np.dtype(dtype).name)
        self._digest = hashlib.sha256(np.dtype(dtype).name.encode())
        self._done: dict[int, Any] = {}
        self._open: set[int] = set()

    @property
    def digest(self) -> str:
        """SHA-256 of the code and the constants seen so far."""
        return self._digest.hexdigest()

    def _note(self, *parts: object) -> None:
        for part in parts:
            data = part if isinstance(part, bytes) else repr(part).encode("utf-8", "surrogatepass")
            self._digest.update(len(data).to_bytes(8, "little") + data)

    def function(self, function: Callable[..., Any], arguments: tuple[Any, ...] = (), n_free: int = 0) -> Any:
        """A compiled ``function`` of its first ``n_free`` arguments, the others fixed to ``arguments``."""
        if isinstance(function, np.ufunc):
            return self._attribute(function.__name__)
        if id(function) in self._done and not arguments:
            return self._done[id(function)]
        if not isinstance(function, types.FunctionType):
            raise Untranslatable(f"{type(function).__name__} is not a plain Python function")
        if id(function) in self._open:
            raise Untranslatable(f"{function.__name__} calls itself")
        self._open.add(id(function))
        try:
            code, closure, names = self._rebuilt(function, arguments, n_free)
        finally:
            self._open.discard(id(function))
        defaults = tuple(0 for _ in arguments) or function.__defaults__  # never read
        copy = types.FunctionType(code, names, function.__name__, defaults, closure)
        compiled = numba.njit(**EXACT)(copy)
        if not arguments:
            self._done[id(function)] = compiled
        return compiled

    def _rebuilt(self, function: types.FunctionType, arguments: tuple[Any, ...], n_free: int) -> Any:
        code = function.__code__
        if code.co_flags & 0x0C or code.co_kwonlyargcount or code.co_flags & 0x20:
            raise Untranslatable("it has variable or keyword-only arguments, or is a generator")
        self._note(code.co_code, code.co_names, code.co_varnames)
        constants = tuple(self._constant(value) for value in code.co_consts)
        code = code.replace(co_consts=constants)
        if arguments:
            code = self._with_fixed(code, arguments, n_free)
        cells = tuple(
            types.CellType(self._meaning(cell.cell_contents)) for cell in function.__closure__ or ()
        )
        self._note(function.__defaults__)
        self._check_numpy_names(function)
        read = {i.argval: None for i in dis.get_instructions(function.__code__) if i.opname == "LOAD_GLOBAL"}
        names = {name: self._global(function, name) for name in read if name in function.__globals__}
        names["__builtins__"] = builtins
        return code, cells or None, names

    def _check_numpy_names(self, function: types.FunctionType) -> None:
        """Each ``np.name`` in the code must have a compiled form."""
        instructions = [i for i in dis.get_instructions(function.__code__) if i.opname != "CACHE"]
        for owner, attribute in pairwise(instructions):
            reads = owner.opname == "LOAD_GLOBAL" and attribute.opname in {"LOAD_ATTR", "LOAD_METHOD"}
            if reads and function.__globals__.get(owner.argval) is np:
                self._attribute(attribute.argval)

    def _with_fixed(self, code: types.CodeType, arguments: tuple[Any, ...], n_free: int) -> types.CodeType:
        """The code with its last arguments as constants: reading one becomes reading a constant."""
        if code.co_argcount != n_free + len(arguments):
            raise Untranslatable(f"it takes {code.co_argcount} arguments, not {n_free + len(arguments)}")
        places = {code.co_varnames[n_free + k]: k for k in range(len(arguments))}
        first = len(code.co_consts)
        fixed = tuple(self._fixed(value) for value in arguments)
        raw = bytearray(code.co_code)
        for instruction in dis.get_instructions(code):
            names = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
            touched = [name for name in names if isinstance(name, str) and name in places]
            if not touched or not instruction.opname.startswith(("LOAD_FAST", "STORE_FAST", "DELETE_FAST")):
                continue
            place = first + places[touched[0]]
            if instruction.opname != "LOAD_FAST" or place > 255:
                raise Untranslatable(f"it assigns to its parameter {touched[0]!r}, or its code is too long")
            raw[instruction.offset] = dis.opmap["LOAD_CONST"]
            raw[instruction.offset + 1] = place
        return code.replace(co_code=bytes(raw), co_consts=(*code.co_consts, *fixed))

    def _fixed(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(self._fixed(item) for item in value)
        if not isinstance(value, (*SIMPLE, float, np.floating, np.integer)):
            raise Untranslatable(f"its parameter {value!r} is neither a number nor a string")
        return self._constant(value)

    def _constant(self, value: Any) -> Any:
        negative = isinstance(value, int) and value < 0  # as an exponent Numba would raise at 0
        if isinstance(value, (float, np.floating)) or negative:
            self._note(float(value))
            return self.number(value)
        if isinstance(value, types.CodeType):
            raise Untranslatable("it defines a function inside")
        self._note(value)
        return value

    def _global(self, function: types.FunctionType, name: str) -> Any:
        self._note(name)
        return self._meaning(function.__globals__[name])

    def _meaning(self, value: Any) -> Any:
        """What stands for a global or a closed-over value."""
        if value is np:
            self._note("numpy")
            return self.module
        if isinstance(value, np.ufunc) or (getattr(value, "__module__", None) == "numpy" and callable(value)):
            return self._attribute(value.__name__)
        if isinstance(value, types.FunctionType):
            return self.function(value)
        if isinstance(value, (float, *SIMPLE)):
            return self._constant(value)
        if value is math:
            return value
        raise Untranslatable(f"it uses {type(value).__name__} {getattr(value, '__name__', '')!r}")

    def _attribute(self, name: str) -> Any:
        self._note(name)
        if not hasattr(self.module, name):
            raise Untranslatable(f"it calls numpy.{name}, which has no compiled form here")
        return getattr(self.module, name)
