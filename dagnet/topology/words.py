"""Words on nodes and edges: dagnet's own, those it refuses, and the user's, which are kept."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import networkx as nx

from dagnet.errors import DagnetWarning, DataError, did_you_mean, expected, shorten
from dagnet.topology.attributes import EDGE_WORDS, NODE_WORDS
from dagnet.topology.extras import EDGE_EXTRAS, NODE_EXTRAS
from dagnet.topology.frozen import NONE, UserAttributes
from dagnet.topology.said import Drawn, Problems, Said, near_misses

_MISSING = "dagnet does not have it, and leaving it out would train another network than the one drawn"
_EDGES_OUT = "leave edges that do not act out of the graph"
_INTERVAL = "write bounds=(low, high) on edges, None for what is open, or sign=… on the node that they leave"
_PENALTY = "write l1=… or l2=… on edges, or fit(l1=…, l2=…), which holds for all weights"
_SCALED = "multiply the weights of the node's incoming edges by it"

REFUSED_ON_NODES = {
    "act": "write activation=…",
    "activation_function": "write activation=…",
    "batch_norm": _MISSING,
    "constraint": _INTERVAL,
    "gain": _SCALED,
    "init": "write bias=… on the node, weight=… on edges, or Network(initializer=…)",
    "mask": _EDGES_OUT,
    "regularizer": _PENALTY,
    "response": _SCALED,
}
REFUSED_ON_EDGES = {
    "constraint": _INTERVAL,
    "enabled": _EDGES_OUT,
    "frozen": "write trainable=False",
    "function": "functions stand on nodes: write activation=… on a node between the two",
    "gain": "multiply weight by it",
    "lower": _INTERVAL,
    "mask": _EDGES_OUT,
    "regularizer": _PENALTY,
    "sign": "write bounds=(0, None) or (None, 0) on the edge, or sign=… on the node that it leaves",
    "upper": _INTERVAL,
}
ON_NODES = frozenset((*NODE_WORDS, *REFUSED_ON_NODES))
ON_EDGES = frozenset((*EDGE_WORDS, *REFUSED_ON_EDGES))
WORDS = ON_NODES | ON_EDGES
OPTIONAL = frozenset((*REFUSED_ON_NODES, *REFUSED_ON_EDGES, *NODE_EXTRAS, *EDGE_EXTRAS))
"""Words that a graph may mean otherwise, and that then stay what they were in it."""


def checked_words(attributes: object, unread: Iterable[str], weight: str | None) -> dict[str, str | None]:
    """From a word of dagnet's to the attribute that says it in this graph, or None where none does.

    ``weight`` is the argument of that name, which must not say another attribute.
    """
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
        found[str(word)] = name if name is None else str(name)
    said = found.get("weight")
    if said is not None and weight not in {None, "weight", said}:
        differing = f"weight={weight!r} and attributes={{'weight': {said!r}}} differ"
        raise DataError(f"{differing}; leave one of them out")
    return found


def reworded(
    said: Said, words: Mapping[str, str | None], own: AbstractSet[str], weight: str | None = None
) -> Said:
    """Attributes with dagnet's ``own`` words for what other attributes say, that of the weights kept."""
    words = {word: words[word] for word in words if word in own}
    if not words:
        return said
    dropped = words.keys() | set(words.values())
    if weight != "weight":
        dropped -= {weight}
    data = [_reworded(attributes, words, dropped) if attributes else attributes for attributes in said.data]
    return Said.of_all(said.kind, said.text, data)


def _reworded(
    attributes: Mapping[str, Any], words: Mapping[str, str | None], dropped: AbstractSet[str | None]
) -> dict[str, Any]:
    result = {name: value for name, value in attributes.items() if name not in dropped}
    said = ((word, name) for word, name in words.items() if name is not None and name in attributes)
    return result | {word: attributes[name] for word, name in said}


def users_attributes(
    graph: nx.DiGraph[Any], drawn: Drawn, words: Mapping[str, str | None], weight: str | None
) -> UserAttributes:
    """All that is not dagnet's, to be kept."""
    said = {name: value for name, value in graph.graph.items() if name != "dagnet"}
    unread = OPTIONAL.intersection(
        {weight, *(word if name is None else name for word, name in words.items())}
    )
    nodes, edges = _kept(drawn.nodes, NODE_WORDS, unread), _kept(drawn.edges, EDGE_WORDS, unread)
    if said or nodes or edges or unread:
        return UserAttributes(said, nodes, edges, tuple(sorted(unread)))
    return NONE


def _kept(said: Said, own: Iterable[str], unread: AbstractSet[str]) -> dict[int, Mapping[Any, Any]]:
    """The attributes that are the user's, of each node or edge that has some."""
    spare = said.words.difference(own) | (said.words & unread)
    if not spare:
        return {}
    found = (
        (number, {name: value for name, value in attributes.items() if name in spare})
        for number, attributes in enumerate(said.data)
        if attributes
    )
    return {number: attributes for number, attributes in found if attributes}


def check_words(nodes: Said, edges: Said, weight: str | None, problems: Problems) -> None:
    """Note the words that dagnet refuses, and warn of those that are nearly its own."""
    weights = () if weight is None else (weight,)
    for said, table, own in (
        (nodes, REFUSED_ON_NODES, NODE_WORDS),
        (edges, REFUSED_ON_EDGES, (*EDGE_WORDS, *weights)),
    ):
        strange = said.words.difference(own)
        if not strange:
            continue
        for word in sorted(table.keys() & strange):
            owners = [number for number, value in said.of(word) if value is not None]
            if owners:
                more = f" and {len(owners) - 1:,} more" if len(owners) > 1 else ""
                elsewhere = f"if it means something else here, Network(…, attributes={{{word!r}: None}})"
                problems.append(
                    f"{said.where(owners[0])}{more}: {word!r} is not an attribute that dagnet reads: "
                    f"{table[word]}; {elsewhere}"
                )
        for attribute, known in near_misses(strange - table.keys(), own):
            text = f"{attribute!r} is not one that dagnet reads; did you mean {known!r}?"
            warnings.warn(f"{said.kind} attribute {text}", DagnetWarning, stacklevel=4)
