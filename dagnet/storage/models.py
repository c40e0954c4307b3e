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
nodes_…              float              scale, shift, mean, variance of normalised units, node after node
edges_…              float64            further words of the edges, each there where some edge
                                        says it
===================  =================  =====================================================
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dagnet.adjacency import Rows, levels, rows_by
from dagnet.arrays import Array
from dagnet.contracts import LEARNED, MOMENTS, Loss
from dagnet.errors import DataError, NumericalError, expected, shorten
from dagnet.model import Model
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
    plugin_for,
    plugin_of,
)
from dagnet.storage.users import check_heads, pack_users, pack_words, unpack_users, unpack_words
from dagnet.topology import Topology, edge_values, fingerprint, parameter_limits
from dagnet.topology.attributes import Problems
from dagnet.topology.extras import EDGE_EXTRAS, NODE_EXTRAS, edge_column, read_node_extras
from dagnet.topology.sharing import edge_facts, learned_facts, node_facts, refuse_unlike

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
    weights, biases = _parameters(model)
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
        tensors[NODES + name] = model.vector[model.layout.node_places(name)]
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
        for name in [NODES + name for name in (*LEARNED, *MOMENTS)]
        if name in rest
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
        found[word] = edge_column(word, len(column), said, lambda edge: f"edge {edge}", problems.tried)
    _check(not problems, "; ".join(problems))
    return found


def _node_words(document: ModelDocument, codec: Snapshot, n: int) -> dict[str, dict[int, Any]]:
    """The same of nodes."""
    known = [plugin_for("aggregations", plugin) for plugin in document.aggregations]
    _check(len(set(known)) == len(known), "an aggregation is there twice")
    if document.node_words is None:
        _check(not known, "nobody has the aggregations")
        return {}
    problems, data = Problems(), unpack_words(document.node_words, codec, n)
    for said in data:
        if "aggregation" in said:
            number = said["aggregation"]
            _check(type(number) is int and 0 <= number < len(known), "an aggregation is out of range")
            said["aggregation"] = known[number]
    unknown = {word for said in data for word in said} - NODE_EXTRAS.keys()
    _check(not unknown, "nodes say unknown words")
    found = read_node_extras(data, lambda node: f"node {node}", problems.tried)
    _check(not problems, "; ".join(problems))
    return found


def _taken(tensors: dict[str, Array], name: str, kind: str, dtype: np.dtype[Any] | None = None) -> Array:
    array = tensors.pop(name, None)
    if array is None or array.ndim != 1 or array.dtype.kind != kind or array.dtype != (dtype or array.dtype):
        raise ValueError(f"tensor {name} is missing or of another kind")
    return array


def checked_topology(parts: Topology) -> Topology:
    """The topology with ``index`` and ``level``, or ``ValueError`` with what is wrong.

    All else that a file holds of a graph is there, each of the right type and otherwise unchecked.
    """
    _check_lengths(parts)
    _check_units(parts)
    index = _index(parts)
    children = rows_by(parts.sources, parts.targets, len(parts.nodes))
    level = _checked_level(parts, children)
    _check_ports(parts)
    _check_activations(parts)
    _check_numbers(parts)
    for node, words in parts.categories.items():
        _check(node in parts.inputs and len(set(words)) == parts.units[node] > 1, "categories do not fit")
        _check(all(isinstance(word, (str, int, float)) for word in words), "a category is no word")
    if parts.share is not None:
        _check_shared(parts, parts.share)
    elif parts.share_keys:
        raise ValueError("there are share keys without shared weights")
    _check_shared_nodes(parts)
    low, high = parameter_limits(parts) or np.zeros((2, 0))
    _check((low <= high).all(), "limits leave nothing to a weight")
    activation_of = parts.activation_of.astype(np.int32)
    topology = replace(parts, activation_of=activation_of, index=index, level=level)
    topology.__dict__["children"] = children
    return topology


