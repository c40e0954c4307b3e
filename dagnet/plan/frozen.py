"""The plan: a network as a short program over flat arrays, frozen.

Units are numbered so that every unit comes after its parents, inputs first.  The weights of
unit t are the slots ``indptr[t]:indptr[t + 1]``, one for each parent in ``sources``; biases have
the slots after all weights.  A dense step marks a range of units with one common set of
parents, whose slots are therefore one row-major matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Activation, Aggregation, Normalization

STEP = np.dtype(
    [(name, "i4") for name in ("kind", "what")]
    + [(name, "i8") for name in ("target", "n_target", "source", "n_source", "slot")]
)
DENSE, SPARSE, ACTIVATE, AGGREGATE, LAYER, NORMALISE, DROP, THIN = 0, 1, 2, 3, 4, 8, 9, 10
KINDS = {
    DENSE: "dense",
    SPARSE: "sparse",
    ACTIVATE: "activate",
    AGGREGATE: "aggregate",
    LAYER: "layer",
    NORMALISE: "normalise",
    DROP: "drop",
    THIN: "thin",
}
"""Kinds of steps by their codes; NORMALISE, DROP and THIN are of plans for training alone."""


class Step(NamedTuple):
    """One row of the table :data:`STEP`, as Python's numbers."""

    kind: int
    what: int
    target: int
    n_target: int
    source: int
    n_source: int
    slot: int

    @property
    def targets(self) -> slice:
        """The units that the step computes."""
        return slice(self.target, self.target + self.n_target)

    @property
    def slots(self) -> slice:
        """The weights that a step reads which does not activate."""
        n = self.n_source * self.n_target if self.kind == DENSE else self.n_source
        return slice(self.slot, self.slot + n)


