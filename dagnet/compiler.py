"""From a topology to a plan, in four named passes, each from arrays to arrays.

``blocks``   nodes of one level with one set of parents become a dense block where that pays
``order``    nodes are ordered by level, block, aggregation and activation; units are numbered in that order
``packing``  weights are laid out target-major; a dense block's are one row-major matrix
``program``  ranges of units become steps
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagnet.adjacency import inverse, narrowest, offsets, pair_order, ranges
from dagnet.arrays import Array, repeated
from dagnet.expansion import Expansion, expanded
from dagnet.hashing import ODD, mixed
from dagnet.plan import ACTIVATE, AGGREGATE, DENSE, LAYER, SPARSE, STEP, Plan, first_learned
from dagnet.topology import Topology

DENSE_MINIMUM, MANY, DENSE_AMONG_MANY = 64, 2**15, 4096
"""Weights of a dense step at least; units whose values leave a core's cache, and weights beside more."""
NARROWEST, HUB, MOST = 4, 2**14, 0.9
"""Units and parents of a dense step; parents, and a share of all weights, that let it have fewer units."""


@dataclass(frozen=True, eq=False)
class Compiled:
    """A plan, and where the topology's nodes and edges are in it.

    Attributes
    ----------
    expansion
        The graph that was compiled, in which normalised nodes are two; all that follows is of it.
    plan
        The plan.
    first_unit
        (nodes,) the first unit of each node.
    element_slot
        (weight elements,) the slot of each, edge after edge, row-major.
    trainable
        (slots,) mask: what the graph lets train.
    """

    expansion: Expansion
    plan: Plan
    first_unit: Array
    element_slot: Array
    trainable: Array


def compile_topology(topology: Topology) -> Compiled:
    """Compile a topology; the whole cost is a few sorts of the edges."""
    expansion = expanded(topology)
    graph = expansion.graph
    block = _blocks(graph)
    order, first_unit = _order(expansion, block)
    packing = _packing(graph, order, first_unit)
    trainable = _trainable(graph, order, packing)
    more = _in_training(topology, expansion, first_unit) | _terms(topology, packing)
    plan = _program(expansion, block, first_unit, order, packing, needs_gradient=trainable, **more)
    return Compiled(expansion, plan, first_unit, packing.element_slot, trainable)


# -- blocks ------------------------------------------------------------------------------


def _blocks(topology: Topology) -> Array:
    """(nodes,) the dense block of each node, −1 for none."""
    block = np.full(topology.n_nodes, -1, np.int64)
    if len(topology.weight_start) < DENSE_MINIMUM:
        return block
    units, has_parents = topology.units, topology.fan_in.nonzero()[0]
    summing = topology.aggregation_of < 0  # others are no matrix products
    fingerprints = np.zeros(topology.n_nodes, np.uint64)
    marks = mixed(np.arange(topology.n_nodes, dtype=np.uint64) + ODD)
    np.add.at(fingerprints, topology.targets, marks[topology.sources])
    alike = has_parents[fingerprints[has_parents].argsort(kind="stable")]
    first = _runs(fingerprints[alike])
    rows = np.add.reduceat((units * summing)[alike], first)
    columns = _read(topology)[alike[first]]
    weights, least = rows * columns, DENSE_MINIMUM if units.sum() <= MANY else DENSE_AMONG_MANY
    dense = (rows >= NARROWEST) & (columns >= NARROWEST) & (weights >= least)
    dense |= (columns >= HUB) & (weights >= MOST * len(topology.weight_start))
    last = _run_ends(first, len(alike))
    for number in dense.nonzero()[0].tolist():
        nodes = alike[first[number] : last[number] + 1]
        nodes = nodes[summing[nodes]]
        if _same_parents(topology, nodes):
            block[nodes] = nodes[0]
    if topology.diagonal is not None:
        block[topology.targets[topology.diagonal]] = -1
    block[_thinned(topology)] = -1
    return block


def _read(topology: Topology) -> Array:
    """(nodes,) how many units each reads."""
    if topology.is_plain:
        return topology.fan_in
    widths = topology.units[topology.sources]
    if topology.diagonal is not None:
        widths[topology.diagonal] = 1
    return np.bincount(topology.targets, widths, topology.n_nodes).astype(np.int64)


def _thinned(topology: Topology) -> Array:
    """(nodes,) mask of those that have a term which training drops."""
    mask, said = np.zeros(topology.n_nodes, bool), topology.edge_words.get("dropout")
    if said is not None:
        mask[topology.targets[: len(said)][said > 0]] = True
    return mask


