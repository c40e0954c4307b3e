"""The exception tree, and the one formula for every message.

A message says where, what it must be, what it got, and how to mend it.  Every exception
is also a :class:`ValueError`, so code that catches those keeps working.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Hashable, Iterable, Sequence, Sized
from itertools import islice
from typing import Any

import numpy as np

SHOWN_PROBLEMS = 10
CONSIDERED = 2000
"""How many known names a suggestion is looked for in: a message must not take minutes."""


class DagnetError(ValueError):
    """Anything that dagnet refuses.

    >>> issubclass(DataError, DagnetError) and issubclass(DagnetError, ValueError)
    True
    """


class GraphError(DagnetError):
    """A graph that is no network; ``problems`` holds one sentence each, all of them.

    >>> GraphError(["node 'a' …", "node 'b' …"]).problems
    ("node 'a' …", "node 'b' …")
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__(self._message())

    def _message(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        lines = [f"the graph has {len(self.problems)} problems:"]
        lines += [f"  - {problem}" for problem in self.problems[:SHOWN_PROBLEMS]]
        if len(self.problems) > SHOWN_PROBLEMS:
            lines.append(f"  … and {len(self.problems) - SHOWN_PROBLEMS} more")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.problems,))


class CycleError(GraphError):
    """A graph with a directed cycle; ``cycle`` lists its nodes in order, the first not repeated.

    >>> import dagnet, networkx as nx
    >>> try:
    ...     dagnet.Network(nx.DiGraph([("a", "b"), ("b", "c"), ("c", "b")]))
    ... except CycleError as error:
    ...     sorted(error.cycle)
    ['b', 'c']
    """

    def __init__(self, problems: str | Sequence[str], cycle: Sequence[Hashable] = ()) -> None:
        self.cycle: tuple[Hashable, ...] = tuple(cycle)
        super().__init__(problems)

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.problems, self.cycle))


class DataError(DagnetError):
    """Rows, targets, weights or arguments that do not fit the network.

    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([2, 1]))
    >>> try:
    ...     net.predict([[1.0, 2.0, 3.0]])
    ... except DataError as error:
    ...     '3' in str(error)
    True
    """


class PluginError(DagnetError):
    """An unknown, mistyped, duplicate or misbehaving plugin.

    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([2, 1]))
    >>> try:
    ...     net.fit([[1.0, 2.0]], [[1.0]], optimizer="adan")
    ... except PluginError as error:
    ...     'adam' in str(error)
    True
    """


class FormatError(DagnetError):
    """A file that is not what it says it is.

    >>> import dagnet, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "net.dagnet")
    >>> _ = path.write_text("a picture")
    >>> try:
    ...     dagnet.load(path)
    ... except FormatError as error:
    ...     str(path.name) in str(error)
    True
    """


class NumericalError(DagnetError):
    """A loss or a value that became NaN or infinite.

    >>> import dagnet
    >>> net = dagnet.Network(dagnet.layered([2, 1]))
    >>> try:
    ...     net.fit([[1e200, 0.0]], [[1e200]], epochs=3, progress=False)
    ... except NumericalError as error:
    ...     'loss' in str(error)
    True
    """


class GroupError(DagnetError):
    """Processes that train as one of which some are gone, or have come apart."""


class DagnetWarning(UserWarning):
    """Something allowed that is probably not meant.

    >>> import warnings
    >>> warnings.simplefilter("error", DagnetWarning)  # refuse it
    >>> warnings.simplefilter("default", DagnetWarning)
    """


def shorten(value: object, limit: int = 60) -> str:
    """``repr`` of a value on one line, cut to at most ``limit`` characters."""
    text = written(value)
    if "\n" in text:
        text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def written(value: object) -> str:
    """``repr`` of a value; of NumPy's scalars as of the numbers that they equal."""
    try:
        if type(value) in {str, int}:
            return repr(value)
        with np.printoptions(legacy="1.25"):  # 51, not np.int64(51)
            return repr(value)
    except Exception:  # noqa: BLE001 - a message must never fail because of a stranger's __repr__
        inside = map(written, value) if type(value) is tuple else None
        return f"<{type(value).__name__}>" if inside is None else f"({', '.join(inside)})"


class Verbatim(str):
    """Words that a message shows without quotation marks: ``expected(…, Verbatim("shape (3,)"))``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def did_you_mean(name: object, known: Iterable[object], *, listed: int = 0) -> str:
    """The mending half of an "unknown name" message.

    Suggests the closest known name, else lists the first ``listed`` known ones.

    Examples
    --------
    >>> did_you_mean("sigmiod", ["tanh", "sigmoid"])
    "; did you mean 'sigmoid'?"
    """
    items = list(islice(known, CONSIDERED))
    folded = {_plain(item).casefold(): item for item in reversed(items)}
    close = difflib.get_close_matches(_plain(name).casefold(), folded, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {shorten(folded[close[0]])}?"
    if listed and items:
        total = len(known) if isinstance(known, Sized) else len(items)
        more = "" if total <= listed else f" and {total - listed} more"
        return f"; known: {', '.join(map(_shown, items[:listed]))}{more}"
    return ""


def _plain(item: object) -> str:
    return item if isinstance(item, str) else shorten(item)


def _shown(item: object) -> str:
    text = shorten(item)  # without quotation marks where a name is short and holds nothing strange
    return item if isinstance(item, str) and text[1:-1] == item != "" else text


def expected(where: str, must: str, got: object, mend: str = "") -> str:
    """Word a refusal: where, what it must be, what it got, how to mend it.

    Examples
    --------
    >>> expected("node 'h1': units", "a positive whole number", -1, "write units=1 or more")
    "node 'h1': units must be a positive whole number, got -1; write units=1 or more"
    """
    return f"{where} must be {must}, got {shorten(got)}" + (f"; {mend}" if mend else "")


def needed(what: str, module: str, distribution: str) -> Any:
    """A module that only ``what`` needs, or a PluginError that says what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        mend = f"pip install {distribution}"
        if distribution.startswith("dagnet-"):
            mend += f", or ./plugins/{distribution} in a copy of dagnet's repository"
        raise PluginError(f"{what} needs {distribution} ({error}); {mend}") from error
