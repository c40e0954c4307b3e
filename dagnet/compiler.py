"""From a topology to a plan, in four named passes, each from arrays to arrays.

``blocks``   nodes of one level with one set of parents become a dense block where that pays
``order``    nodes are ordered by level, block, aggregation and activation; units are numbered in that order
``packing``  weights are laid out target-major; a dense block's are one row-major matrix
``program``  ranges of units become steps
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np

from dagnet.adjacency import inverse, narrowest, offsets, pair_order, ranges, run_ends, runs
from dagnet.arrays import Array, all_are, repeated
from dagnet.expansion import Expansion, expanded, in_training
from dagnet.hashing import ODD, mixed
from dagnet.plan import ACTIVATE, AGGREGATE, DENSE, LAYER, SPARSE, STEP, Plan, first_learned
from dagnet.topology import Topology

DENSE_MINIMUM, MANY, DENSE_AMONG_MANY = 64, 2**15, 4096
"""Weights of a dense step at least; units whose values leave a core's cache, and weights beside more."""
NARROWEST, HUB, MOST = 4, 2**14, 0.9
"""Units and parents of a dense step; parents, and a share of all weights, that let it have fewer units."""


class Compiled(NamedTuple):
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
    read = _read(graph)
    block = _blocks(graph, read)
    order, first_unit = _order(expansion, block, read)
    packing = _packing(graph, order, first_unit, read)
    trainable = _trainable(graph, order, packing)
    more = in_training(topology, expansion, first_unit) | _terms(topology, packing)
    plan = _program(expansion, block, first_unit, order, packing, needs_gradient=trainable, **more)
    return Compiled(expansion, plan, first_unit, packing.element_slot, trainable)


# -- blocks ------------------------------------------------------------------------------


def _blocks(topology: Topology, read: Array) -> Array | None:
    """(nodes,) the dense block of each node, −1 for none; None where there is none at all."""
    if len(topology.weight_start) < DENSE_MINIMUM:
        return None
    units = topology.units
    least = DENSE_MINIMUM if topology.n_units <= MANY else DENSE_AMONG_MANY
    if not _may_be_dense(units, read, least):
        return None
    block, has_parents = np.full(topology.n_nodes, -1, np.int64), topology.fan_in.nonzero()[0]
    summing = topology.aggregation_of < 0  # others are no matrix products
    fingerprints = np.zeros(topology.n_nodes, np.uint64)
    marks = mixed(np.arange(topology.n_nodes, dtype=np.uint64) + ODD)
    np.add.at(fingerprints, topology.targets, marks[topology.sources])
    alike = has_parents[fingerprints[has_parents].argsort(kind="stable")]
    first = runs(fingerprints[alike])
    rows = np.add.reduceat((units * summing)[alike], first)
    columns = read[alike[first]]
    weights = rows * columns
    dense = (rows >= NARROWEST) & (columns >= NARROWEST) & (weights >= least)
    dense |= (columns >= HUB) & (weights >= MOST * len(topology.weight_start))
    last = run_ends(first, len(alike))
    for number in dense.nonzero()[0].tolist():
        nodes = alike[first[number] : last[number] + 1]
        nodes = nodes[summing[nodes]]
        if _same_parents(topology, nodes):
            block[nodes] = nodes[0]
    if topology.diagonal is not None:
        block[topology.targets[topology.diagonal]] = -1
    if (thinned := _thinned(topology)) is not None:
        block[thinned] = -1
    return block


def _read(topology: Topology) -> Array:
    """(nodes,) how many units each reads."""
    if topology.is_plain:
        return topology.fan_in
    widths = topology.units[topology.sources]
    if topology.diagonal is not None:
        widths[topology.diagonal] = 1
    return np.bincount(topology.targets, widths, topology.n_nodes).astype(np.int64)


def _may_be_dense(units: Array, read: Array, least: int) -> bool:
    """Whether enough units read as many units each, or one reads very many: else none read the same."""
    rows = np.bincount(read, units)
    enough = (rows >= NARROWEST) & (rows * np.arange(len(rows)) >= least)
    return len(rows) > HUB or bool(np.count_nonzero(enough[NARROWEST:]))


def _thinned(topology: Topology) -> Array | None:
    """(nodes,) mask of those that have a term which training drops; None where no edge says so."""
    said = topology.edge_words.get("dropout")
    if said is None:
        return None
    mask = np.zeros(topology.n_nodes, bool)
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


