"""What a graph says beside dagnet's words, in a safe file: a column for each attribute."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from dagnet.contracts import Loss
from dagnet.errors import DagnetWarning, DataError, shorten
from dagnet.registry import find_loss
from dagnet.storage.documents import Snapshot, plugin_of
from dagnet.topology import Topology, UserAttributes, heads_of
from dagnet.topology.extras import NODE_EXTRAS
from dagnet.topology.said import Problems
from dagnet.values import plain

Column = list[Any]


def pack_users(users: UserAttributes, codec: Snapshot) -> Any:
    """Of the graph, of nodes and of edges: name, numbers and values of each attribute; words left unread.

    What no file can bring back as it was is left out, and one :class:`DagnetWarning` says so.
    """
    lost: list[str] = []
    tables = [
        list(_columns(what, {0: users.graph} if what == "graph" else numbered, codec, lost))
        for what, numbered in (("graph", {}), ("node", users.nodes), ("edge", users.edges))
    ]
    if lost:
        more = f" and {len(lost) - 1:,} more" if len(lost) > 1 else ""
        text = f"the file keeps no {lost[0]}{more}: it can hold {Snapshot.takes}"
        warnings.warn(text, DagnetWarning, stacklevel=5)
    return [*tables, list(users.unread)]


def pack_words(words: Mapping[str, Mapping[int, Any]], codec: Snapshot) -> Any:
    """What nodes say by word and number: word, numbers and values; DataError for what no file can keep."""
    packed = []
    for word, said in words.items():
        values = [codec.pack(_plain(word, value), f"node attribute {word!r}") for value in said.values()]
        packed.append([word, list(said), values])
    return packed


def _plain(word: str, value: Any) -> Any:
    if word == "loss":
        value = NODE_EXTRAS[word].rule.convert(value)
        plugin_of(find_loss(value[0] if isinstance(value, tuple) else value))  # which refuses unknown ones
    return plain(value)


def check_heads(topology: Topology, default: Loss) -> None:
    """``ValueError`` where heads cannot be as a file says; PluginError for an unknown loss."""
    for said in topology.node_words.get("loss", {}).values():
        find_loss(said[0] if isinstance(said, tuple) else said)
    problems = Problems()
    heads_of(topology, default, problems)
    if problems:
        raise ValueError("; ".join(problems))


def unpack_words(packed: Any, codec: Snapshot, n: int) -> list[dict[str, Any]]:
    """What the nodes said, by node; ``ValueError`` for all else than :func:`pack_words` gave."""
    if type(packed) is not list:
        raise ValueError("what nodes say is no list")
    said = _unpacked(packed, n, codec)
    return [said.get(node, {}) for node in range(n)]


def _columns(
    what: str, numbered: Mapping[int, Mapping[Any, Any]], codec: Snapshot, lost: list[str]
) -> Iterator[Column]:
    columns: dict[Any, Column] = {}
    for number, attributes in numbered.items():
        for name, value in attributes.items():
            where = (
                f"attribute {shorten(name)} of the graph"
                if what == "graph"
                else f"{what} attribute {shorten(name)}"
            )
            aside = len(codec.tensors)
            try:
                packed = codec.pack(plain(value), where)
                column = columns.get(name) or columns.setdefault(
                    name, [codec.pack(plain(name), where), [], []]
                )
            except DataError:
                lost.append(where)
                while len(codec.tensors) > aside:  # those of what was packed before the rest was refused
                    codec.tensors.popitem()
                continue
            column[1].append(number)
            column[2].append(packed)
    yield from columns.values()


def unpack_users(packed: Any, codec: Snapshot, sizes: tuple[int, int]) -> UserAttributes:
    """What :func:`pack_users` was given; ``ValueError`` for all else.  ``sizes`` count nodes and edges."""
    if type(packed) is not list or len(packed) != 4 or not all(type(part) is list for part in packed):
        raise ValueError("the users' attributes are no four lists")
    graph, nodes, edges = (
        _unpacked(table, size, codec) for table, size in zip(packed[:3], (1, *sizes), strict=True)
    )
    unread = packed[3]
    if not all(type(word) is str for word in unread):
        raise ValueError("a word is no text")
    return UserAttributes(graph.get(0, {}), nodes, edges, tuple(unread))


def _unpacked(table: list[Any], size: int, codec: Snapshot) -> dict[int, dict[Any, Any]]:
    found: dict[int, dict[Any, Any]] = {}
    for column in table:
        if type(column) is not list or len(column) != 3:
            raise ValueError("an attribute is no name with numbers and values")
        name, numbers, values = codec.unpack(column[0]), *column[1:]
        if type(numbers) is not list or type(values) is not list or len(numbers) != len(values):
            raise ValueError("an attribute's numbers and values differ in length")
        for number, value in zip(numbers, values, strict=True):
            if type(number) is not int or not 0 <= number < size:
                raise ValueError("an attribute is of no node and of no edge")
            owner = found.setdefault(number, {})
            if name in owner:
                raise ValueError("an attribute is there twice")
            owner[name] = codec.unpack(value)
    return found