@dataclass(frozen=True, eq=False)
class PlanData:
    """The fields of a plan.

    Attributes
    ----------
    n_units, n_inputs
        Units in all; the first ``n_inputs`` of them are inputs, in the order of X's columns.
    outputs
        The output units, in order.
    steps
        The program, a table of :data:`STEP`.  DENSE: z[target range] = W @ a[sources] + bias,
        the sources contiguous from ``source`` (``what`` 0) or ``gather[source:][:n_source]``
        (``what`` 1), W the ``n_target × n_source`` matrix at ``slot``.  SPARSE: the same, each
        unit with its own parents; ``n_source`` counts the nonzeros.  AGGREGATE: the same with
        aggregations[what] of the terms w·a in place of their sum.  ACTIVATE:
        a = activations[what](z).  LAYER: of each ``source`` units in a row, the sources' values over these
        units as x̂ by ``normalizations[what]``, z = weight · x̂ + bias; ``n_source`` counts the weights.
    indptr, sources
        Parents of each unit, target-major; the position is the weight's slot.
    indptr_out, targets, slots_out
        The transpose of those sparse edges that the reverse walk needs: for each unit its
        children and the slots of the edges to them.
    gather
        Source units of dense steps whose parents are not contiguous.
    bias_slot
        (units,) slot of the bias, −1 where there is none.
    n_slots
        Weights and biases in all.
    activations
        The distinct activations.
    aggregations
        The distinct aggregations other than the sum.
    needs_delta
        (units,) whether the reverse walk enters the unit.
    needs_gradient
        (slots,) whether the derivative of the loss for that slot is wanted.
    tie
        (slots,) the parameter of each slot, None where every slot is its own parameter.
    unit_ids, slot_ids
        In a plan that :meth:`restrict` cut out: the units and slots of the original.
    normalizations, normalized_by
        The distinct normalisations, and (units,) the place among them of what normalises the unit, −1
        for none; None where there are none.  Such a unit has one source.  Where rows are normalised it
        is summed as all are, in prediction by numbers that have the running statistics in them.
    dropout, unit_numbers
        (units,) the rate at which training drops each unit's value, and the number by which its mask is
        drawn; None where nothing is dropped.
    term_dropout, term_numbers
        (weights,) the same of terms.
    learned_slot
        (units,) the first of the consecutive slots, behind all biases, of what the unit's activation
        learns, −1 where it learns nothing; None where none does.
    notes
        What an engine has to say of an activation or aggregation, by its call form; shown in the listing.
    """

    n_units: int
    n_inputs: int
    outputs: Array
    steps: Array
    indptr: Array
    sources: Array
    indptr_out: Array
    targets: Array
    slots_out: Array
    gather: Array
    bias_slot: Array
    n_slots: int
    activations: tuple[Activation, ...]
    needs_delta: Array
    needs_gradient: Array
    tie: Array | None = None
    unit_ids: Array | None = None
    slot_ids: Array | None = None
    aggregations: tuple[Aggregation, ...] = ()
    normalizations: tuple[Normalization, ...] = ()
    normalized_by: Array | None = None
    dropout: Array | None = None
    unit_numbers: Array | None = None
    term_dropout: Array | None = None
    term_numbers: Array | None = None
    learned_slot: Array | None = None
    notes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    @property
    def n_weights(self) -> int:
        """How many slots are weights."""
        return len(self.sources)

    @property
    def n_parameters(self) -> int:
        """How many parameters: slots, tied ones counted once."""
        return self.n_slots if self.tie is None or not len(self.tie) else int(self.tie.max()) + 1

    @cached_property
    def aggregation_of(self) -> Array:
        """(units,) each unit's place among the aggregations, −1 for the sum."""
        numbers = np.full(self.n_units, -1)
        for step in self.program():
            if step.kind == AGGREGATE:
                numbers[step.targets] = step.what
        return numbers

    @property
    def rates(self) -> Array:
        """The distinct rates of dropout, in order; DROP steps refer to them."""
        return np.zeros(0) if self.dropout is None else np.unique(self.dropout)

    @property
    def trains_otherwise(self) -> bool:
        """Whether training does something that prediction does not."""
        return self.dropout is not None or self.term_dropout is not None

    def program(self) -> list[Step]:
        """The steps one by one."""
        return [Step._make(row) for row in self.steps.tolist()]

    def step_sources(self, step: Any) -> Any:
        """What a dense step (a :class:`Step` or a row) reads: a slice of units, or an array of them."""
        row = Step._make(step.item() if isinstance(step, np.void) else step)
        units = slice(row.source, row.source + row.n_source)
        return self.gather[units] if row.what else units

    def step_source_units(self, step: Any) -> Array:
        """The same as an array of units in either case."""
        sources = self.step_sources(step)
        return np.arange(sources.start, sources.stop) if isinstance(sources, slice) else sources

    def learned_slots(self, step: Step) -> dict[str, Array]:
        """By name, the slots of what the activation of a step learns, one a unit."""
        first = None if self.learned_slot is None else self.learned_slot[step.targets]
        names = self.activations[step.what].trainable
        return {} if first is None else {name: first + k for k, name in enumerate(names)}

    def learned(self, step: Step, theta: Array) -> dict[str, Array]:
        """By name, what the activation of a step has learned: (units, 1) each."""
        return {name: theta[slots, None] for name, slots in self.learned_slots(step).items()}

    def learned_counts(self) -> Array:
        """(units,) how many numbers each unit's activation learns."""
        counts = np.zeros(self.n_units, np.int64)
        for step in self.program():
            if step.kind == ACTIVATE:
                counts[step.targets] = len(self.activations[step.what].trainable)
        return counts

    def slopes(self, z: Array, a: Array, theta: Array) -> Array:
        """g′(z) of every unit, (units, rows), from its z and a, and all slots; 1 for inputs."""
        slopes = np.ones_like(z)
        for step in self.program():
            if step.kind == ACTIVATE:
                activation, units = self.activations[step.what], step.targets
                slopes[units] = activation.slope(z[units], a[units], **self.learned(step, theta))
        return slopes

    def __repr__(self) -> str:
        return f"<Plan: {self.n_units} units, {self.n_slots} slots, {len(self.steps)} steps>"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "notes": dict(self.notes)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, notes=MappingProxyType(state["notes"]))
        PlanData.__post_init__(self)
