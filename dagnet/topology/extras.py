"""Words that nodes and edges may say beside the usual ones: a row of a table each.

What a row's rule accepts is kept in the topology, by edge in a column of numbers, by node where it is
said; from there graphs, files, digests and formats have it, so that a new word is a new row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Aggregation, Loss, Normalization
from dagnet.errors import DataError, PluginError, expected
from dagnet.registry import find_aggregation, find_loss, parse_call, spelled
from dagnet.topology.groups import is_hashable
from dagnet.topology.said import Problems, Said
from dagnet.values import ALONE, FRACTION, LARGEST, NOT_NEGATIVE, Rule, is_number, plain

WIDEST = (-math.inf, math.inf)


def _is_factor(value: Any, _settings: object) -> bool:
    return is_number(value) and 0 < abs(float(value)) <= LARGEST


def _is_loss(value: Any, _settings: object) -> bool:
    if isinstance(value, tuple) and len(value) == 2:
        return _is_loss(value[0], None) and isinstance(value[1], tuple)
    return isinstance(value, (str, Loss))


def _as_loss(value: Any) -> Any:
    """As text, where the registry knows it; of a group with its nodes."""
    return (_as_loss(value[0]), value[1]) if isinstance(value, tuple) else spelled(value, find_loss)


def _are_bounds(value: Any, _settings: object) -> bool:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return False
    numbers = all(bound is None or is_number(bound) for bound in value)
    return numbers and bool(_hold_bounds(np.array([_open(value)])).all())


def _open(bounds: Sequence[Any]) -> tuple[float, ...]:
    return tuple(end if bound is None else float(bound) for bound, end in zip(bounds, WIDEST, strict=True))


def _hold_bounds(pairs: Array) -> Array:
    result: Array = (np.isfinite(pairs) | (pairs == WIDEST)).all(axis=1) & (pairs[:, 0] <= pairs[:, 1])
    return result


def normalization(text: str) -> Normalization:
    """The normalisation that a call form says."""
    name, positional, named = parse_call(text)
    if positional:
        raise PluginError(expected(f"normalization {name!r}", "of named parameters", positional))
    return Normalization.of(name, named)


def normalizations(said: Mapping[str, Mapping[int, Any]]) -> dict[int, Normalization]:
    """What normalises each node that says so, in the order of their numbers."""
    texts = said.get("normalization", {})
    return {node: normalization(texts[node]) for node in sorted(texts) if texts[node]}


def _is_key(key: Any) -> bool:
    """NaN is none: another one in a file would be another key."""
    return is_hashable(key) and not (isinstance(key, float) and math.isnan(key))


def _spelled(text: str) -> str:
    return str(normalization(text))


def _as_aggregation(value: object) -> Aggregation | None:
    """None for the sum, which nodes need not say."""
    found = find_aggregation(value)
    return None if found == find_aggregation("sum") else found


class _Named(Rule):
    """What a name or a call form says; what is wrong with it is said with the place where it stands."""

    def check(self, where: str, value: Any, settings: Mapping[str, Any] = ALONE, *, mend: str = "") -> Any:
        """See :meth:`dagnet.values.Rule.check`."""
        if not self.holds(value, settings):
            raise DataError(expected(where, self.must, value, mend))
        try:
            return self.convert(value)
        except PluginError as error:
            raise DataError(f"{where}: {error}") from None


@dataclass(frozen=True)
class Word:
    """What a word's value must be, and, of edges, what stands where it is not said.

    ``all_hold`` says of a column of floats, or of pairs of floats, which of them are accepted as they
    are: such edges are read at once.
    """

    rule: Rule
    default: Any = None
    all_hold: Callable[[Array], Array] | None = None


BOUNDS = "a pair (low, high) of finite numbers, low ≤ high, or None where it is open"
EDGE_EXTRAS: dict[str, Word] = {
    "factor": Word(
        Rule("a finite number other than 0", _is_factor), 1.0, lambda said: np.isfinite(said) & (said != 0)
    ),
    "bounds": Word(Rule(BOUNDS, _are_bounds, _open), WIDEST, _hold_bounds),
    "dropout": Word(FRACTION, 0.0, lambda said: (said >= 0) & (said < 1)),
    "l1": Word(NOT_NEGATIVE, math.nan, lambda said: (said >= 0) & (said <= LARGEST)),
    "l2": Word(NOT_NEGATIVE, math.nan, lambda said: (said >= 0) & (said <= LARGEST)),
}
"""By word, of edges: each is one number, or as many as the default has; None stands for an infinite one."""
NODE_EXTRAS: dict[str, Word] = {
    "aggregation": Word(_Named("an aggregation", lambda *_: True, _as_aggregation)),
    "loss": Word(Rule("a loss, or (loss, nodes) of a group of outputs", _is_loss, _as_loss)),
    "loss_weight": Word(NOT_NEGATIVE),
    "target": Word(Rule("the name of another output", lambda name, _: isinstance(name, Hashable), plain)),
    "sign": Word(Rule("+1 or −1", lambda value, _: is_number(value) and abs(float(value)) == 1, int)),
    "share": Word(Rule("a hashable key that equals itself", lambda key, _: _is_key(key), lambda key: key)),
    "dropout": Word(FRACTION),
    "normalization": Word(
        _Named("'batch', 'layer' or a call form of these", lambda said, _: isinstance(said, str), _spelled)
    ),
}
"""By word, of nodes; what a rule makes None of is as good as not said."""


def read_edge_extras(edges: Said, problems: Problems) -> dict[str, Array]:
    """(edges, …) numbers of each word that is said."""
    found = {}
    for word in EDGE_EXTRAS if edges.words else ():
        said = {edge: value for edge, value in edges.of(word) if value is not None}
        if said:
            found[word] = edge_column(word, len(edges.data), said, edges.where, problems)
    return found


def edge_column(
    word: str, n: int, said: Mapping[int, Any], where: Callable[[int], str], problems: Problems
) -> Array:
    """(edges, …) the word's numbers, of those edges that say it and its default of the others."""
    rule, default = EDGE_EXTRAS[word].rule, EDGE_EXTRAS[word].default
    column = np.full((n, *np.shape(default)), default, np.float64)
    if (values := _plain_column(word, list(said.values()))) is not None:
        column[np.fromiter(said, np.int64, len(said))] = values
        return column
    for edge, value in said.items():
        column[edge] = problems.tried(partial(rule.check, f"{where(edge)}: {word}"), value, default)
    return column


