"""Words that nodes and edges may say beside the usual ones: a row of a table each.

What a row's rule accepts is kept in the topology, by edge in a column of numbers, by node where it is
said; from there graphs, files, digests and formats have it, so that a new word is a new row.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import LEARNED, MOMENTS, Normalization
from dagnet.errors import DagnetError, DataError, PluginError, expected, shorten
from dagnet.registry import parse_call
from dagnet.values import ALONE, FRACTION, LARGEST, Rule, is_number


def _is_factor(value: Any, _settings: object) -> bool:
    return is_number(value) and 0 < abs(float(value)) <= LARGEST


class _CallForm(Rule):
    """A text that is read; what is wrong with it is said with the place where it stands."""

    def check(self, where: str, value: Any, settings: Mapping[str, Any] = ALONE, *, mend: str = "") -> Any:
        """See :meth:`dagnet.values.Rule.check`."""
        del settings
        if not isinstance(value, str):
            raise DataError(expected(where, self.must, value, mend))
        try:
            return self.convert(value)
        except DagnetError as error:
            raise DataError(f"{where}: {error}") from None


def normalization(text: str) -> Normalization:
    """The normalisation that a call form says."""
    name, positional, named = parse_call(text)
    if positional:
        raise PluginError(expected(f"normalization {name!r}", "of named parameters", positional))
    return Normalization.of(name, named)


def _spelled(text: str) -> str:
    return str(normalization(text))


@dataclass(frozen=True)
class Word:
    """What a word's value must be, and, of edges, what stands where it is not said."""

    rule: Rule
    default: Any = None


EDGE_EXTRAS: dict[str, Word] = {
    "factor": Word(Rule("a finite number other than 0", _is_factor), 1.0),
}
"""By word, of edges: each is one number, or as many as the default has."""
NODE_EXTRAS: dict[str, Word] = {
    "dropout": Word(FRACTION),
    "normalization": Word(_CallForm("'batch', 'layer' or a call form of these", lambda *_: True, _spelled)),
}
"""By word, of nodes."""


Data = Sequence[Mapping[str, Any]]
Where = Callable[[int], str]
Tried = Callable[[Callable[[Any], Any], Any, Any], Any]
"""What a check makes of a value, or else the fallback; the problem is noted."""


def read_edge_extras(data: Data, seen: AbstractSet[Any], where: Where, tried: Tried) -> dict[str, Array]:
    """(edges, …) numbers of each word that is said; ``where`` names an edge, ``seen`` all words."""
    said = {
        word: {edge: found[word] for edge, found in enumerate(data) if found.get(word) is not None}
        for word in EDGE_EXTRAS
        if word in seen
    }
    n = len(data)
    return {word: edge_column(word, n, values, where, tried) for word, values in said.items() if values}


def edge_column(word: str, n: int, said: Mapping[int, Any], where: Where, tried: Tried) -> Array:
    """(edges, …) the word's numbers, of those edges that say it and its default of the others."""
    rule, default = EDGE_EXTRAS[word].rule, EDGE_EXTRAS[word].default
    column = np.full((n, *np.shape(default)), default, np.float64)
    for edge, value in said.items():
        if type(value) is float and rule.holds(value, {}):  # without words for what could be wrong
            column[edge] = rule.convert(value)
        else:
            column[edge] = tried(partial(rule.check, f"{where(edge)}: {word}"), value, default)
    return column


def read_node_extras(data: Data, where: Where, tried: Tried) -> dict[str, dict[int, Any]]:
    """What nodes say, by word and by the number of the node; ``where`` names a node."""
    found: dict[str, dict[int, Any]] = {}
    for number, attributes in enumerate(data):
        for word in attributes.keys() & NODE_EXTRAS.keys() if attributes else ():
            if attributes[word] is not None:
                check = partial(NODE_EXTRAS[word].rule.check, f"{where(number)}: {word}")
                found.setdefault(word, {})[number] = tried(check, attributes[word], None)
    return found


def edge_values(word: str, column: Array) -> Iterator[tuple[int, Any]]:
    """The edges that say something else than the default, and what: as a graph says it."""
    default = np.asarray(EDGE_EXTRAS[word].default, np.float64)
    same = (column == default) | (np.isnan(column) & np.isnan(default))
    for edge in np.flatnonzero(~same.reshape(len(column), -1).all(axis=1)).tolist():
        value = column[edge].tolist()
        yield edge, value if isinstance(value, float) else tuple(value)


def kept(said: Mapping[str, Mapping[int, Any]]) -> dict[str, dict[int, float]]:
    """What normalisations learn and keep: by name and node, where it begins."""
    nodes = sorted(said.get("normalization", ()))
    return {name: dict.fromkeys(nodes, start) for name, start in {**LEARNED, **MOMENTS}.items() if nodes}


def learned(used: Mapping[str, Any], is_input: Array) -> dict[str, dict[int, float]]:
    """The same of what activations learn."""
    found: dict[str, dict[int, float]] = {}
    for kind, activation in enumerate(used["activations"]):
        for name, start in activation.trainable.items():
            nodes = np.flatnonzero((used["activation_of"] == kind) & ~is_input).tolist()
            found.setdefault(name, {}).update(dict.fromkeys(nodes, start))
    return {name: dict(sorted(nodes.items())) for name, nodes in found.items() if nodes}


def read_node_starts(
    data: Sequence[Mapping[str, Any]],
    names: Sequence[Hashable],
    units: Array,
    defaults: Mapping[str, Mapping[int, float]],
    problems: Any,
) -> dict[str, Array]:
    """Where what nodes learn and keep begins, node after node."""
    starts: dict[str, Array] = {}
    for name, nodes in defaults.items():
        pieces = []
        for node, default in nodes.items():
            value, where = data[node].get(name) if data else None, f"node {shorten(names[node])}: {name}"
            given = default if value is None else value
            pieces.append(problems.numbers(where, given, (int(units[node]),)) + np.zeros(units[node]))
            if name == "variance" and (pieces[-1] < 0).any():
                problems.refuse(where, "at least 0", value)
        starts[name] = np.concatenate(pieces)
    return starts