def _same_parents(topology: Topology, nodes: Array) -> bool:
    """The proof: equal fingerprints of unequal parents are improbable, not impossible."""
    degrees = topology.parents.degrees()[nodes]
    if (degrees != degrees[0]).any():
        return False
    parents = topology.parents.neighbours[topology.parents.expand(nodes)]
    table = np.sort(parents.reshape(len(nodes), -1), axis=1)
    return bool((table == table[0]).all())


# -- order -------------------------------------------------------------------------------


def _order(expansion: Expansion, block: Array) -> tuple[Array, Array]:
    """Nodes in the order of their units (inputs first, as declared), and their first units."""
    topology, by = expansion.graph, expansion.normalized_by
    n = topology.n_nodes
    late = np.where(block < 0, n, block)
    # equal ones in a row: branches of the reverse walk, to a sum's children or else to parents, are foreseen
    fans = topology.fan_in, np.bincount(topology.sources, minlength=n)
    walked = np.where(topology.aggregation_of < 0, *fans[::-1])
    normalized = () if by is None else (np.where(expansion.layers < 0, 0, topology.units), by)
    apart = (*normalized, _thinned(topology), late, topology.level)
    key = np.lexsort((walked, topology.activation_of, topology.aggregation_of, *apart))
    order = np.concatenate([topology.inputs, key[~topology.is_input[key]]])
    starts = offsets(topology.units[order])
    first_unit = np.zeros(n, narrowest(int(starts[-1])))
    first_unit[order] = starts[:-1]
    return order, first_unit


# -- packing -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Packing:
    element_slot: Array
    indptr: Array
    sources: Array
    bias_slot: Array
    learned_slot: Array | None
    n_slots: int


def _packing(topology: Topology, order: Array, first_unit: Array) -> _Packing:
    """Give every weight element its slot: by target unit, then by source unit."""
    units, total = topology.units, int(topology.units.sum())
    ends = first_unit[topology.targets], first_unit[topology.sources]
    edges, height, length = pair_order(*ends, total), units[order], _read(topology)[order]
    if topology.is_plain:
        element_slot, sources = inverse(edges), ends[1][edges]
    else:
        element_slot, sources = _elements(topology, first_unit, edges, order)
    del edges, ends
    indptr = offsets(length.repeat(height))
    biased = topology.has_bias[order].repeat(height)
    bias_slot = np.full(total, -1, np.int64)
    n_slots = len(sources) + int(np.count_nonzero(biased))
    bias_slot[biased] = np.arange(len(sources), n_slots)
    counts = [len(activation.trainable) for activation in topology.activations]
    if not any(counts):
        return _Packing(element_slot, indptr, sources, bias_slot, None, n_slots)
    learned = np.where(topology.is_input, 0, np.array(counts)[topology.activation_of])[order].repeat(height)
    first = first_learned(learned, n_slots)
    return _Packing(element_slot, indptr, sources, bias_slot, first, n_slots + int(learned.sum()))


def _elements(topology: Topology, first_unit: Array, edges: Array, order: Array) -> tuple[Array, Array]:
    """The slot of each weight element, edge after edge, and by slot the unit that it is read from."""
    units, read, widths = topology.units, _read(topology), topology.units[topology.sources[edges]]
    if topology.diagonal is not None:
        widths[topology.diagonal[edges]] = 1
    moved = np.zeros(topology.n_nodes, np.int64)  # by the further rows of the targets before
    moved[order] = offsets((units[order] - 1) * read[order])[:-1]
    edge_slot = np.zeros(topology.n_edges, np.int64)
    edge_slot[edges] = offsets(widths)[:-1] + moved[topology.targets[edges]]
    edge = np.repeat(np.arange(topology.n_edges), np.diff(topology.weight_starts))
    place = np.arange(len(edge)) - topology.weight_starts[edge]
    i, j = np.divmod(place, units[topology.sources[edge]])
    alone = False if topology.diagonal is None else topology.diagonal[edge]
    i = np.where(alone, place, i)  # then one weight a row, of the unit at the same place
    slot = edge_slot[edge] + i * read[topology.targets[edge]] + np.where(alone, 0, j)
    sources = np.zeros(len(slot), first_unit.dtype)
    sources[slot] = first_unit[topology.sources[edge]] + np.where(alone, place, j)
    return slot.astype(narrowest(len(slot))), sources


# -- program -----------------------------------------------------------------------------


