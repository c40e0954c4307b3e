"""Node-link JSON and Cytoscape's JSON, as NetworkX arranges them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

import networkx as nx

from dagnet.contracts import Observations
from dagnet.errors import FormatError, expected, shorten
from dagnet.formats.annotated import annotated
from dagnet.formats.files import bounded
from dagnet.formats.plain_attributes import add_edge, flattened, restored
from dagnet.formats.typed import parse_json
from dagnet.model import Model


def write_nodelink(model: Model, stream: BinaryIO, observations: Observations | None) -> None:
    """Write a network as node-link JSON."""
    flat = flattened(annotated(model, observations), native=True)
    _dump(nx.node_link_data(flat, edges="edges"), stream)  # before 3.6 NetworkX says "links" by itself


def write_cytoscape(model: Model, stream: BinaryIO, observations: Observations | None) -> None:
    """Write a network as JSON for Cytoscape and cytoscape.js."""
    _dump(nx.cytoscape_data(flattened(annotated(model, observations))), stream)


def _dump(data: dict[str, Any], stream: BinaryIO) -> None:
    stream.write(json.dumps(data, allow_nan=False, separators=(",", ":")).encode("ascii"))
    stream.write(b"\n")


def read_nodelink(stream: BinaryIO) -> nx.DiGraph[Any]:
    """Read a graph from node-link JSON, with its edges under ``edges`` or ``links``, or from Cytoscape's.

    FormatError for anything but one directed graph without parallel edges.
    """
    data = _table(parse_json(bounded(stream), "the file"), "the file", 'an object with "nodes" and "edges"')
    if "elements" in data:
        data = _as_nodelink(data)
    if "connections" in data and "network_type" in data:
        raise FormatError(
            "this is neat-python's JSON; dagnet_neat.from_json, of the plugin dagnet-neat, reads it"
        )
    if data.get("directed", True) is not True:
        raise FormatError('the graph is undirected; a network needs "directed": true')
    flat: nx.DiGraph[Any] = nx.DiGraph()
    flat.graph.update(_table(data.get("graph", {}), '"graph"'))
    for number, node in enumerate(_records(data, "nodes")):
        if "id" not in node:
            raise FormatError(f'nodes[{number}] has no "id"')
        name = _name(node.pop("id"), f"nodes[{number}]")
        if name in flat:
            raise FormatError(f"node {shorten(name)} is there twice")
        flat.add_nodes_from([(name, node)])
    for number, edge in enumerate(_records(data, "edges", "links")):
        _add_edge(flat, edge, f"edges[{number}]")
    return restored(flat)


def _as_nodelink(data: dict[str, Any]) -> dict[str, Any]:
    """Cytoscape's JSON in the other arrangement.

    Names are the ids; of what Cytoscape 3 exports, whose ids are its own numbers, the names if they differ.
    """
    elements = _table(data["elements"], '"elements"')
    nodes, edges = (
        [_table(record.get("data"), f"data in {kind}") for record in _records(elements, kind)]
        for kind in ("nodes", "edges")
    )
    named = [node["name"] for node in nodes if "SUID" in node and isinstance(node.get("name"), str)]
    key = "name" if len(set(named)) == len(nodes) else "id"
    names = {str(node.get("id")): node.get(key) for node in nodes}
    for node in nodes:
        name = node["id"] = node.get(key)
        for same in ("name", "value"):  # NetworkX writes all three
            if same in node and node[same] == name:
                del node[same]
    for edge in edges:
        edge.pop("id", None)
        edge.update(
            {end: names.get(str(edge[end]), edge[end]) for end in ("source", "target") if end in edge}
        )
    said = data.get("data", {})
    with contextlib.suppress(TypeError, ValueError):
        said = dict(said)  # of NetworkX, a list of pairs
    return {"directed": data.get("directed", True), "graph": said, "nodes": nodes, "edges": edges}


def _table(value: object, where: str, must: str = "an object") -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise FormatError(expected(where, must, value))


def _records(data: dict[str, Any], *keys: str) -> Iterator[dict[str, Any]]:
    found = [key for key in keys if key in data]
    if not found:
        raise FormatError(f'the file has no "{keys[0]}"; is it node-link JSON?')
    records = data[found[0]]
    if not isinstance(records, list):
        raise FormatError(expected(f'"{found[0]}"', "a list", records))
    for number, record in enumerate(records):
        yield _table(record, f"{found[0]}[{number}]")


def _name(value: Any, where: str, depth: int = 0) -> Any:
    """Lists were tuples before they were JSON."""
    if isinstance(value, list) and depth < 100:
        return tuple(_name(item, where, depth + 1) for item in value)
    if isinstance(value, (dict, list)) or (value is None and depth == 0):
        raise FormatError(
            expected(f"{where}: the name of a node", "text, a number or a list of these", value)
        )
    return value


def _add_edge(flat: nx.DiGraph[Any], edge: dict[str, Any], where: str) -> None:
    ends = []
    for end in ("source", "target"):
        if end not in edge:
            raise FormatError(f'{where} has no "{end}"')
        name = _name(edge.pop(end), where)
        if name not in flat:
            raise FormatError(f"{where}: no node {shorten(name)} among the nodes; list it there")
        ends.append(name)
    edge.pop("key", None)
    add_edge(flat, ends, edge, where)
