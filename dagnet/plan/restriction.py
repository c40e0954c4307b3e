"""Cutting a plan down: to some units, to some parameters, to what the reverse walk must enter."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from dagnet.adjacency import offsets, ranges, reachable
from dagnet.arrays import Array
from dagnet.plan.frozen import ACTIVATE, DENSE, LAYER, PlanData
from dagnet.plan.transposition import first_learned, read_by, readers

P = TypeVar("P", bound=PlanData)


def walked_units(plan: PlanData, units: Array, deltas: Array | None) -> Array:
    """(units,) mask: one of the masks ``units`` or ``deltas`` in the parent chain, and a way to an output."""
    chain = units if deltas is None else units | deltas
    if np.count_nonzero(chain[plan.n_inputs :]) < plan.n_units - plan.n_inputs:
        own, chain = chain, chain.copy()
        chain[reachable(readers(plan), np.flatnonzero(own))] = True
    return chain & _reaching(plan)


def _reaching(plan: PlanData) -> Array:
    """(units,) mask: a way to an output.

    Each way ends in a unit without children.  Where all of these that have parents are outputs,
    as they are by default, there is nothing to walk.
    """
    ends = np.bincount(plan.sources, minlength=plan.n_units) == 0
    ends[plan.outputs] = False
    if not np.count_nonzero(ends & (plan.indptr[1:] > plan.indptr[:-1])):
        return ~ends
    reaching = np.zeros(plan.n_units, bool)
    reaching[reachable(read_by(plan), plan.outputs)] = True
    return reaching


def cut(plan: P, units: Array, inputs: Array | None = None) -> tuple[P, Array, Array]:
    """Keep the computed units in the mask and their mates in LAYER steps; what else they read is an input.

    Units in the mask ``inputs`` are inputs though nothing reads them, and outputs if they were.
    Returns the plan, and which units and slots of the old one it has.
    """
    kept = with_mates(plan, units)
    kept[: plan.n_inputs] = False
    computed = np.flatnonzero(kept)
    slots = ranges(plan.indptr[computed], plan.indptr[computed + 1])
    stays = np.zeros(plan.n_units, bool) if inputs is None else inputs
    read = stays.copy()
    read[plan.sources[slots]] = True
    boundary = np.flatnonzero(read & ~kept)
    unit_ids = np.concatenate([boundary, computed])
    place = np.full(plan.n_units, -1, np.int64)
    place[unit_ids] = np.arange(len(unit_ids))
    lengths = np.zeros(len(unit_ids), np.int64)
    lengths[len(boundary) :] = plan.indptr[computed + 1] - plan.indptr[computed]
    indptr = offsets(lengths)
    biases = plan.bias_slot[unit_ids].copy()
    biases[: len(boundary)] = -1
    has_bias = biases >= 0
    learned_slot, learned_ids = _cut_learned(plan, unit_ids, len(boundary), len(slots) + int(has_bias.sum()))
    slot_ids = np.concatenate([slots, biases[has_bias], learned_ids])
    bias_slot = np.full(len(unit_ids), -1, plan.bias_slot.dtype)
    bias_slot[has_bias] = len(slots) + np.arange(has_bias.sum())
    steps, gather = _cut_steps(plan, kept, place, indptr)
    cut = replace(
        plan,
        n_units=len(unit_ids),
        n_inputs=len(boundary),
        outputs=place[plan.outputs[(kept | stays)[plan.outputs]]],
        steps=steps,
        indptr=indptr,
        sources=place[plan.sources[slots]].astype(plan.sources.dtype),
        gather=gather,
        bias_slot=bias_slot,
        n_slots=len(slot_ids),
        tie=None,
        normalized_by=None,
        dropout=None,
        unit_numbers=None,
        term_dropout=None,
        term_numbers=None,
        learned_slot=learned_slot,
        needs_delta=plan.needs_delta[unit_ids],
        needs_gradient=plan.needs_gradient[slot_ids],
        unit_ids=unit_ids if plan.unit_ids is None else plan.unit_ids[unit_ids],
        slot_ids=slot_ids if plan.slot_ids is None else plan.slot_ids[slot_ids],
    )
    return cut, unit_ids, slot_ids


def with_mates(plan: PlanData, units: Array) -> Array:
    """(units,) mask of these and those that are normalised together with one of them; a copy."""
    kept = units.copy()
    for step in plan.steps[plan.steps["kind"] == LAYER]:
        nodes = kept[step["target"] : step["target"] + step["n_target"]].reshape(-1, step["source"])
        nodes[:] = nodes.any(axis=1, keepdims=True)
    return kept


def _cut_learned(plan: PlanData, unit_ids: Array, n_inputs: int, begin: int) -> tuple[Array | None, Array]:
    """``learned_slot`` where what is learned begins at a slot, and the old slots of it."""
    if plan.learned_slot is None:
        return None, np.zeros(0, np.int64)
    counts, first = plan.learned_counts()[unit_ids], plan.learned_slot[unit_ids]
    counts[:n_inputs] = 0
    return first_learned(counts, begin), ranges(first, first + counts)


def _cut_steps(plan: PlanData, kept: Array, place: Array, indptr: Array) -> tuple[Array, Array]:
    before, steps = offsets(kept), plan.steps.copy()
    stops = steps["target"] + steps["n_target"]
    first = before[steps["target"]]
    steps["n_target"] = before[stops] - first
    old = plan.steps[steps["n_target"] > 0]
    steps, first = steps[steps["n_target"] > 0], first[steps["n_target"] > 0]
    steps["target"] = first + (len(indptr) - 1 - before[-1])
    weighted = steps["kind"] != ACTIVATE
    ends = steps["target"] + steps["n_target"]
    steps["slot"][weighted] = indptr[steps["target"][weighted]]
    sparse = weighted & (steps["kind"] != DENSE)
    steps["n_source"][sparse] = (indptr[ends] - indptr[steps["target"]])[sparse]
    gather, filled = [np.zeros(0, np.int64)], 0
    for number in np.flatnonzero(steps["kind"] == DENSE):
        sources = plan.step_source_units(old[number])
        gather.append(place[sources])
        steps["what"][number], steps["source"][number] = 1, filled
        filled += len(sources)
    return steps, np.concatenate(gather)