def _order(expansion: Expansion, block: Array | None, read: Array) -> tuple[Array, Array]:
    """Nodes in the order of their units (inputs first, as declared), and their first units."""
    topology, by, n = expansion.graph, expansion.normalized_by, expansion.graph.n_nodes
    # equal ones in a row, so branches are foreseen: back, to a sum's children or else to parents, and forth
    fan_out, fan_in = (
        np.bincount(topology.sources, minlength=n),
        read if topology.is_plain else topology.fan_in,
    )
    keys = [fan_in, fan_out, topology.activation_of]
    if topology.aggregations:
        aggregation_of = topology.aggregation_of
        keys[1:] = np.where(aggregation_of < 0, fan_out, fan_in), topology.activation_of, aggregation_of
    if by is not None:
        keys += [np.where(expansion.layers < 0, 0, topology.units), by]
    if (thinned := _thinned(topology)) is not None:
        keys.append(thinned)
    if block is not None:
        keys.append(np.where(block < 0, n, block))
    key = np.lexsort((*keys, topology.level))
    order = np.concatenate([topology.inputs, key[~topology.is_input[key]]])
    starts = topology.laid_out(order)
    first_unit = np.zeros(n, narrowest(int(starts[-1])))
    first_unit[order] = starts[:-1]
    return order, first_unit


# -- packing -----------------------------------------------------------------------------


class _Packing(NamedTuple):
    element_slot: Array
    indptr: Array
    sources: Array
    bias_slot: Array
    learned_slot: Array | None
    n_slots: int


def _packing(topology: Topology, order: Array, first_unit: Array, read: Array) -> _Packing:
    """Give every weight element its slot: by target unit, then by source unit."""
    units, total = topology.units, topology.n_units
    ends = first_unit[topology.targets], first_unit[topology.sources]
    edges, length, biased = pair_order(*ends, total), read[order], topology.has_bias[order]
    if topology.is_plain:
        element_slot, sources = inverse(edges), ends[1][edges]
    else:
        element_slot, sources = _elements(topology, first_unit, edges, order)
        length, biased = length.repeat(units[order]), biased.repeat(units[order])
    del edges, ends
    indptr = offsets(length)
    n_slots = len(sources) + int(np.count_nonzero(biased))
    bias_slot = np.full(total, -1, narrowest(n_slots))
    bias_slot[biased] = np.arange(len(sources), n_slots)
    counts = [len(activation.trainable) for activation in topology.activations]
    if not any(counts):
        return _Packing(element_slot, indptr, sources, bias_slot, None, n_slots)
    learned = np.where(topology.is_input, 0, np.array(counts)[topology.activation_of])[order].repeat(
        units[order]
    )
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
    expansion: Expansion, block: Array | None, first_unit: Array, order: Array, packing: _Packing, **more: Any
) -> Plan:
    topology = expansion.graph
    computed = order[len(topology.inputs) :]
    n_inputs = len(topology.center)
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
    vars(plan).update(plan.walk(plan.needs_gradient))  # before anybody has seen it
    return plan


def _steps(
    expansion: Expansion, block: Array | None, computed: Array, n_inputs: int, packing: _Packing
) -> tuple[Array, Array]:
    topology = expansion.graph
    act, bounds = topology.activation_of[computed], n_inputs + topology.laid_out(computed)
    keys = [topology.level[computed]]
    dense = None if block is None else block[computed]
    if dense is not None:
        keys.append(dense)
    activated = runs(*keys, act)
    layer = None if expansion.normalized_by is None else expansion.layers[computed]
    if layer is not None:
        units = topology.units[computed]
        keys += [layer, np.where(layer < 0, 0, units)]
    agg = topology.aggregation_of[computed] if topology.aggregations else None
    summed = runs(*keys) if agg is None else runs(*keys, agg)
    n, nodes = len(summed), np.concatenate([summed, activated])
    table = np.zeros(len(nodes), STEP)
    target = bounds[nodes]
    stop = np.empty_like(target)  # where the next begins
    stop[:-1], stop[n - 1 : n], stop[-1:] = target[1:], bounds[-1], bounds[-1]
    table["target"], table["n_target"] = target, stop - target
    table["kind"][n:], table["what"][n:] = ACTIVATE, act[activated]
    sums, slot = table[:n], packing.indptr[target[:n]]
    kind, sums["slot"] = sums["kind"], slot
    kind[:] = SPARSE
    if agg is not None:
        kind[agg[summed] >= 0], sums["what"] = AGGREGATE, np.maximum(agg[summed], 0)
    if dense is not None:
        kind[dense[summed] >= 0] = DENSE
    if layer is not None:
        whole = layer[summed] >= 0
        kind[whole], sums["what"][whole] = LAYER, layer[summed][whole]
        sums["source"][whole] = units[summed][whole]
    sums["n_source"] = packing.indptr[stop[:n]] - slot
    gather = _dense_sources(sums, packing) if dense is not None else np.zeros(0, np.int64)
    behind = 2 * target[:n].searchsorted(stop)  # so many sums: what activates follows at once
    behind[n:] += 1
    return table[behind.argsort(kind="stable")], gather


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
    if all_are(topology.edge_trainable, True) and all_are(topology.bias_trainable, True):
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
