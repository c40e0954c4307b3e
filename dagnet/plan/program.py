"""The plan with its companions: a checker, a knife and a printer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dagnet.arrays import Array, repeated
from dagnet.errors import DagnetError
from dagnet.markup import listing_html
from dagnet.plan.frozen import ACTIVATE, AGGREGATE, DENSE, DROP, KINDS, LAYER, SPARSE, PlanData
from dagnet.plan.restriction import cut, walked_units
from dagnet.plan.transposition import acting_units, first_learned, pull_rows, slot_targets, slot_units

HEAD, TAIL = 40, 10
"""Steps that the listing of a long program shows at its beginning and its end."""
REVERSE = "needs_delta", "needs_gradient", "indptr_out", "targets", "slots_out"


@dataclass(frozen=True, eq=False, repr=False)
class Plan(PlanData):
    """A compiled graph; for its fields see :class:`dagnet.plan.frozen.PlanData`."""

    def verify(self) -> None:
        """Check every invariant above.

        Raises
        ------
        DagnetError
            Naming the first invariant that does not hold.
        """
        for holds, sentence in _invariants(self):
            if not holds:
                raise DagnetError(f"this plan is broken: {sentence} does not hold; please report it")

    def restrict(
        self, units: Array | None = None, parameters: Array | None = None, *, deltas: Array | None = None,
        inputs: Array | None = None,
    ) -> Plan:  # fmt: skip
        """Cut the plan down to what is wanted.

        Parameters
        ----------
        units
            (units,) mask: compute only these; the other units that they read become the inputs
            of the restricted plan, and those in the mask ``inputs``, read or not.  None: all.
        parameters
            (slots,) mask: want the derivatives for these only.  None: those wanted now.
        deltas
            (units,) mask of further units whose δ is wanted (inputs, say).

        Returns
        -------
        Plan
            Its reverse walk enters exactly the units that have something wanted in their
            parent chain (themselves included) and that reach an output.
        """
        plan, wanted = self, self.needs_gradient if parameters is None else parameters
        if units is not None:
            plan, kept_units, kept_slots = cut(plan, units, inputs)
            wanted = wanted[kept_slots]
            deltas = None if deltas is None else deltas[kept_units]
        return replace(plan, **plan.walk(wanted, deltas))

    def walk(self, wanted: Array, deltas: Array | None = None) -> dict[str, Any]:
        """The fields that say where the reverse walk goes, for the derivatives and δ in these masks."""
        acting = acting_units(self, wanted)
        needs_delta, needs_gradient = walked_units(self, acting, deltas), wanted
        if np.count_nonzero(acting & ~needs_delta):  # some that no output reads
            needs_gradient = wanted & needs_delta[slot_units(self)]
        elif wanted.flags.writeable:
            every = np.count_nonzero(wanted) == self.n_slots
            needs_gradient = repeated(True, self.n_slots) if every else wanted.copy()
        rows = pull_rows(self.steps, self.indptr, self.sources, needs_delta, needs_gradient)
        found = (needs_delta, needs_gradient, *rows)
        for array in found:
            array.setflags(write=False)
        return dict(zip(REVERSE, found, strict=True))

    def everywhere(self) -> Plan:
        """The plan whose reverse walk enters every unit and finds every derivative, frozen ones too."""
        return self.restrict(parameters=np.ones(self.n_slots, bool), deltas=np.ones(self.n_units, bool))

    def __str__(self) -> str:
        lines = [_title(self)]
        if self.n_inputs:
            lines.append(f"{'':>6}  input     {_range(0, self.n_inputs)}")
        steps, n = self.steps, len(self.steps)
        shown = range(n) if n <= HEAD + TAIL else [*range(HEAD), *range(n - TAIL, n)]
        for number in shown:
            if n > HEAD + TAIL and number == n - TAIL:
                lines.append(f"{'':>6}  … {n - HEAD - TAIL:,} more steps …")
            lines.append(f"{number:>6}  {_step(self, steps[number])}")
        lines.append(f"{'':>6}  output    {_units(self)}")
        lines += [f"{'':>6}  note      {name}: {note}" for name, note in self.notes.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return listing_html(str(self))


# -- invariants, each a line that says what it checks --------------------------------------


def _invariants(plan: PlanData) -> Iterator[tuple[bool, str]]:
    n, weights = plan.n_units, plan.n_weights
    known = (DENSE, SPARSE, ACTIVATE, AGGREGATE, LAYER)
    yield bool(np.isin(plan.steps["kind"], known).all()), "known step kinds"
    yield len(plan.indptr) == n + 1, "one row of parents a unit"
    yield plan.indptr[0] == 0 and plan.indptr[-1] == weights, "rows cover all weights"
    yield bool((np.diff(plan.indptr) >= 0).all()), "rows do not overlap"
    yield bool((plan.indptr[: plan.n_inputs + 1] == 0).all()), "inputs have no parents"
    yield bool((plan.bias_slot[: plan.n_inputs] < 0).all()), "inputs have no biases"
    yield bool((plan.sources < slot_targets(plan.indptr)).all()), "parents come before their children"
    yield bool((plan.sources >= 0).all()), "parents exist"
    yield bool(((plan.outputs >= 0) & (plan.outputs < n)).all()), "outputs exist"
    yield len(plan.bias_slot) == n and len(plan.needs_delta) == n, "one entry a unit"
    yield len(plan.needs_gradient) == plan.n_slots, "one entry a slot"
    biases = np.sort(plan.bias_slot[plan.bias_slot >= 0])
    yield np.array_equal(biases, weights + np.arange(len(biases))), "biases follow the weights"
    counts = np.zeros(n, np.int64) if plan.learned_slot is None else plan.learned_counts()
    first = first_learned(counts, weights + len(biases))
    follows = plan.learned_slot is None or np.array_equal(plan.learned_slot, first)
    whole = weights + len(biases) + counts.sum() == plan.n_slots
    yield follows and whole, "what activations learn follows the biases, unit after unit"
    yield plan.tie is None or len(plan.tie) == plan.n_slots, "one parameter a slot"
    walked = plan.needs_delta[slot_units(plan)]
    yield bool(walked[plan.needs_gradient].all()), "wanted derivatives are walked to"
    yield from _step_invariants(plan)
    rows = pull_rows(plan.steps, plan.indptr, plan.sources, plan.needs_delta, plan.needs_gradient)
    same = map(np.array_equal, rows, (plan.indptr_out, plan.targets, plan.slots_out))
    yield all(same), "the transpose is that of the walked edges"


def _step_invariants(plan: PlanData) -> Iterator[tuple[bool, str]]:
    computed = np.arange(plan.n_inputs, plan.n_units)
    activates = plan.steps["kind"] == ACTIVATE
    for chosen, what in ((~activates, "summed"), (activates, "activated")):
        steps = plan.steps[chosen]
        covered = [np.arange(s["target"], s["target"] + s["n_target"]) for s in steps]
        together = np.concatenate([*covered, np.zeros(0, np.int64)])
        yield np.array_equal(np.sort(together), computed), f"every computed unit is {what} once"
    summed = np.full(plan.n_units, -1)
    ready = np.full(plan.n_units, len(plan.steps))
    ready[: plan.n_inputs] = -1
    for number, step in enumerate(plan.steps):
        targets = slice(step["target"], step["target"] + step["n_target"])
        if step["kind"] == ACTIVATE:
            yield bool((summed[targets] >= 0).all()), "sums come before activations"
            yield 0 <= step["what"] < len(plan.activations), "activations exist"
            ready[targets] = number
            continue
        summed[targets] = number
        slots = slice(plan.indptr[targets.start], plan.indptr[targets.stop])
        yield step["slot"] == slots.start, "a step starts at its first weight"
        yield bool((ready[plan.sources[slots]] < number).all()), "a step reads values that are ready"
        if step["kind"] == AGGREGATE:
            yield 0 <= step["what"] < len(plan.aggregations), "aggregations exist"
            yield bool((np.diff(plan.indptr)[targets] > 0).all()), "an aggregated unit has terms"
        if step["kind"] == DENSE:
            wanted = np.tile(plan.step_source_units(step), step["n_target"])
            yield np.array_equal(plan.sources[slots], wanted), "a dense step's units have the same parents"
        else:
            yield step["n_source"] == slots.stop - slots.start, "a sparse step counts its nonzeros"
        if step["kind"] == LAYER:
            whole = step["source"] > 1 and step["n_target"] % step["source"] == 0
            yield whole and step["n_source"] == step["n_target"], "a layer step normalises whole nodes"
            yield 0 <= step["what"] < len(plan.normalizations), "normalisations exist"


# -- the listing: one line a step ----------------------------------------------------------


def _title(plan: PlanData) -> str:
    weights, tied = plan.n_weights, "" if plan.tie is None else f", {plan.n_parameters:,} parameters"
    biases = int((plan.bias_slot >= 0).sum())
    learned = plan.n_slots - weights - biases
    tied = f", {learned:,} learned by activations{tied}" if learned else tied
    walked, found = int(plan.needs_delta.sum()), int(plan.needs_gradient.sum())
    return (
        f"plan: {plan.n_units:,} units, {weights:,} weights, {biases:,} biases, "
        f"{len(plan.steps):,} steps{tied}, the reverse walk enters {walked:,} units for {found:,} derivatives"
    )


def _range(start: int, n: int) -> str:
    return f"u{start}" if n == 1 else f"u{start}…u{start + n - 1}"


def _units(plan: PlanData) -> str:
    units = plan.outputs.tolist()
    if len(units) > 1 and units == list(range(units[0], units[0] + len(units))):
        return _range(units[0], len(units))
    more = f", … {len(units) - 12} more" if len(units) > 12 else ""
    return ", ".join(f"u{unit}" for unit in units[:12]) + more


def _step(plan: PlanData, step: Any) -> str:
    target, n_target = int(step["target"]), int(step["n_target"])
    head = f"{KINDS[step['kind']]:<9} {_range(target, n_target):<16}"
    if step["kind"] == ACTIVATE:
        activation = plan.activations[step["what"]]
        return f"{head} = {activation}{_note(plan, activation)}"
    biases = int((plan.bias_slot[target : target + n_target] >= 0).sum())
    bias = f" + {biases} bias{'es' if biases != 1 else ''}" if biases else ""
    if step["kind"] == DENSE:
        n_source = int(step["n_source"])
        where = "gathered" if step["what"] else _range(int(step["source"]), n_source)
        return f"{head} = W[{n_target}×{n_source}] @ {where}{bias}"
    if step["kind"] == DROP:
        return f"{head} at {plan.rates[step['what']]:g}"
    if step["kind"] == LAYER:
        return f"{head} = {plan.normalizations[step['what']]} over {int(step['source'])} units each{bias}"
    nonzeros = int(step["n_source"])
    weights = f"{nonzeros:,} weight{'s' if nonzeros != 1 else ''}"
    if step["kind"] == AGGREGATE:
        aggregation = plan.aggregations[step["what"]]
        return f"{head} = {aggregation} of {weights}{bias}{_note(plan, aggregation)}"
    return f"{head} = {weights}{bias}"


def _note(plan: PlanData, function: object) -> str:
    note = plan.notes.get(str(function))
    return f"   [{note.split(':')[0]}]" if note else ""
