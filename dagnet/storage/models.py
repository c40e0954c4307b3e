"""Networks and checkpoints as safe files; every property that the rest of dagnet relies on is checked.

A network's names and settings are in the document; these are the tensors (n nodes, e edges, u units):

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
nodes_…              float              scale, shift, mean, variance of normalised units, and what
                                        activations learn, node after node
edges_…              float64            further words of the edges, each there where some edge
                                        says it
===================  =================  =====================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagnet.adjacency import offsets
from dagnet.arrays import Array
from dagnet.contracts import Loss
from dagnet.errors import DataError, NumericalError, expected, shorten
from dagnet.model import Model
from dagnet.storage.checks import check, check_heads, checked_topology
from dagnet.storage.container import NO_DIGEST, decoding, read, write
from dagnet.storage.documents import (
    EXACT,
    FORMAT,
    CheckpointDocument,
    ModelDocument,
    Packed,
    Snapshot,
    decode,
    pack_name,
    pack_users,
    pack_words,
    plugin_for,
    plugin_of,
    unpack_users,
    unpack_words,
)
from dagnet.topology import (
    EDGE_EXTRAS,
    NODE_EXTRAS,
    Problems,
    Said,
    Topology,
    edge_column,
    edge_values,
    fingerprint,
    read_node_extras,
)

EDGES, NODES = "edges_", "nodes_"
MASKS = ("has_bias", "bias_trainable", "edge_trainable")
NUMBERS = ("sources", "targets", "inputs", "outputs", "units", "activation_of")


@dataclass(frozen=True, eq=False)
class StoredModel:
    """What a file says of a network: ``topology`` has the parameters as start values."""

    topology: Topology
    loss: Loss
    dtype: str
    named: bool


# -- saving ------------------------------------------------------------------------------


def save_model(model: Model, path: object) -> None:
    """Write a network, whole or not at all; refusals are those of :meth:`dagnet.Network.save`."""
    topology = model.topology
    weights, biases = model.parameters[model.layout.weights], model.layout.node_biases(model.parameters)
    _check_finite("weight", weights, topology.weight_starts, lambda edge: model.edges[edge])
    _check_finite("bias", biases, topology.unit_starts, lambda node: model.nodes[node])
    codec = Snapshot()
    document = ModelDocument(
        format=FORMAT,
        sha256=NO_DIGEST,
        kind="model",
        fingerprint=fingerprint(topology),
        dtype=model.dtype.name,  # type: ignore[arg-type]
        loss=plugin_of(model.objective.default),
        activations=[plugin_of(activation) for activation in topology.activations],
        nodes=_names(topology),
        share_keys=[pack_name(key, f"share key {shorten(key)}") for key in topology.share_keys],
        weight_name=pack_name(topology.weight_name, "weight"),
        users=pack_users(topology.users, codec),
        node_words=pack_words(_numbered(topology), codec) if topology.node_words else None,
        aggregations=[plugin_of(aggregation) for aggregation in topology.aggregations],
        categories=[
            (node, [pack_name(word, "a category") for word in words])
            for node, words in sorted(topology.categories.items())
        ],
        named=model.named,
    )
    whole = np.int32 if max(topology.n_nodes, int(topology.units.max())) < 2**31 else np.int64
    tensors = {name: getattr(topology, name).astype(whole) for name in NUMBERS}
    tensors |= {name: getattr(topology, name) for name in MASKS}
    tensors |= {"center": topology.center, "scale": topology.scale, "weights": weights, "biases": biases}
    if topology.share is not None:
        tensors["share"] = topology.share.astype(np.int64)
    for name in topology.node_starts:
        tensors[NODES + name] = values = model.vector[model.layout.node_places(name)]
        nodes = topology.nodes_with(name)
        owners = [model.nodes[node] for node in nodes.tolist()]
        refused = np.where(values < 0, np.nan, values) if name == "variance" else values
        _check_finite(name, refused, offsets(topology.units[nodes]), owners.__getitem__)
    tensors |= {EDGES + word: column.ravel() for word, column in topology.edge_words.items()}
    write(path, document, tensors | codec.tensors)


def _names(topology: Topology) -> int | list[Packed]:
    if isinstance(topology.nodes, range):
        return len(topology.nodes)
    mend = "rename it, for instance with networkx.relabel_nodes"
    return [pack_name(name, f"node {shorten(name)}: its name", mend) for name in topology.nodes]


def _numbered(topology: Topology) -> dict[str, dict[int, Any]]:
    """What nodes say, aggregations by their numbers among the document's."""
    words = {word: dict(said) for word, said in topology.node_words.items()}
    for node, aggregation in words.get("aggregation", {}).items():
        words["aggregation"][node] = topology.aggregations.index(aggregation)
    return words


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
    content = read(path, "model")
    with decoding(content.name):
        document = decode(content.document, ModelDocument)
        topology = _topology(document, content.tensors)
        if fingerprint(topology) != document.fingerprint:
            raise ValueError("the graph does not have its fingerprint")
        loss = plugin_for("losses", document.loss)
        check_heads(topology, loss)
    return StoredModel(topology, loss, document.dtype, document.named)


