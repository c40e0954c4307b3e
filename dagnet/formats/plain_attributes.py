"""Graphs of plain columns: what file formats can hold, and the way back.

A flat graph has text (in JSON also numbers) for names, and attributes of one type each.  What
does not fit stands beside as typed JSON, under the attribute's name with ``dagnet_`` before it:
``dagnet_name`` the name of a node whose id is only its label, ``dagnet_weight`` a matrix,
``dagnet_bias`` a vector or ``false``, ``dagnet_own_…`` what is the user's
(:mod:`dagnet.formats.users`).  Graph settings are one such text, ``dagnet``.

Typed JSON is JSON's own lists and finite numbers, and ``{"tuple": […]}``, ``{"dict": [[key, value], …]}``,
``{"bytes": "00ff"}``, ``{"str": "00ff"}`` for text with lone surrogates, ``{"float": "nan"}``,
``{"int": "ffff…"}`` beyond 64 bits, ``{"array": [[…]]}`` of finite floats in double precision, other arrays
``{"array": [dtype, shape, items]}``; in plain ASCII, so that it goes through every file format unharmed.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Hashable, Mapping, Sequence
from math import isfinite
from typing import Any, ClassVar, cast

import networkx as nx
import numpy as np

from dagnet.contracts import LEARNED, MOMENTS, Activation, Aggregation, Loss
from dagnet.errors import DagnetError, DataError, FormatError, NumericalError, expected, shorten
from dagnet.markup import is_label, node_labels, visible
from dagnet.registry import find_activation
from dagnet.topology import EDGE_WORDS, NODE_WORDS
from dagnet.values import DEEPEST, NAMES, Codec, plain, strict_json

SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
PREFIX = "dagnet_"
NAME, OWN = "dagnet_name", "dagnet_own_"
VERSION = 1
COLUMNS: dict[str, type] = {
    "activation": str, "aggregation": str, "bias": float, "units": int, "trainable": bool, "center": float,
    "scale": float, "categories": str, "weight": float, "share": str, "factor": float, "loss": str,
    "loss_weight": float, "target": str, "bounds": str, "l1": float, "l2": float, "sign": int,
    "shift": float, "mean": float, "variance": float, "dropout": float, "normalization": str,
    "level": int, "role": str, "mean_value": float, "mean_pre_activation": float, "gradient": float,
}  # fmt: skip
PARAMETERS = ("weight", "bias", "center", "scale")
FLAGS = {"true": True, "false": False}
MERGE = "merge the two, adding their weights"
SHOWN = ("level", "role", "mean_value", "mean_pre_activation", "gradient")
"""What a file says for other programs, and no network begins with."""


class _Readable(Codec):
    """Objects with one key, the kind."""

    takes = f"{NAMES}, a list, a dict, or an array of booleans, integers or floats"
    kinds: ClassVar = {**Codec.kinds, "float": SPECIAL.__getitem__}

    def tag(self, kind: str, *content: Any) -> Any:
        return {kind: content[0]}

    def untag(self, packed: Any) -> tuple[str, Any]:
        if isinstance(packed, dict) and len(packed) == 1:
            ((kind, content),) = packed.items()
            return kind, (content,)
        if isinstance(packed, list):
            return "list", (packed,)
        return type(packed).__name__, (packed,)

    def pack_float(self, value: float) -> Any:
        return value if math.isfinite(value) else {"float": str(value)}

    def pack_other(self, value: Any, where: str, depth: int, mend: str) -> Any:
        if type(value) is list and depth < DEEPEST:
            return [self.pack(plain(item), where, depth + 1) for item in value]
        if type(value) is dict and depth < DEEPEST:
            pairs = value.items()
            return {"dict": [[self.pack(plain(half), where, depth + 1) for half in pair] for pair in pairs]}
        if type(value) is np.ndarray and value.dtype.kind in "biuf" and value.dtype.itemsize <= 8:
            if value.dtype == np.float64 and value.size and value.ndim in {1, 2} and np.isfinite(value).all():
                return {"array": value.tolist()}
            items = [self.pack(item, where) for item in value.ravel().tolist()]
            return {"array": [value.dtype.name, list(value.shape), items]}
        return super().pack_other(value, where, depth, mend)

    def unpack_other(self, kind: str, content: tuple[Any, ...], depth: int) -> Any:
        if kind == "list":
            return self.unpack_items(content[0], depth)
        if kind == "float" and type(content[0]) is float:
            return content[0]
        if kind == "dict":
            pairs = [self.unpack_items(pair, depth) for pair in content[0]]
            found = dict(pairs)
            if len(found) == len(pairs):
                return found
        if kind == "array" and content[0] and type(content[0][0]) is str:
            name, shape, items = content[0]
            if np.dtype(name).kind in "biuf":
                return np.array(self.unpack_items(items, depth), name).reshape(shape)
        elif kind == "array":
            array = np.array(content[0], np.float64)
            if np.isfinite(array).all() and array.ndim in (1, 2):
                return array
        return super().unpack_other(kind, content, depth)


READABLE = _Readable()


def dumps(value: Any, where: str) -> str:
    """The value as typed JSON text; DataError for what no file can bring back as it was."""
    return json.dumps(READABLE.pack(plain(value), where), separators=(",", ":"), allow_nan=False)


def loads(text: str, where: str) -> Any:
    """The value that :func:`dumps` was given; FormatError for anything else."""
    return unpack(parse_json(text, where), where)


def is_seen(name: str) -> bool:
    """Whether an attribute's name can stand in a file as it is, in a table's header, too."""
    return is_label(name) and name == name.strip() and name[0] not in '"{' and ";" not in name


def own_key(name: str) -> str:
    """Where typed JSON for a user's attribute stands; a name that cannot be seen is typed JSON itself.

    DataError for a name that is no text.
    """
    if type(name) is not str:
        raise DataError(expected("the name of an attribute", "text", name))
    return OWN + (name if is_seen(name) else dumps(name, "").replace(";", r"\u003b"))


def unpack(packed: Any, where: str) -> Any:
    """The value of JSON data."""
    try:
        return READABLE.unpack(packed)
    except (TypeError, ValueError, LookupError, OverflowError):
        raise FormatError(expected(where, "typed JSON as dagnet writes it", packed)) from None


def parse_json(text: str | bytes, where: str) -> Any:
    """Strict JSON, or :class:`FormatError` with the place of the first mistake."""
    try:
        return strict_json(text)
    except RecursionError:
        raise FormatError(f"{where}: the JSON is nested too deep; is it a graph?") from None
    except ValueError as error:
        # UnicodeDecodeError prints its whole input
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeError) else str(error)[:200]
        raise FormatError(f"{where}: no valid JSON: {reason}") from None


def flattened(graph: nx.DiGraph[Any], *, native: bool = False) -> nx.DiGraph[Any]:
    """The flat form of what :meth:`Model.to_networkx` returns; the graph given is used up.

    With ``native``, for JSON, whole numbers stay names and arrays become lists.

    DataError for a name that no file can bring back as it was; NumericalError for a weight or a bias
    that is not finite.
    """
    ids = flatten(graph, native=native)
    same = all(text is name for name, text in ids.items())
    return graph if same else nx.relabel_nodes(graph, ids)


def flatten(graph: nx.DiGraph[Any], *, native: bool = False) -> dict[Hashable, Any]:
    """Make the attributes of a graph plain, in place; the id of each node."""

    def is_plain(name: Hashable) -> bool:
        return is_label(name) or (native and type(name) is int and -(2**53) < name < 2**53)

    for name, attributes in graph.nodes(data=True):
        _flatten(attributes, ("node", name), native=native)
        if not is_plain(name):
            attributes[NAME] = dumps(name, "a node's name")
    for source, neighbours in graph.adjacency():
        for target, attributes in neighbours.items():
            _flatten(attributes, ("edge", source, target), native=native)
    graph.graph["dagnet"] = _settings_text(graph.graph.get("dagnet", {}))
    return dict(zip(graph, node_labels(graph, is_plain), strict=True))


def _settings_text(settings: Mapping[str, Any]) -> str:
    said = {"format": VERSION, **settings}
    said |= {key: list(said[key]) for key in ("inputs", "outputs") if key in said}
    said |= {key: str(value) for key, value in said.items() if isinstance(value, Loss)}
    texts = (f"{json.dumps(key)}:{dumps(value, f'the graph: {key}')}" for key, value in said.items())
    return "{" + ",".join(texts) + "}"


def _flatten(attributes: dict[str, Any], owner: tuple[Any, ...], *, native: bool) -> None:
    """Make attributes plain, in place; most are, so the first look must be quick."""
    odd = [
        key
        for key, value in attributes.items()
        if key in COLUMNS
        and (
            (not isfinite(value) if type(value) is float else type(value) is str and visible(value) != value)
            or type(value) is not COLUMNS[key]
        )
    ]
    for key in odd:
        value = attributes.pop(key)
        if isinstance(value, (Activation, Aggregation, Loss)):
            attributes[key] = str(value)
        elif isinstance(value, (float, np.ndarray)) and not np.isfinite(value).all():
            if key not in SHOWN:  # what is only shown may be left out; a parameter must not be lost
                raise not_finite(f"{_worded(owner)}: {key}", value)
        elif native and (isinstance(value, (np.ndarray, list)) or value is False):
            attributes[key] = value.tolist() if isinstance(value, np.ndarray) else value
        else:
            attributes[PREFIX + key] = dumps(value, f"{_worded(owner)}: {key}")


def not_finite(where: str, value: Any) -> NumericalError:
    """The refusal to write a number."""
    mend = "set it to a number, or train again with a smaller learning rate"
    return NumericalError(expected(where, "finite to be written", value, mend))


def _worded(owner: tuple[Any, ...]) -> str:
    return f"{owner[0]} {' → '.join(shorten(name) for name in owner[1:])}"


# -- the way back ------------------------------------------------------------------------


def restored(flat: nx.DiGraph[Any]) -> nx.DiGraph[Any]:
    """The graph that a flat one stands for; graphs of other programs pass through as they are.

    FormatError for typed JSON that dagnet did not write, and parameters that are not finite.
    """
    graph: nx.DiGraph[Any] = nx.DiGraph()
    said = dict(flat.graph)
    shown: Sequence[str] = ()
    if "dagnet" in said:
        settings = graph.graph["dagnet"] = _restored_settings(said.pop("dagnet"))
        shown = SHOWN if settings.pop("format", None) else ()
        said |= {key: settings.pop(key) for key in list(settings) if key.startswith(OWN)}
    graph.graph.update(_restored_attributes(said, "the graph", (), shown))
    name_of: dict[Any, Any] = {}
    learned: dict[Any, tuple[str, ...]] = {}
    for text, attributes in flat.nodes(data=True):
        where = f"node {shorten(text)}"
        named = {NAME: attributes.pop(NAME)} if NAME in attributes else {}
        name = _restored_attributes(named, where, (), ()).get("name", text)
        fresh = False
        with contextlib.suppress(TypeError):  # of what cannot be a name
            fresh = name is not None and name not in graph.nodes
        if not fresh:
            raise FormatError(expected(where, "a name of its own, and no list", name))
        name_of[text] = name
        spec = attributes.get("activation")
        if spec not in learned:
            learned[spec] = _learned(spec)
        words = (*NODE_WORDS, *learned[spec])
        words += (*LEARNED, *MOMENTS) if "normalization" in attributes else ()
        graph.add_nodes_from([(name, _restored_attributes(attributes, where, words, shown))])
    for source, target, attributes in flat.edges(data=True):
        where = f"edge {shorten(source)} → {shorten(target)}"
        found = _restored_attributes(attributes, where, EDGE_WORDS, shown)
        graph.add_edges_from([(name_of[source], name_of[target], found)])
    return graph


def _learned(spec: object) -> tuple[str, ...]:
    """What an activation learns, by name; what is wrong with it, the network says."""
    with contextlib.suppress(DagnetError):
        return tuple(find_activation(spec).trainable) if type(spec) is str else ()
    return ()


def add_edge(flat: nx.DiGraph[Any], ends: Sequence[Any], attributes: dict[str, Any], where: str) -> None:
    """An edge of a file, which must not be there yet."""
    if flat.has_edge(*ends):
        edge = f"{shorten(ends[0])} → {shorten(ends[1])}"
        raise FormatError(f"{where}: edge {edge} is there twice; {MERGE}")
    flat.add_edges_from([(*ends, attributes)])  # whatever an attribute's name is


def _restored_attributes(
    attributes: Mapping[str, Any], where: str, words: Sequence[str], shown: Sequence[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in attributes.items():
        typed = isinstance(key, str) and key.startswith(PREFIX)
        name = key.removeprefix(OWN if key.startswith(OWN) else PREFIX) if typed else key
        if typed and name[:1] in {'"', "{"}:
            name = loads(name, where)
        if not isinstance(name, str):
            raise FormatError(expected(f"{where}: an attribute's name", "text", name))
        if typed:
            if not isinstance(value, str):
                raise FormatError(expected(f"{where}: {key}", "typed JSON as dagnet writes it", value))
            found[name] = loads(value, f"{where}: {key}")
        elif name not in shown:
            known = type(value) in {float, int} or name not in words
            found.setdefault(name, value if known else _numbered(name, value))
    for key in PARAMETERS:
        if key in found and key in words:
            found[key] = _finite(found[key], f"{where}: {key}")
    return found


def _numbered(key: str, value: Any) -> Any:
    """The number or flag that stands as text where dagnet wants one; all else as it is."""
    if not isinstance(value, str):
        return value
    if key == "categories" and value.lstrip().startswith("["):
        return loads(value, key)
    flag = FLAGS.get(value.strip().lower()) if key == "bias" else None
    return as_kind(value, COLUMNS.get(key, float)) if flag is None else flag


def as_kind(value: str, kind: type) -> Any:
    """Text as a number or a flag; as it is where it stands for none."""
    text = value.strip().lower()
    if kind is bool:
        return FLAGS.get(text, value)
    if kind is not str and "_" not in text:
        with contextlib.suppress(ValueError):
            return kind(text)
    return value


def simple(graph: nx.Graph[Any], mend: str) -> nx.DiGraph[Any]:
    """What NetworkX read, as a graph without parallel edges; FormatError where it is undirected."""
    if not graph.is_directed():
        raise FormatError(f"the graph is undirected; a network needs {mend}")
    if not graph.is_multigraph():
        return cast("nx.DiGraph[Any]", graph)
    flat: nx.DiGraph[Any] = nx.DiGraph()
    flat.graph.update(graph.graph)
    flat.add_nodes_from(graph.nodes(data=True))
    for source, target, attributes in graph.edges(data=True):
        add_edge(flat, (source, target), attributes, "parallel edges")
    return flat


def _finite(value: Any, where: str) -> Any:
    """Lists of numbers as arrays; numbers and arrays finite; all else is for the network to judge."""
    if isinstance(value, list):
        try:
            value = np.array(value, np.float64)
        except (TypeError, ValueError):
            raise FormatError(expected(where, "a number or a table of numbers", value)) from None
    if isinstance(value, (float, np.ndarray)) and not np.isfinite(value).all():
        raise FormatError(expected(where, "finite", value, "leave it out to have it drawn"))
    return value


def _restored_settings(settings: object) -> dict[str, Any]:
    where = 'the graph: "dagnet"'
    read = parse_json(settings, where) if isinstance(settings, str) else settings
    if not isinstance(read, Mapping):
        raise FormatError(expected(where, "a mapping with inputs, outputs, loss and dtype", settings))
    found = {str(key): unpack(value, where) if read is not settings else value for key, value in read.items()}
    version = found.get("format", VERSION)
    if not isinstance(version, int) or version > VERSION:
        what = f"written in format {shorten(version)}, this dagnet reads {VERSION}"
        raise FormatError(f"{where}: {what}; update it")
    return found
