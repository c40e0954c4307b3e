"""Words on nodes and edges: dagnet's own, those it refuses, and the user's, which are kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dagnet.errors import DataError, did_you_mean, expected, shorten
from dagnet.topology.problems import Problems

NODE_WORDS = ("activation", "bias", "units", "trainable", "center", "scale")
EDGE_WORDS = ("weight", "trainable", "share")

_MISSING = "dagnet does not have it, and leaving it out would train another network than the one drawn"
_EDGES_OUT = "leave edges that do not act out of the graph"
_INTERVAL = f"{_MISSING}; a weight can be fixed by trainable=False"
_PENALTY = "write fit(l1=…, l2=…), which holds for all weights"
_SCALED = "multiply the weights of the node's incoming edges by it"

REFUSED_ON_NODES = {
    "act": "write activation=…",
    "activation_function": "write activation=…",
    "aggregation": f"{_MISSING}: values are activations of weighted sums",
    "batch_norm": _MISSING,
    "constraint": _INTERVAL,
    "dropout": _MISSING,
    "gain": _SCALED,
    "init": "write bias=… on the node, weight=… on edges, or Network(initializer=…)",
    "loss": "write Network(loss=…), one for all outputs",
    "loss_weight": "write Network(loss=…), one for all outputs",
    "mask": _EDGES_OUT,
    "normalization": _MISSING,
    "regularizer": _PENALTY,
    "response": _SCALED,
    "share": "only edges share: write share=… on them",
    "sign": _INTERVAL,
    "target": "write Network(loss=…); y has one column for each output",
}
REFUSED_ON_EDGES = {
    "bounds": _INTERVAL,
    "constraint": _INTERVAL,
    "dropout": _MISSING,
    "enabled": _EDGES_OUT,
    "factor": f"{_MISSING}; multiply weight by it where nothing is shared",
    "frozen": "write trainable=False",
    "function": "functions stand on nodes: write activation=… on a node between the two",
    "gain": "multiply weight by it",
    "l1": _PENALTY,
    "l2": _PENALTY,
    "lower": _INTERVAL,
    "mask": _EDGES_OUT,
    "regularizer": _PENALTY,
    "sign": _INTERVAL,
    "upper": _INTERVAL,
}
WORDS = frozenset((*NODE_WORDS, *EDGE_WORDS, *REFUSED_ON_NODES, *REFUSED_ON_EDGES))

Data = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class UserAttributes:
    """What a graph says beside dagnet's words, by the number of the node or edge; it is kept as it is.

    ``unread`` lists words of dagnet's that mean something else in this graph.
    """

    graph: Mapping[Any, Any] = field(default_factory=dict)
    nodes: Mapping[int, Mapping[Any, Any]] = field(default_factory=dict)
    edges: Mapping[int, Mapping[Any, Any]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


NONE = UserAttributes()


def checked_words(attributes: object, unread: Iterable[str]) -> dict[str, str | None]:
    """From a word of dagnet's to the attribute that says it in this graph, or None where none does."""
    must = 'a mapping from a word of dagnet to another attribute or None, such as {"sign": None}'
    if attributes is not None and not isinstance(attributes, Mapping):
        raise DataError(expected("attributes", must, attributes))
    found: dict[str, str | None] = dict.fromkeys(unread)
    for word, name in (attributes or {}).items():
        if word not in WORDS:
            mend = did_you_mean(word, sorted(WORDS), listed=len(WORDS))
            raise DataError(f"attributes: {shorten(word)} is no word of dagnet{mend}")
        if name is not None and not isinstance(name, str):
            raise DataError(expected(f"attributes[{word!r}]", "the name of an attribute or None", name))
        found[word] = name
    return found


def reworded(data: Data, words: Mapping[str, str | None]) -> Data:
    """Attributes with dagnet's words for what other attributes say."""
    if not words:
        return data
    return [_reworded(attributes, words) if attributes else attributes for attributes in data]


def _reworded(attributes: Mapping[str, Any], words: Mapping[str, str | None]) -> dict[str, Any]:
    dropped = words.keys() | set(words.values())
    result = {name: value for name, value in attributes.items() if name not in dropped}
    said = ((word, name) for word, name in words.items() if name is not None and name in attributes)
    return result | {word: attributes[name] for word, name in said}


def refuse_known(
    kind: str,
    table: Mapping[str, str],
    data: Data,
    seen: Iterable[Hashable],
    name: Callable[[int], str],
    problems: Problems,
) -> None:
    """Note every word that means something in this field and that dagnet does not have."""
    for word in sorted(table.keys() & set(seen)):
        owners = [number for number, attributes in enumerate(data) if attributes.get(word) is not None]
        if owners:
            more = f" and {len(owners) - 1:,} more" if len(owners) > 1 else ""
            problems.append(
                f"{kind} {name(owners[0])}{more}: {word!r} is not an attribute that dagnet reads: "
                f"{table[word]}; if it means something else here, Network(…, attributes={{{word!r}: None}})"
            )


def kept(data: Data, seen: Iterable[Hashable], own: Iterable[str]) -> dict[int, Mapping[Any, Any]]:
    """The attributes that are the user's, of each node or edge that has some."""
    spare = set(seen) - set(own)
    if not spare:
        return {}
    found = (
        (number, {name: value for name, value in attributes.items() if name in spare})
        for number, attributes in enumerate(data)
        if attributes
    )
    return {number: attributes for number, attributes in found if attributes}
