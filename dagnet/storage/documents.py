"""The JSON documents inside safe files, as types; values with theirs; plugins by name, found again.

A decoded document that is encoded again must give the same bytes: nothing unknown, nothing
twice, and one spelling for everything.

Values are kept to the bit.  A tag is the first letter of the kind: ``["f", 64 bits in hex]``,
``["i", hex]`` beyond 64 bits, ``["s", hex]`` for strings with lone surrogates, ``["b", hex]``,
``["t", items]``; in checkpoints also ``["l", items]``, ``["d", keys, items]`` and
``["a", number of the tensor, whether it is a scalar]``.
"""

from __future__ import annotations

import importlib.metadata
import re
import struct
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec
import numpy as np

from dagnet import registry
from dagnet.arrays import Array
from dagnet.contracts import Activation, Aggregation, Loss
from dagnet.errors import DagnetError, DagnetWarning, DataError, PluginError, shorten
from dagnet.registry import KINDS, find_loss, origin
from dagnet.topology import NODE_EXTRAS, UserAttributes, is_hashable
from dagnet.values import DEEPEST, NAMES, Codec, plain

FORMAT = 1
"""The version of the file format that is written, and the newest that can be read."""
MOST_DIMENSIONS = 8
"""Of an array in a file."""

Count = Annotated[int, msgspec.Meta(ge=0)]
Packed = Any
"""A value as :mod:`dagnet.storage.documents` spells it."""
Column = tuple[Packed, list[Count], list[Packed]]
"""An attribute's name, the numbers of those that have it, and its values."""
DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")


