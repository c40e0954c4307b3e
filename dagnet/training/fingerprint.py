"""Fingerprints of a graph and of data, part by part, so that a difference can be named."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.model import Model

__all__ = ["array_fingerprint", "graph_fingerprint"]

Array = NDArray[Any]


def array_fingerprint(*arrays: Array | None) -> str:
    """Of every number, with shapes and dtypes."""
    result = hashlib.blake2b(digest_size=16)
    for array in arrays:
        if array is None:
            result.update(b"none")
            continue
        result.update(f"{array.shape}{array.dtype.str}".encode())
        result.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return result.hexdigest()


def graph_fingerprint(model: Model) -> dict[str, str]:
    """Of all that makes a network, but for its parameters, by what to call it."""
    topology = model.topology
    # Where a kind of activation stands in the table is no part of the graph; who uses it is.
    spelled = [str(activation) for activation in topology.activations]
    texts = {
        "nodes, or their order": "\n".join(map(_named, topology.nodes)),
        "inputs": "\n".join(map(_named, model.inputs)),
        "outputs": "\n".join(map(_named, model.outputs)),
        "activations": "\n".join(spelled[kind] for kind in topology.activation_of.tolist()),
        "loss": str(model.loss),
        "dtype": model.dtype.name,
    }
    arrays = {
        "units": (topology.units,),
        "edges, or their order": (topology.sources, topology.targets),
        "biases": (topology.has_bias,),
        "frozen parts": (model.trainable,),
        "shared weights": (topology.share,),
        "centres and scales": (topology.center, topology.scale),
    }
    digests = {part: _text(text) for part, text in texts.items()}
    return digests | {part: array_fingerprint(*parts) for part, parts in arrays.items()}


def _named(name: object) -> str:
    """A name as text; of strangers' objects the type, as their ``repr`` may hold an address."""
    plain = (str, int, float, bytes, tuple, bool, type(None))
    return repr(name) if type(name) in plain else f"{type(name).__module__}.{type(name).__qualname__}"


def _text(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