def _topology(document: ModelDocument, tensors: Mapping[str, Array]) -> Topology:
    rest, floating = dict(tensors), np.dtype(document.dtype)
    arrays: dict[str, Any] = {name: _taken(rest, name, "i").astype(np.int64) for name in NUMBERS}
    arrays |= {name: _taken(rest, name, "b").copy() for name in MASKS}
    for name in ("center", "scale"):
        arrays[name] = _taken(rest, name, "f", np.dtype(np.float64)).copy()
    for name, tensor in (("weight_start", "weights"), ("bias_start", "biases")):
        arrays[name] = _taken(rest, tensor, "f", floating).astype(np.float64)
    arrays["node_starts"] = {
        name.removeprefix(NODES): _taken(rest, name, "f", floating).astype(np.float64)
        for name in [name for name in rest if name.startswith(NODES)]
    }
    share = _taken(rest, "share", "i").copy() if "share" in rest else None
    names, edge_words = document.nodes, _edge_words(rest)
    codec = Snapshot(rest)
    sizes = (len(arrays["units"]), len(arrays["sources"]))
    users = unpack_users(document.users, codec, sizes)
    node_words = _node_words(document, codec, sizes[0])
    if codec.tensors:
        raise ValueError(f"there is an unknown tensor {next(iter(codec.tensors))[:40]!r}")
    return checked_topology(
        Topology(
            nodes=range(names) if isinstance(names, int) else tuple(map(EXACT.unpack, names)),
            index={},
            level=np.zeros(0, np.int64),
            activations=tuple(plugin_for("activations", plugin) for plugin in document.activations),
            share=share,
            share_keys=tuple(map(EXACT.unpack, document.share_keys)),
            weight_name=EXACT.unpack(document.weight_name),
            edge_words=edge_words,
            node_words=node_words,
            users=users,
            categories={node: tuple(map(EXACT.unpack, words)) for node, words in document.categories},
            **arrays,
        )
    )


def _edge_words(rest: dict[str, Array]) -> dict[str, Array]:
    """The columns of the edges' words, each checked as if a graph had said it."""
    problems, found = Problems(), {}
    for word in [name.removeprefix(EDGES) for name in rest if name.startswith(EDGES)]:
        if word not in EDGE_EXTRAS:
            raise ValueError(f"edges say the unknown word {word[:40]!r}")
        default = EDGE_EXTRAS[word].default
        column = _taken(rest, EDGES + word, "f", np.dtype(np.float64)).reshape(-1, *np.shape(default))
        said = dict(edge_values(word, column))
        found[word] = edge_column(word, len(column), said, "edge {}".format, problems)
    check(not problems, "; ".join(problems))
    return found


def _node_words(document: ModelDocument, codec: Snapshot, n: int) -> dict[str, dict[int, Any]]:
    """The same of nodes."""
    known = [plugin_for("aggregations", plugin) for plugin in document.aggregations]
    check(len(set(known)) == len(known), "an aggregation is there twice")
    if document.node_words is None:
        check(not known, "nobody has the aggregations")
        return {}
    problems, data = Problems(), unpack_words(document.node_words, codec, n)
    for said in data:
        if "aggregation" in said:
            number = said["aggregation"]
            check(type(number) is int and 0 <= number < len(known), "an aggregation is out of range")
            said["aggregation"] = known[number]
    unknown = {word for said in data for word in said} - NODE_EXTRAS.keys()
    check(not unknown, "nodes say unknown words")
    found = read_node_extras(Said.of_all("node", str, data), problems)
    check(not problems, "; ".join(problems))
    return found


def _taken(tensors: dict[str, Array], name: str, kind: str, dtype: np.dtype[Any] | None = None) -> Array:
    array = tensors.pop(name, None)
    if array is None or array.ndim != 1 or array.dtype.kind != kind or array.dtype != (dtype or array.dtype):
        raise ValueError(f"tensor {name} is missing or of another kind")
    return array


def save_checkpoint(path: object, snapshot: dict[str, Any]) -> None:
    """Write a snapshot, whole or not at all.

    Keys are strings; values are None, bools, integers of any size, floats, strings, bytes, tuples,
    lists, dictionaries with string keys, arrays and NumPy scalars.

    DataError for any other value; the message names its place.
    """
    if type(snapshot) is not dict:
        raise DataError(expected("snapshot", "a dict", snapshot))
    codec = Snapshot()
    content = codec.pack(snapshot, "snapshot")
    document = CheckpointDocument(format=FORMAT, sha256=NO_DIGEST, kind="checkpoint", content=content)
    write(path, document, codec.tensors)


def load_checkpoint(path: object) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote: the same types and the same bits.

    FormatError if the file is anything else, or was changed by one bit.
    """
    content = read(path, "checkpoint")
    with decoding(content.name):
        document = decode(content.document, CheckpointDocument)
        codec = Snapshot(content.tensors)
        snapshot = codec.unpack(document.content)
        if type(snapshot) is not dict or codec.tensors:
            raise ValueError("it holds no snapshot, or tensors that nothing refers to")
    return snapshot