class Plugin(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An activation, an aggregation or a loss by name, and who provided it."""

    name: str
    parameters: list[tuple[str, Packed]]
    distribution: str
    version: str


class Document(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What all documents begin with; the reader finds the digest by its place."""

    format: int
    sha256: str
    kind: str


class ModelDocument(Document, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """A network; its arrays are the file's tensors (:mod:`dagnet.storage.models`)."""

    kind: Literal["model"]
    fingerprint: str
    dtype: Literal["float64", "float32"]
    loss: Plugin
    activations: list[Plugin]
    nodes: Count | list[Packed]
    """Names, or how many where they are 0, 1, 2 …"""
    share_keys: list[Packed]
    weight_name: Packed
    users: tuple[list[Column], list[Column], list[Column], list[str]]
    """The users' own attributes, as :func:`pack_users` has them."""
    node_words: list[Column] | None = None
    """What nodes say beside the usual; None for nothing."""
    aggregations: list[Plugin] = []
    """Those that nodes name by their numbers."""
    categories: list[tuple[Count, list[Packed]]] = []
    """Numbers of inputs, and what the entries of their columns may be."""
    named: bool = False
    """Whether rows need names, as training was told those of an array's columns."""


class CheckpointDocument(Document, forbid_unknown_fields=True, frozen=True):
    """A training run's snapshot."""

    kind: Literal["checkpoint"]
    content: Packed


T = TypeVar("T", bound=Document)


def decode(document: bytes, kind: type[T]) -> T:
    """Decode a document and make sure that it is spelled as it would be written.

    ValueError if it is not.
    """
    try:
        decoded = msgspec.json.decode(document, type=kind)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    if msgspec.json.encode(decoded) != document:
        raise ValueError("the document has a repeated key or an unusual spelling")
    return decoded


class _Exact(Codec):
    """Lists that begin with a letter."""

    kinds: ClassVar = {
        **Codec.kinds,
        "float": lambda bits: float(struct.unpack(">d", int(bits, 16).to_bytes(8, "big"))[0]),
    }
    letters: ClassVar = {kind[0]: kind for kind in (*kinds, "tuple", "list", "dict", "array")}

    def tag(self, kind: str, *content: Any) -> Any:
        return [kind[0], *content]

    def untag(self, packed: Any) -> tuple[str, Any]:
        if type(packed) is list and packed and type(packed[0]) is str and packed[0] in self.letters:
            return self.letters[packed[0]], tuple(packed[1:])
        raise ValueError("a value has an unknown tag")

    def pack_float(self, value: float) -> Any:
        return self.tag("float", struct.pack(">d", value).hex())


class Snapshot(_Exact):
    """Also lists, dicts and arrays; arrays are put aside as tensors, and each is taken back once."""

    takes = (
        f"{NAMES}, a list, a dict with str keys, or an array of booleans, integers or floats "
        f"of at most {MOST_DIMENSIONS} dimensions"
    )

    def __init__(self, tensors: Mapping[str, Array] | None = None) -> None:
        self.tensors: dict[str, Array] = dict(tensors or {})

    def pack_other(self, value: Any, where: str, depth: int, mend: str) -> Any:
        """Containers name the place of what they hold."""
        if type(value) is list and depth < DEEPEST:
            return ["l", [self.pack(item, f"{where}[{n}]", depth + 1) for n, item in enumerate(value)]]
        if type(value) is dict and depth < DEEPEST and all(type(key) is str for key in value):
            items = [self.pack(item, f"{where}[{key!r}]", depth + 1) for key, item in value.items()]
            return ["d", [self.pack_text(key) for key in value], items]
        if isinstance(value, np.generic) or type(value) is np.ndarray:
            array = np.asarray(value)
            if array.dtype.kind in "biuf" and array.dtype.itemsize <= 8 and array.ndim <= MOST_DIMENSIONS:
                name = str(len(self.tensors))
                self.tensors[name] = array.astype(array.dtype.newbyteorder("<"), copy=False)
                return ["a", int(name), isinstance(value, np.generic)]
        return super().pack_other(value, where, depth, mend)

    def unpack_other(self, kind: str, content: tuple[Any, ...], depth: int) -> Any:
        """Arrays are fresh and writable."""
        if kind == "list" and len(content) == 1:
            return self.unpack_items(content[0], depth)
        if kind == "dict" and len(content) == 2:
            keys, values = (self.unpack_items(items, depth) for items in content)
            if not all(type(key) is str for key in keys) or len(set(keys)) != len(keys):
                raise ValueError("a key is there twice, or no text")
            return dict(zip(keys, values, strict=True))
        if kind == "array" and [type(item) for item in content] == [int, bool]:
            number, scalar = content
            array = self.tensors.pop(str(number), None)
            if array is None or (scalar and array.ndim):
                raise ValueError(f"there is no tensor {number} left, or a scalar has a dimension")
            return array.copy()[()] if scalar else array.copy()
        return super().unpack_other(kind, content, depth)


EXACT = _Exact()


def pack_name(value: Any, where: str, mend: str = "") -> Any:
    """A name, typed.  NumPy's numbers and strings become Python's, which are equal and find the same node.

    DataError for what no file can bring back as it was.
    """
    return EXACT.pack(plain(value), where, mend=mend)


def plugin_of(item: Activation | Aggregation | Loss) -> Plugin:
    """What a file says about an activation, an aggregation or a loss.

    PluginError if no process could find it again by its name.
    """
    kind = next(kind for kind in KINDS if KINDS[kind].singular == item.kind)
    registered = getattr(registry, kind)().get(item.name)
    if registered is None or registered.bind(**item.parameters) != item:
        what = "is not registered" if registered is None else "is not the one registered by that name"
        raise PluginError(
            f"{item.kind} {shorten(str(item))} {what}, so no file can refer to it; "
            "call dagnet.register(…) with it before saving, and before loading"
        )
    where = f"{item.kind} {item.name!r}: parameter"
    given = item.parameters.items()
    parameters = [(name, pack_name(value, f"{where} {name}")) for name, value in given]
    source = origin(kind, item.name)
    return Plugin(item.name, parameters, source.distribution, source.version)  # type: ignore[union-attr]


def plugin_for(kind: str, plugin: Plugin) -> Any:
    """The registered thing that a file refers to; ``kind`` is a plural such as ``"activations"``.

    PluginError if it is missing here; the message says what to install; ValueError if its parameters
    are none.
    """
    what = f"{KINDS[kind].singular} {plugin.name[:60]!r}"
    registered = getattr(registry, kind)().get(plugin.name)
    if registered is None:
        raise PluginError(f"{what} is not registered here; {_mend(plugin)}")
    source = origin(kind, plugin.name)
    if source is not None and _is_distribution(plugin) and source.distribution != plugin.distribution:
        warnings.warn(
            f"{what} was {_provider(plugin)}'s when the file was written and is {source}'s now; "
            "compare a prediction with one that you know",
            DagnetWarning,
            stacklevel=6,
        )
    values = {name: EXACT.unpack(value) for name, value in plugin.parameters}
    if len(values) != len(plugin.parameters):
        raise ValueError(f"{what} has a parameter twice")
    for name, value in values.items():
        if name not in registered.parameters:
            text = f"{what} has no parameter {name[:60]!r} here; the file was written with"
            raise PluginError(f"{text} {_provider(plugin)}: install that version")
        numeric = type(registered.parameters[name]) in {int, float}  # others fail later, and less clearly
        if numeric and not isinstance(value, (int, float)):
            raise ValueError(f"{what}: parameter {name!r} must be a number, got {shorten(value)}")
    try:
        return registered.bind(**values)
    except DagnetError as error:
        raise ValueError(f"{what} does not take the file's parameters: {error}") from error


def _is_distribution(plugin: Plugin) -> bool:
    return DISTRIBUTION.fullmatch(plugin.distribution) is not None


def _provider(plugin: Plugin) -> str:
    return f"{plugin.distribution[:100]} {plugin.version[:40]}".rstrip()


def _mend(plugin: Plugin) -> str:
    if not _is_distribution(plugin):
        text = "it was registered by a script when the file was written: call dagnet.register(…)"
        return f"{text} with it, then load again"
    try:
        here = importlib.metadata.version(plugin.distribution)
    except importlib.metadata.PackageNotFoundError:
        mend = f"if you trust its author, pip install {plugin.distribution}"
        return f"the file was written with {_provider(plugin)}: {mend}"
    text = f"the file was written with {_provider(plugin)} and {here} is installed here"
    return f"{text}: install that version, and see that DAGNET_DISABLE_PLUGINS is not set"


# -- what graphs say: a column for each attribute ------------------------------------------


def pack_users(users: UserAttributes, codec: Snapshot) -> Any:
    """The columns of the graph, of nodes and of edges; words left unread.

    What no file can bring back as it was is left out, and one :class:`DagnetWarning` says so.
    """
    lost: list[str] = []
    graph = _columns("attribute {} of the graph", {0: users.graph}, codec, lost)
    nodes = _columns("node attribute {}", users.nodes, codec, lost)
    edges = _columns("edge attribute {}", users.edges, codec, lost)
    if lost:
        more = f" and {len(lost) - 1:,} more" if len(lost) > 1 else ""
        text = f"the file keeps no {lost[0]}{more}: it can hold {Snapshot.takes}"
        warnings.warn(text, DagnetWarning, stacklevel=5)
    return graph, nodes, edges, list(users.unread)


def pack_words(words: Mapping[str, Mapping[int, Any]], codec: Snapshot) -> list[Column]:
    """A column for each word that nodes say; DataError for what no file can keep."""
    columns: list[Column] = []
    for word, said in words.items():
        where = f"node attribute {word!r}"
        values = [codec.pack(_plain(word, value), where) for value in said.values()]
        columns.append((word, list(said), values))
    return columns


def _plain(word: str, value: Any) -> Any:
    if word == "loss":
        value = NODE_EXTRAS[word].rule.convert(value)
        plugin_of(find_loss(value[0] if isinstance(value, tuple) else value))  # which refuses unknown ones
    return plain(value)


def unpack_words(packed: list[Column], codec: Snapshot, n: int) -> list[dict[str, Any]]:
    """What the nodes said, by node; ``ValueError`` for all else than :func:`pack_words` gave."""
    said = _unpacked(packed, n, codec)
    return [said.get(node, {}) for node in range(n)]


def _columns(
    where: str, numbered: Mapping[int, Mapping[Any, Any]], codec: Snapshot, lost: list[str]
) -> list[Column]:
    columns: dict[Any, Column] = {}
    for number, attributes in numbered.items():
        for name, value in attributes.items():
            place, aside = where.format(shorten(name)), len(codec.tensors)
            try:
                packed = codec.pack(plain(value), place)
                if name not in columns:
                    columns[name] = codec.pack(plain(name), place), [], []
            except DataError:
                lost.append(place)
                while len(codec.tensors) > aside:  # those of what was packed before the rest was refused
                    codec.tensors.popitem()
                continue
            columns[name][1].append(number)
            columns[name][2].append(packed)
    return list(columns.values())


def unpack_users(packed: Any, codec: Snapshot, sizes: tuple[int, int]) -> UserAttributes:
    """What :func:`pack_users` was given; ``ValueError`` for all else.  ``sizes`` count nodes and edges."""
    *tables, unread = packed
    graph, nodes, edges = map(_unpacked, tables, (1, *sizes), [codec] * 3)
    return UserAttributes(graph.get(0, {}), nodes, edges, tuple(unread))


def _unpacked(table: list[Column], size: int, codec: Snapshot) -> dict[int, dict[Any, Any]]:
    found: dict[int, dict[Any, Any]] = {}
    for packed, numbers, values in table:
        name = codec.unpack(packed)
        if not is_hashable(name):
            raise ValueError("an attribute's name is no name")
        if len(numbers) != len(values):
            raise ValueError("an attribute's numbers and values differ in length")
        for number, value in zip(numbers, values, strict=True):
            if number >= size:
                raise ValueError("an attribute is of no node and of no edge")
            owner = found.setdefault(number, {})
            if name in owner:
                raise ValueError("an attribute is there twice")
            owner[name] = codec.unpack(value)
    return found