def _plain_column(word: str, values: list[Any]) -> Array | None:
    """The values where all are plain and accepted, without words for what could be wrong."""
    default, all_hold = EDGE_EXTRAS[word].default, EDGE_EXTRAS[word].all_hold
    flat = values
    if shape := np.shape(default):
        if set(map(type, values)) != {tuple} or set(map(len, values)) != {*shape}:
            return None
        flat = [
            end if item is None else item for said in values for item, end in zip(said, default, strict=True)
        ]
    if all_hold is None or not set(map(type, flat)) <= {float, int}:
        return None
    try:
        column = np.array(flat, np.float64).reshape(-1, *shape)
    except OverflowError:
        return None
    return column if all_hold(column).all() else None


def read_node_extras(nodes: Said, problems: Problems) -> dict[str, dict[int, Any]]:
    """What nodes say, by word and by the number of the node."""
    found: dict[str, dict[int, Any]] = {}
    for word, row in NODE_EXTRAS.items() if nodes.words else ():
        for node, value in nodes.of(word):
            if value is None:
                continue
            try:
                read = row.rule.check("", value)
            except DataError:  # and now with words for what is wrong
                check = partial(row.rule.check, f"{nodes.where(node)}: {word}")
                read = problems.tried(check, value, None)
            if read is not None:
                found.setdefault(word, {})[node] = read
    return found


def edge_values(word: str, column: Array) -> Iterator[tuple[int, Any]]:
    """The edges that say something else than the default, and what: as a graph says it."""
    default = np.asarray(EDGE_EXTRAS[word].default, np.float64)
    same = (column == default) | (np.isnan(column) & np.isnan(default))
    for edge in np.flatnonzero(~same.reshape(len(column), -1).all(axis=1)).tolist():
        value = column[edge].tolist()
        if isinstance(value, float):
            yield edge, value
        else:
            yield edge, tuple(None if math.isinf(item) else item for item in value)
