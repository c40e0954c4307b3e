"""Digests of graphs and of data: equal for equal ones, in any process."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, cast

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Aggregation
from dagnet.registry import find_engine
from dagnet.topology.frozen import Topology
from dagnet.values import plain

MANY = 2**16
"""Names that are hashed in machine code: its loading takes as long as some ten thousand by Python."""


def fingerprint(topology: Topology) -> str:
    """SHA-256 over all that a graph says but the values of its weights and biases, 64 hex digits.

    Names with their types (NumPy's numbers and strings as Python's, which they equal), the order
    of nodes and edges, inputs, outputs, units, activations, which biases there are, what is frozen
    and what is shared, centers and scales.  Names of other kinds than numbers, strings, bytes,
    None and tuples of these count by their type only, as nothing else of them is sure to be the
    same in another process.

    Examples
    --------
    >>> import dagnet
    >>> one, other = (dagnet.Network(dagnet.layered([2, 2, 1]), seed=seed) for seed in (0, 1))
    >>> fingerprint(one.topology) == fingerprint(other.topology)
    True
    """
    digest = hashlib.sha256(b"dagnet graph 1")
    for _, piece in _pieces(topology):
        digest.update(piece)
    return digest.hexdigest()


def fingerprint_by_part(topology: Topology) -> dict[str, str]:
    """:func:`fingerprint` part by part, so that a difference can be named."""
    digests: dict[str, Any] = {}
    for part, piece in _pieces(topology):
        digests.setdefault(part, hashlib.sha256()).update(piece)
    return {part: digest.hexdigest() for part, digest in digests.items()}


def name_keys(names: Sequence[Hashable]) -> Array:
    """(names,) 64 bits of each name, the same in any process; whole numbers are themselves.

    Names that are one node to a dictionary have one key: 1, 1.0 and True, alone and in tuples.
    Names of the kinds that :func:`fingerprint` takes by their type are told apart by their order.
    """
    if isinstance(names, range):
        return np.arange(names.start, names.stop, names.step).astype(np.uint64)
    if (kinds := set(map(type, names))) == {int}:
        return np.array([name % 2**64 for name in cast("Any", names)], np.uint64)
    if kinds == {str}:
        if len(names) >= MANY and (at_once := _in_machine_code(names)) is not None:
            return at_once
        texts = (b"s" + name.encode("utf-8", "surrogatepass") for name in cast("Any", names))
        digests = b"".join([hashlib.blake2b(text, digest_size=8).digest() for text in texts])
        return np.frombuffer(digests, "<u8").astype(np.uint64)
    found: dict[bytes, int] = {}
    return np.fromiter((_key(name, found) for name in names), np.uint64, len(names))


def _in_machine_code(names: Sequence[Hashable]) -> Array | None:
    engine: Any = find_engine("compiled")
    if not hasattr(engine, "digests") or engine.unavailable():  # somebody may have registered another one
        return None
    found: Array | None = engine.digests(names)
    return found


def _key(name: Hashable, found: dict[bytes, int]) -> int:
    if type(name) is str:
        text = b"s" + name.encode("utf-8", "surrogatepass")
    else:
        name = _as_whole(name)
        if type(name) is int:
            return name % 2**64
        text = _named(name, _as_whole)
        if type(name) is not str:
            found[text] = found.get(text, 0) + 1
            text += b"#%d" % found[text]
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def _as_whole(name: Any) -> Any:
    """A scalar as the whole number that it equals, where it does."""
    name = plain(name)
    return int(name) if type(name) is bool or (type(name) is float and name.is_integer()) else name


def data_fingerprint(*arrays: Any) -> str:
    """Of every number, with shapes and dtypes."""
    result = hashlib.blake2b(digest_size=16)
    for array in arrays:
        result.update(b"none" if array is None else f"{array.shape}{array.dtype.str}".encode())
        for start in range(0, len(array), 2048) if array is not None and array.size else ():
            result.update(np.ascontiguousarray(array[start : start + 2048]).data.cast("B"))
    return result.hexdigest()


def _pieces(topology: Topology) -> Iterator[tuple[str, Any]]:
    """All of a graph as bytes, each piece with the name of its part."""
    yield from _texts("nodes, or their order", (_named(name) for name in topology.nodes))
    activations = [str(activation).encode("utf-8", "surrogatepass") for activation in topology.activations]
    used, activation_of = _by_first_use(np.where(topology.is_input, -1, topology.activation_of))
    yield from _texts("activations", (activations[n] if n >= 0 else b"" for n in used.tolist()))
    share = topology.share
    shared = np.zeros(0, np.int64) if share is None or (share < 0).all() else _by_first_use(share)[1]
    for part, array, dtype in (
        ("edges, or their order", topology.sources, "<i8"),
        ("edges, or their order", topology.targets, "<i8"),
        ("inputs", topology.inputs, "<i8"),
        ("outputs", topology.outputs, "<i8"),
        ("units", topology.units, "<i8"),
        ("activations", activation_of, "<i8"),
        ("shared weights", shared, "<i8"),
        ("biases", topology.has_bias, "?"),
        ("frozen parts", topology.bias_trainable, "?"),
        ("frozen parts", topology.edge_trainable, "?"),
        ("centres and scales", topology.center, "<f8"),
        ("centres and scales", topology.scale, "<f8"),
        *((f"{word} of edges", column, "<f8") for word, column in sorted(topology.edge_words.items())),
    ):
        yield from _array(part, array.astype(dtype))
    for word, said in sorted(topology.node_words.items()):
        if word == "share":  # the groups, not their keys
            yield from _array("shared biases", _by_first_use(topology.node_groups()[0])[1].astype("<i8"))
            continue
        yield from _array(f"{word} of nodes", np.array(sorted(said), "<i8"))
        yield from _texts(f"{word} of nodes", (_said(said[node]) for node in sorted(said)))
    if topology.categories:
        numbered = sorted(topology.categories.items())
        yield from _texts("categories", (_named((number, words)) for number, words in numbered))


def _by_first_use(codes: Array) -> tuple[Array, Array]:
    """The distinct codes in the order of their first use, and each entry's place among them."""
    distinct, first, places = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return distinct[order], rank[places]


