"""A digest of a graph: equal for equal networks, whatever their parameters are."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.topology.frozen import Topology
from dagnet.values import plain

Array = NDArray[Any]


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
    _add_texts(digest, (_named(name) for name in topology.nodes))
    activations = [str(activation).encode("utf-8", "surrogatepass") for activation in topology.activations]
    used, activation_of = _by_first_use(np.where(topology.is_input, -1, topology.activation_of))
    _add_texts(digest, (activations[number] if number >= 0 else b"" for number in used.tolist()))
    share = topology.share
    shared = np.zeros(0, np.int64) if share is None or (share < 0).all() else _by_first_use(share)[1]
    for array in (topology.sources, topology.targets, topology.inputs, topology.outputs, topology.units):
        _add_array(digest, array.astype("<i8"))
    _add_array(digest, activation_of.astype("<i8"))
    _add_array(digest, shared.astype("<i8"))
    for mask in (topology.has_bias, topology.bias_trainable, topology.edge_trainable):
        _add_array(digest, mask)
    for numbers in (topology.center, topology.scale):
        _add_array(digest, numbers.astype("<f8"))
    return digest.hexdigest()


def _by_first_use(codes: Array) -> tuple[Array, Array]:
    """The distinct codes in the order of their first use, and each entry's place among them."""
    distinct, first, places = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return distinct[order], rank[places]


def _add_array(digest: Any, array: Array) -> None:
    digest.update(struct.pack("<q", array.size))
    digest.update(np.ascontiguousarray(array).data)


def _add_texts(digest: Any, texts: Iterable[bytes]) -> None:
    parts = list(texts)
    _add_array(digest, np.fromiter(map(len, parts), "<i8", len(parts)))
    digest.update(b"".join(parts))


def _named(name: Hashable) -> bytes:
    """A name and its type as bytes; tuples are walked without recursion."""
    if type(name) is not tuple:
        return _single(name)
    parts, waiting = [], [name]
    while waiting:
        item: Any = waiting.pop()
        if type(item) is tuple:
            parts.append(b"t%d;" % len(item))
            waiting.extend(reversed(item))
        else:
            text = _single(item)
            parts.append(b"%d:%b" % (len(text), text))
    return b"".join(parts)


def _single(name: Any) -> bytes:
    name = plain(name)
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