def _program(
    expansion: Expansion, block: Array, first_unit: Array, order: Array, packing: _Packing, **more: Any
) -> Plan:
    topology = expansion.graph
    computed = order[len(topology.inputs) :]
    n_inputs = int(topology.units[topology.inputs].sum())
    steps, gather = _steps(expansion, block, computed, n_inputs, packing)
    n_units, n_slots, first = len(packing.indptr) - 1, packing.n_slots, first_unit[topology.outputs]
    nothing = np.zeros(0, np.int64)
    plan = Plan(
        n_units=n_units,
        n_inputs=n_inputs,
        outputs=ranges(first, first + topology.units[topology.outputs]),
        steps=steps,
        indptr=packing.indptr,
        sources=packing.sources,
        indptr_out=nothing,
        targets=nothing,
        slots_out=nothing,
        gather=gather,
        bias_slot=packing.bias_slot,
        n_slots=n_slots,
        activations=topology.activations,
        aggregations=topology.aggregations,
        normalizations=expansion.normalizations,
        needs_delta=np.zeros(n_units, bool),
        tie=_tie(topology, first_unit, packing, n_slots),
        learned_slot=packing.learned_slot,
        **more,
    )
    return plan.restrict()  # fills in what the reverse walk needs


def _steps(
    expansion: Expansion, block: Array, computed: Array, n_inputs: int, packing: _Packing
) -> tuple[Array, Array]:
    topology, layer = expansion.graph, expansion.layers[computed]
    units = topology.units[computed]
    width = np.where(layer < 0, 0, units)
    bounds = n_inputs + offsets(units)
    level, group, act = topology.level[computed], block[computed], topology.activation_of[computed]
    agg = topology.aggregation_of[computed]
    summed, activated = _runs(level, group, layer, width, agg), _runs(level, group, act)
    n = len(summed)
    table = np.zeros(n + len(activated), STEP)
    nodes = np.concatenate([summed, activated])
    last = np.concatenate([_run_ends(summed, len(computed)), _run_ends(activated, len(computed))])
    target, stop = bounds[nodes], bounds[last + 1]
    table["target"], table["n_target"] = target, stop - target
    table["kind"][n:], table["what"][n:] = ACTIVATE, act[activated]
    sums, slot = table[:n], packing.indptr[target[:n]]
    kind = np.where(agg[summed] >= 0, AGGREGATE, SPARSE)
    kind[group[summed] >= 0] = DENSE
    kind[layer[summed] >= 0] = LAYER
    sums["kind"], sums["what"] = kind, np.maximum(np.maximum(layer, agg)[summed], 0)
    sums["source"], sums["slot"] = width[summed], slot
    sums["n_source"] = packing.indptr[stop[:n]] - slot
    gather = _dense_sources(sums, packing)
    behind = summed.searchsorted(last, side="right")  # so many sums: what activates follows at once
    program = np.lexsort((target, np.arange(len(nodes)) >= n, behind))
    return table[program], gather


def _runs(*keys: Array) -> Array:
    """Where a new run of equal keys starts."""
    if not len(keys[0]):
        return np.zeros(0, np.int64)
    change = np.zeros(len(keys[0]), bool)
    change[0] = True
    for key in keys:
        change[1:] |= key[1:] != key[:-1]
    return change.nonzero()[0]


def _run_ends(starts: Array, n: int) -> Array:
    """The last member of each run."""
    return np.concatenate([starts[1:], [n]])[: len(starts)] - 1


def _dense_sources(sums: Array, packing: _Packing) -> Array:
    """Fill in what dense steps read: a range where it can be, gathered units else."""
    gather, filled = [np.zeros(0, np.int64)], 0
    for number in (sums["kind"] == DENSE).nonzero()[0]:
        step = sums[number]
        row = slice(*packing.indptr[step["target"] : step["target"] + 2])
        sources = packing.sources[row].astype(np.int64)
        sums["n_source"][number] = len(sources)
        if sources[-1] - sources[0] + 1 == len(sources):
            sums["source"][number] = sources[0]
            continue
        sums["what"][number], sums["source"][number] = 1, filled
        gather.append(sources)
        filled += len(sources)
    return np.concatenate(gather)


def _trainable(topology: Topology, order: Array, packing: _Packing) -> Array:
    """(slots,) what the graph lets train."""
    if topology.edge_trainable.all() and topology.bias_trainable.all():
        return repeated(True, packing.n_slots)
    mask = np.ones(packing.n_slots, bool)
    mask[packing.element_slot] = np.repeat(topology.edge_trainable, np.diff(topology.weight_starts))
    free = np.repeat(topology.bias_trainable[order], topology.units[order])
    has = packing.bias_slot >= 0
    mask[packing.bias_slot[has]] = free[has]
    if packing.learned_slot is not None:
        units = np.flatnonzero(packing.learned_slot >= 0)
        counts = np.diff(packing.learned_slot[units], append=packing.n_slots)
        mask[packing.n_slots - int(counts.sum()) :] = np.repeat(free[units], counts)
    return mask