def _array(part: str, array: Array) -> Iterator[tuple[str, Any]]:
    yield part, struct.pack("<q", array.size)
    yield part, np.ascontiguousarray(array).data


def _texts(part: str, texts: Iterable[bytes]) -> Iterator[tuple[str, Any]]:
    parts = list(texts)
    yield from _array(part, np.fromiter(map(len, parts), "<i8", len(parts)))
    yield part, b"".join(parts)


def _named(name: Hashable, scalar: Callable[[Any], Any] = plain) -> bytes:
    """A name and its type as bytes; tuples are walked without recursion."""
    if type(name) is not tuple:
        return _single(scalar(name))
    parts, waiting = [], [name]
    while waiting:
        item: Any = waiting.pop()
        if type(item) is tuple:
            parts.append(b"t%d;" % len(item))
            waiting.extend(reversed(item))
        else:
            text = _single(scalar(item))
            parts.append(b"%d:%b" % (len(text), text))
    return b"".join(parts)


def _said(value: Any) -> bytes:
    """What a node says: a plugin by its call form, as activations."""
    return _named(str(value) if isinstance(value, Aggregation) else value)


def _single(name: Any) -> bytes:
    kind: type = type(name)
    if kind is str:
        return b"s" + bytes(name.encode("utf-8", "surrogatepass"))
    if kind is bool or name is None:
        return b"c%b" % str(name).encode()
    if kind is int:
        return b"i%x" % name
    if kind is float:
        return b"f" + struct.pack("<d", name)
    if kind is bytes:
        return b"b" + bytes(name)
    return f"o{kind.__module__}.{kind.__qualname__}".encode()
