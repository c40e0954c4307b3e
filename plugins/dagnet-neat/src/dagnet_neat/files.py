"""Networks that ``neat.export.export_network_json`` wrote."""

import json
import math
from pathlib import Path
from typing import Any

import networkx as nx

import dagnet
from dagnet_neat.graphs import Connection, Node, drawn

__all__ = ["from_json"]


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
    kind = _text(data, "network_type", "the file")
    if kind != "feedforward":
        raise _MalformedError(f"network_type must be 'feedforward', got {kind!r}")
    version = _text(data, "format_version", "the file")
    if version.partition(".")[0] != "1":
        raise _MalformedError(f"format_version must be 1.x, got {version!r}")
    ends = _at(data, "topology", "the file")
    inputs = [_key(key, "input_keys") for key in _list(ends, "input_keys", "topology")]
    outputs = [_key(key, "output_keys") for key in _list(ends, "output_keys", "topology")]
    nodes = [_node(entry, f"node {k}") for k, entry in enumerate(_list(data, "nodes", "the file"))]
    genes = [node for node in nodes if node.key not in inputs]
    if len({node.key for node in nodes}) < len(nodes):
        raise _MalformedError("nodes must have different ids")
    links = list(enumerate(_list(data, "connections", "the file")))
    connections = [_connection(entry, f"connection {k}") for k, entry in links if _enabled(entry, k)]
    if len({(link.source, link.target) for link in connections}) < len(connections):
        raise _MalformedError("connections must differ in their ends")
    return drawn(inputs, outputs, genes, connections)


def _node(entry: Any, where: str) -> Node:
    functions = {kind: _at(entry, kind, where) for kind in ("activation", "aggregation")}
    names = [_text(function, "name", f"{where}: {kind}") for kind, function in functions.items()]
    custom = [kind for kind, function in functions.items() if function.get("custom", False)]
    bias, response = (_number(entry, key, where) for key in ("bias", "response"))
    key = _key(_at(entry, "id", where), f"{where}: id")
    return Node(key, bias, response, names[0], names[1], tuple(custom))


def _enabled(entry: Any, number: int) -> bool:
    return bool(_at(entry, "enabled", f"connection {number}"))


def _connection(entry: Any, where: str) -> Connection:
    source, target = (_key(_at(entry, end, where), f"{where}: {end}") for end in ("from", "to"))
    return Connection(source, target, _number(entry, "weight", where))


def _at(data: Any, key: str, where: str) -> Any:
    if not isinstance(data, dict) or key not in data:
        raise _MalformedError(f"{where} must be an object with the entry {key!r}")
    return data[key]


def _list(data: Any, key: str, where: str) -> list[Any]:
    value = _at(data, key, where)
    if not isinstance(value, list):
        raise _MalformedError(f"{where}: {key} must be a list")
    return value


def _text(data: Any, key: str, where: str) -> str:
    value = _at(data, key, where)
    if not isinstance(value, str):
        raise _MalformedError(f"{where}: {key} must be a string")
    return value


def _number(data: Any, key: str, where: str) -> float:
    value = _at(data, key, where)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _MalformedError(f"{where}: {key} must be a finite number, got {value!r}")
    return float(value)


def _key(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _MalformedError(f"{where} must be a whole number, got {value!r}")
    return value