def _check(holds: object, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _within(numbers: Array, n: int) -> bool:
    return not len(numbers) or bool(numbers.min() >= 0 and numbers.max() < n)


def _check_lengths(parts: Topology) -> None:
    n, e = len(parts.nodes), len(parts.sources)
    per_node = (parts.units, parts.activation_of, parts.has_bias, parts.bias_trainable)
    _check(n >= 1 and all(len(array) == n for array in per_node), "the nodes' tensors differ in length")
    per_edge = (parts.targets, parts.edge_trainable, *parts.edge_words.values())
    _check(all(len(array) == e for array in per_edge), "the edges' tensors differ in length")
    for numbers in (parts.sources, parts.targets, parts.inputs, parts.outputs):
        _check(_within(numbers, n), "a node's number is out of range")
    named = parts.weight_name is None or isinstance(parts.weight_name, str)
    _check(named, "the weight attribute is no name")


def _check_units(parts: Topology) -> None:
    """Before anything of that size is allocated; doubles cannot overflow, 64-bit integers could."""
    _check((parts.units >= 1).all(), "a node has no units")
    units = parts.units.astype(np.float64)
    _check(units.sum() == len(parts.bias_start), "there is not one bias for each unit")
    weights = (units[parts.sources] * units[parts.targets]).sum()
    _check(weights == len(parts.weight_start), "the weights do not fit the edges")
    inputs = units[parts.inputs].sum()
    _check(inputs == len(parts.center) == len(parts.scale), "center and scale do not fit the inputs")


def _index(parts: Topology) -> dict[Hashable, int]:
    index: dict[Hashable, int] = dict(zip(parts.nodes, range(len(parts.nodes)), strict=True))
    _check(len(index) == len(parts.nodes), "two nodes have the same name")
    return index


def _checked_level(parts: Topology, children: Rows) -> Array:
    n = len(parts.nodes)
    key = np.sort(parts.sources * n + parts.targets)
    _check((key[1:] != key[:-1]).all(), "an edge is there twice")
    level = levels(children, np.bincount(parts.targets, minlength=n))
    _check((level >= 0).all(), "the graph has a cycle")
    return level


def _check_ports(parts: Topology) -> None:
    for what, nodes in (("inputs", parts.inputs), ("outputs", parts.outputs)):
        _check(len(np.unique(nodes)) == len(nodes), f"a node is twice among the {what}")
    _check(len(parts.outputs), "there is no output")
    _check(not np.isin(parts.inputs, parts.targets).any(), "an input has parents")
    _check(not parts.has_bias[parts.inputs].any(), "an input has a bias")


def _check_activations(parts: Topology) -> None:
    _check(_within(parts.activation_of, len(parts.activations)), "an activation's number is out of range")
    _check(len(set(parts.activations)) == len(parts.activations), "an activation is there twice")
    _check(not parts.activation_of[parts.inputs].any(), "an input has an activation")
    aggregating = parts.node_words.get("aggregation", {}).keys()
    _check(aggregating.isdisjoint(parts.inputs.tolist()), "an input has an aggregation")


def _check_numbers(parts: Topology) -> None:
    for numbers in (
        *(parts.weight_start, parts.bias_start, parts.center, parts.scale),
        *parts.node_starts.values(),
    ):
        _check(np.isfinite(numbers).all(), "a number is not finite")
    _check((parts.scale != 0).all(), "an input's scale is 0")
    _check_normalized(parts)
    biased = np.repeat(parts.has_bias, parts.units)
    _check(not parts.bias_start[~biased].view(np.int64).any(), "there is a bias of a node that has none")


def _check_normalized(parts: Topology) -> None:
    sizes = {name: int(parts.units[parts.nodes_with(name)].sum()) for name in (*LEARNED, *MOMENTS)}
    found = {name: len(array) for name, array in parts.node_starts.items()}
    fits = found == {name: n for name, n in sizes.items() if n}
    _check(fits, "the numbers of normalisations do not fit the nodes")
    over_units = np.setdiff1d(parts.normalized, parts.nodes_with("mean"))
    _check((parts.units[over_units] > 1).all(), "a node of one unit is normalised over its units")
    _check((parts.node_starts.get("variance", np.zeros(0)) >= 0).all(), "a variance is below 0")
    _check(not np.isin(parts.normalized, parts.inputs).any(), "an input is normalised")


def _check_shared(parts: Topology, share: Array) -> None:
    _check(len(share) == len(parts.sources), "the edges' tensors differ in length")
    groups = len(parts.share_keys)
    _check(share.max(initial=-1) < groups and share.min(initial=-1) >= -1, "a group's number is out of range")
    _check(len(set(parts.share_keys)) == groups, "a share key is there twice")
    shared = np.flatnonzero(share >= 0)
    first = np.unique(share[shared], return_index=True)[1]
    _check(len(first) == groups and (np.diff(first) > 0).all(), "a share key is not used, or out of order")
    shapes = parts.units[parts.targets], parts.units[parts.sources]
    facts = edge_facts(*shapes, parts.edge_trainable, parts.weight_start, divided=False)
    problems: list[str] = []
    refuse_unlike(share, parts.share_keys, facts, lambda edge: f"edge {edge}", problems)
    _check(not problems, "; ".join(problems[:1]))


def _check_shared_nodes(parts: Topology) -> None:
    facts = node_facts(parts.units, parts.has_bias, parts.bias_trainable, parts.bias_start)
    facts |= learned_facts(parts.units, parts.node_words, parts.node_starts)
    problems: list[str] = []
    refuse_unlike(*parts.node_groups(), facts, lambda node: f"node {node}", problems)
    _check(not problems, "; ".join(problems[:1]))


def save_checkpoint(path: object, snapshot: dict[str, Any]) -> None:
    """Write a snapshot, whole or not at all.

    Keys are strings; values are None, bools, integers of any size, floats, strings, bytes, tuples,
    lists, dictionaries with string keys, arrays and NumPy scalars.

    DataError for any other value; the message names its place.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "run.dagnet"
    ...     save_checkpoint(path, {"epoch": 3, "history": {"loss": [0.5, float("inf")]}})
    ...     load_checkpoint(path)
    {'epoch': 3, 'history': {'loss': [0.5, inf]}}
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
