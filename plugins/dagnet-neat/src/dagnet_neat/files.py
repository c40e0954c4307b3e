"""Networks that ``neat.export.export_network_json`` wrote."""

import json
import math
from pathlib import Path
from typing import Any

import networkx as nx

import dagnet
from dagnet_neat.graphs import Connection, Node, drawn

__all__ = ["from_json"]

KINDS: dict[str, Any] = {
    "a string": str,
    "a list": list,
    "a whole number": int,
    "a finite number": (int, float),
}


def from_json(path: str | Path) -> "nx.DiGraph[Any]":
    """Draw a feed-forward network that neat-python exported as JSON.

    Parameters
    ----------
    path
        The file; neat-python itself is not needed to read it.

    Raises
    ------
    FormatError
        If the file is anything else; the message names the place.
    GraphError
        As for :func:`dagnet_neat.from_genome`.
    OSError
        If there is no such file, or it may not be read.

    Examples
    --------
    ``net = dagnet.Network(dagnet_neat.from_json("winner.json"))``
    """
    try:
        data = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise dagnet.FormatError(f"{path} must be JSON that neat-python exported, got {error}") from error
    try:
        return _drawn(data)
    except _MalformedError as error:
        raise dagnet.FormatError(f"{path}: {error}; export it with neat.export.export_network_json") from None


class _MalformedError(Exception):
    """What is wrong with the file, without its name."""


def _drawn(data: Any) -> "nx.DiGraph[Any]":
    kind = _at(data, "network_type", "the file", "a string")
    if kind != "feedforward":
        raise _MalformedError(f"network_type must be 'feedforward', got {kind!r}")
    version = _at(data, "format_version", "the file", "a string")
    if version.partition(".")[0] != "1":
        raise _MalformedError(f"format_version must be 1.x, got {version!r}")
    ends = _at(data, "topology", "the file")
    inputs, outputs = (
        [_checked(key, name, "a whole number") for key in _at(ends, name, "topology", "a list")]
        for name in ("input_keys", "output_keys")
    )
    nodes = [_node(entry, f"node {k}") for k, entry in enumerate(_at(data, "nodes", "the file", "a list"))]
    genes = [node for node in nodes if node.key not in inputs]
    if len({node.key for node in nodes}) < len(nodes):
        raise _MalformedError("nodes must have different ids")
    links = [
        (f"connection {k}", link) for k, link in enumerate(_at(data, "connections", "the file", "a list"))
    ]
    connections = [_connection(entry, where) for where, entry in links if _at(entry, "enabled", where)]
    if len({(link.source, link.target) for link in connections}) < len(connections):
        raise _MalformedError("connections must differ in their ends")
    return drawn(inputs, outputs, genes, connections)


def _node(entry: Any, where: str) -> Node:
    functions = {kind: _at(entry, kind, where) for kind in ("activation", "aggregation")}
    names = [_at(function, "name", f"{where}: {kind}", "a string") for kind, function in functions.items()]
    custom = [kind for kind, function in functions.items() if function.get("custom", False)]
    bias, response = (float(_at(entry, key, where, "a finite number")) for key in ("bias", "response"))
    return Node(_at(entry, "id", where, "a whole number"), bias, response, names[0], names[1], tuple(custom))


def _connection(entry: Any, where: str) -> Connection:
    source, target = (_at(entry, end, where, "a whole number") for end in ("from", "to"))
    return Connection(source, target, float(_at(entry, "weight", where, "a finite number")))


def _at(data: Any, key: str, where: str, must: str = "") -> Any:
    """An entry of an object, which must be of one of the :data:`KINDS` if any is said."""
    if not isinstance(data, dict) or key not in data:
        raise _MalformedError(f"{where} must be an object with the entry {key!r}")
    return _checked(data[key], f"{where}: {key}", must) if must else data[key]


def _checked(value: Any, where: str, must: str) -> Any:
    finite = not isinstance(value, float) or math.isfinite(value)
    if isinstance(value, bool) or not isinstance(value, KINDS[must]) or not finite:
        raise _MalformedError(f"{where} must be {must}, got {value!r}")
    return value