def _tie(topology: Topology, first_unit: Array, packing: _Packing, n_slots: int) -> Array | None:
    """(slots,) the parameter of each slot where edges share weights, or nodes biases."""
    owner = np.arange(n_slots)
    if topology.share is not None:
        _tie_to_lowest(owner, packing.element_slot, topology.element_owners())
    if "share" in topology.node_words:
        moved = np.repeat(first_unit - topology.unit_starts[:-1], topology.units)
        slots = packing.bias_slot[np.arange(len(moved)) + moved]
        biased = slots >= 0
        place = np.cumsum(biased) - 1
        _tie_to_lowest(owner, slots[biased], place[topology.bias_owners()[biased]])
        _tie_learned(owner, topology, first_unit, packing)
    elif topology.share is None:
        return None
    return np.unique(owner, return_inverse=True)[1]


def _tie_learned(owner: Array, topology: Topology, first_unit: Array, packing: _Packing) -> None:
    """Nodes that share a key and learn the same have one number."""
    said = topology.node_words["share"]
    for name, nodes in topology.learners.items():
        sharing = nodes[[node in said for node in nodes.tolist()]]
        slots = slots_learned(topology, first_unit, packing.learned_slot, name, sharing)
        first: dict[Hashable, int] = {}
        starts = offsets(topology.units[sharing])[:-1].tolist()
        begin = [first.setdefault(said[node], at) for node, at in zip(sharing.tolist(), starts, strict=True)]
        begins = np.array(begin, np.int64)
        _tie_to_lowest(owner, slots, ranges(begins, begins + topology.units[sharing]))


def slots_learned(topology: Topology, first_unit: Array, learned_slot: Any, name: str, nodes: Array) -> Array:
    """The slots of one name of what some nodes' activations learn, node after node."""
    units, kinds = topology.units[nodes], topology.activation_of[nodes]
    place = [
        list(item.trainable).index(name) if name in item.trainable else 0 for item in topology.activations
    ]
    first = first_unit[nodes]
    slots: Array = learned_slot[ranges(first, first + units)] + np.repeat(np.array(place)[kinds], units)
    return slots


def _tie_to_lowest(owner: Array, slots: Array, owners: Array) -> None:
    """Have slots the lowest slot of those with the same owner, a place among ``slots``, as theirs."""
    lowest = np.full(len(slots), len(owner))
    np.minimum.at(lowest, owners, slots)
    owner[slots] = lowest[owners]


# -- what only training does ---------------------------------------------------------------


def _in_training(topology: Topology, expansion: Expansion, first_unit: Array) -> dict[str, Any]:
    """The plan's fields of normalisation and dropout; none of them where there is neither."""
    dropout, units = topology.node_words.get("dropout", {}), topology.units
    if not len(expansion.nodes) and not any(dropout.values()):
        return {}
    n = int(expansion.graph.units.sum())
    rates, numbers, by = np.zeros(n), np.zeros(n, np.uint64), np.full(n, -1)
    first = first_unit[expansion.value]
    places = np.arange(int(units.sum())) + np.repeat(first - topology.unit_starts[:-1], units)
    of_node = np.zeros(topology.n_nodes)
    of_node[list(dropout)] = list(dropout.values())
    rates[places], numbers[places] = np.repeat(of_node, units), np.arange(len(places), dtype=np.uint64)
    if expansion.normalized_by is not None:
        by[places] = np.repeat(expansion.normalized_by[expansion.value], units)
    same = {"normalized_by": by}
    if not any(dropout.values()) and not any(kind.over_rows for kind in expansion.normalizations):
        return same  # training is as prediction
    return same | {"dropout": rates, "unit_numbers": numbers}


def _terms(topology: Topology, packing: _Packing) -> dict[str, Any]:
    """The plan's fields of dropout on edges, by slot; none where no edge has it."""
    said = topology.edge_words.get("dropout")
    if said is None or not said.any():
        return {}
    sizes, n = np.diff(topology.weight_starts), len(packing.sources)
    rates, numbers, slots = np.zeros(n), np.zeros(n, np.uint64), packing.element_slot[: int(sizes.sum())]
    rates[slots] = np.repeat(said, sizes)
    numbers[slots] = np.uint64(2**63) + np.arange(len(slots), dtype=np.uint64)  # apart from those of units
    return {"term_dropout": rates, "term_numbers": numbers}
