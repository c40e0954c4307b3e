"""From a NumPy function to its formula: called once on symbols."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dagnet.formula.data import ARGUMENT, NUMBER, TERM, UNIT, Op
from dagnet.formula.formula import Formula
from dagnet.formula.recording import Recorder, Untraceable
from dagnet.formula.symbols import FREE, WHOLE, NeedsNumber, Symbol

NOT_THEIRS = tuple(str(Path(module).parent) for module in (np.__file__, __file__))
STANDARD = str(Path(linecache.__file__).parent)


def is_number(value: Any) -> bool:
    """Whether a parameter is a number, and so an argument of formulas; a truth value is not."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def traced(
    function: Callable[..., Any],
    arguments: Sequence[str],
    parameters: Mapping[str, Any] | None = None,
    *,
    axis: int | None = None,
    numbers: tuple[str, ...] = (),
) -> Formula:
    """The formula of ``function(*arguments, *parameters)``.

    Parameters
    ----------
    arguments
        Names of arrays, all of one shape; those in ``numbers`` are one number each.
    parameters
        Names and values.  Numbers become arguments of the formula, unless the function asks for their
        values; it may branch on them, and the formula is that of the branch taken.
    axis
        Over which axis the function may reduce: 1 those of losses, 0 those of aggregations.

    Raises
    ------
    Untraceable
        With the reason, and the line of the function's own source.
    """
    parameters = dict(parameters or {})
    fixed = {name for name, value in parameters.items() if not is_number(value)}

    def once() -> Formula:
        recorder = Recorder({name: value for name, value in parameters.items() if name not in fixed})
        form, symbols = TERM if axis == 0 else UNIT, dict[str, Symbol]()
        for name in (*arguments, *recorder.values):
            number = name in numbers or name not in arguments
            at = recorder.add(Op(ARGUMENT, (), NUMBER if number else form, False, name))
            symbols[name] = Symbol(recorder, at, FREE if number else WHOLE, axis=axis)
        with np.errstate(all="ignore"):
            given = (symbols[name].copy() for name in arguments)
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
    """With the line where it happened."""
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
