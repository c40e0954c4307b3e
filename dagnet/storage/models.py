"""Networks as safe files.

Names and settings are in the document; these are the tensors (n nodes, e edges, u units in all):

===================  =================  =====================================================
sources, targets     (e,) integers      parent and child of each edge, in the graph's order
inputs, outputs      integers           numbers of the input and output nodes, in their order
units                (n,) integers      units of each node
activation_of        (n,) integers      the node's place among the document's activations
has_bias             (n,) bool
bias_trainable       (n,) bool
edge_trainable       (e,) bool
share                (e,) integers      group of edges that are one weight, −1 for none; absent
                                        where nothing is shared
center, scale        float64            of the input units
weights              float              edge after edge, each (child units, parent units)
biases               (u,) float         node after node, 0 where there is none
===================  =================  =====================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Loss
from dagnet.errors import NumericalError, expected, shorten
from dagnet.model import Model
from dagnet.storage.container import NO_DIGEST, decoding, read, write
from dagnet.storage.plugins import plugin_for, plugin_of
from dagnet.storage.schema import FORMAT, ModelDocument, Packed, decode
from dagnet.storage.topologies import checked_topology
from dagnet.storage.values import pack_name, unpack_name
from dagnet.topology import Topology, UserAttributes, fingerprint

MASKS = ("has_bias", "bias_trainable", "edge_trainable")
NUMBERS = ("sources", "targets", "inputs", "outputs", "units", "activation_of")


@dataclass(frozen=True, eq=False)
class StoredModel:
    """What a file says of a network: ``topology`` has the parameters as start values."""

    topology: Topology
    loss: Loss
    dtype: str


# -- saving ------------------------------------------------------------------------------


def save_model(model: Model, path: object) -> None:
    """Write a network, whole or not at all; refusals are those of :meth:`dagnet.Network.save`."""
    topology = model.topology
    weights, biases = _parameters(model)
    document = ModelDocument(
        format=FORMAT,
        sha256=NO_DIGEST,
        kind="model",
        fingerprint=fingerprint(topology),
        dtype=model.dtype.name,  # type: ignore[arg-type]
        loss=plugin_of(model.loss),
        activations=[plugin_of(activation) for activation in topology.activations],
        nodes=_names(topology),
        share_keys=[pack_name(key, f"share key {shorten(key)}") for key in topology.share_keys],
        weight_name=pack_name(topology.weight_name, "weight"),
    )
    whole = np.int32 if max(topology.n_nodes, int(topology.units.max())) < 2**31 else np.int64
    tensors = {name: getattr(topology, name).astype(whole) for name in NUMBERS}
    tensors |= {name: getattr(topology, name) for name in MASKS}
    tensors |= {"center": topology.center, "scale": topology.scale, "weights": weights, "biases": biases}
    if topology.share is not None:
        tensors["share"] = topology.share.astype(np.int64)
    write(path, document, tensors)


def _names(topology: Topology) -> int | list[Packed]:
    if isinstance(topology.nodes, range):
        return len(topology.nodes)
    mend = "rename it, for instance with networkx.relabel_nodes"
    return [pack_name(name, f"node {shorten(name)}: its name", mend) for name in topology.nodes]


def _parameters(model: Model) -> tuple[Array, Array]:
    """Weights edge after edge, and biases node after node with 0 where there is none."""
    topology, layout, parameters = model.topology, model.layout, model.parameters
    weights, biases = parameters[layout.weights], layout.node_biases(parameters)
    _check_finite("weight", weights, topology.weight_starts, lambda edge: model.edges[edge])
    _check_finite("bias", biases, topology.unit_starts, lambda node: model.nodes[node])
    return weights, biases


def _check_finite(what: str, values: Array, starts: Array, name: Callable[[int], Any]) -> None:
    odd = np.flatnonzero(~np.isfinite(values))
    if len(odd):
        owner = int(np.searchsorted(starts, odd[0], side="right")) - 1
        mend = "train with a smaller learning rate, or load the last good checkpoint"
        where = f"{what} of {shorten(name(owner))}"
        raise NumericalError(expected(where, "finite to be saved", float(values[odd[0]]), mend))


# -- loading -----------------------------------------------------------------------------


def load_model(path: object) -> StoredModel:
    """Read a network; nothing in the file is run.  Refusals are those of :func:`dagnet.load`."""
    content = read(path)
    content.must_be("model")
    with decoding(content.name):
        document = decode(content.document, ModelDocument)
        topology = _topology(document, content.tensors)
        if fingerprint(topology) != document.fingerprint:
            raise ValueError("the graph does not have its fingerprint")
        loss = plugin_for("losses", document.loss)
        units = int(topology.units[topology.outputs].sum())
        if units < loss.minimum_outputs:
            raise ValueError(f"loss {loss.name!r} needs {loss.minimum_outputs} output units, got {units}")
    return StoredModel(topology, loss, document.dtype)


def _topology(document: ModelDocument, tensors: Mapping[str, Array]) -> Topology:
    rest, floating = dict(tensors), np.dtype(document.dtype)
    arrays = {name: _taken(rest, name, "i").astype(np.int64) for name in NUMBERS}
    arrays |= {name: _taken(rest, name, "b").copy() for name in MASKS}
    for name in ("center", "scale"):
        arrays[name] = _taken(rest, name, "f", np.dtype(np.float64)).copy()
    for name, tensor in (("weight_start", "weights"), ("bias_start", "biases")):
        arrays[name] = _taken(rest, tensor, "f", floating).astype(np.float64)
    share = _taken(rest, "share", "i").copy() if "share" in rest else None
    if rest:
        raise ValueError(f"there is an unknown tensor {next(iter(rest))[:40]!r}")
    names = document.nodes
    return checked_topology(
        Topology(
            nodes=range(names) if isinstance(names, int) else tuple(map(unpack_name, names)),
            index={},
            level=np.zeros(0, np.int64),
            activations=tuple(plugin_for("activations", plugin) for plugin in document.activations),
            share=share,
            share_keys=tuple(map(unpack_name, document.share_keys)),
            weight_name=unpack_name(document.weight_name),
            users=UserAttributes(),
            **arrays,
        )
    )


def _taken(tensors: dict[str, Array], name: str, kind: str, dtype: np.dtype[Any] | None = None) -> Array:
    array = tensors.pop(name, None)
    if array is None or array.ndim != 1 or array.dtype.kind != kind or array.dtype != (dtype or array.dtype):
        raise ValueError(f"tensor {name} is missing or of another kind")
    return array
