"""Steps of a plan on tensors: each kind has what it does forth and back as calls on a walk's memory.

A step is made once for a plan; ``forth(walk)`` and ``back(walk)`` give calls without arguments on views of
that walk's tensors, (units, rows), so that a call does nothing but arithmetic.  The equations are those of
:mod:`dagnet.engine.reference`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dagnet.plan import Plan
from dagnet.plan.aggregating import term_slots
from dagnet.plan.frozen import Step
from dagnet_torch.functions import Activates, Aggregates, Place, Scatter, bag

if TYPE_CHECKING:
    from dagnet_torch.walks import Walk

Call = Callable[[], None]


class OnTensors:
    """A step; ``pushes`` are the units to whose ∂L/∂a it adds by itself on the way back."""

    pushes: Any = ()
    keeps = 0
    """How many numbers a row stay beside those of all units, from one step of training to the next."""

    def __init__(self, plan: Plan, step: Step, place: Place) -> None:
        self.step, self.targets, self.slots = step, step.targets, step.slots
        self.walked = bool(plan.needs_delta[step.targets].any())
        self.place = place

    @property
    def makes(self) -> int:
        """How many numbers a row its operations make at a time, which go when it ends."""
        return 3 * self.step.n_target

    def forth(self, walk: Walk) -> Call:
        """What calculates z, or a, of the targets."""
        raise NotImplementedError

    def back(self, walk: Walk) -> Call | None:
        """What hands δ on; None where there is nothing to do."""
        del walk
        return None


class Sum(OnTensors):
    """Weighted sums: on the way back their sources pull, and one product finds ∂L/∂w of all edges."""

    def __init__(self, plan: Plan, step: Step, place: Place) -> None:
        super().__init__(plan, step, place)
        self._sources = place.entries(plan.sources[step.slots])
        rows = plan.indptr[step.target : step.target + step.n_target + 1]
        self._offsets = place.entries(rows - step.slot)

    def forth(self, walk: Walk) -> Call:
        """See :class:`OnTensors`."""
        z, bias, a = walk.z[self.targets], walk.bias[self.targets], walk.a
        if not len(self._sources):
            return lambda: z.copy_(bias.expand_as(z))
        sources, offsets, weights = self._sources, self._offsets, walk.theta[self.slots]

        def run() -> None:
            torch.add(bag(a, sources, offsets, weights), bias, out=z)

        return run


class Dense(OnTensors):
    """A matrix product."""

    def __init__(self, plan: Plan, step: Step, place: Place) -> None:
        super().__init__(plan, step, place)
        units, sources = plan.step_source_units(step), plan.step_sources(step)
        self._sources = sources if isinstance(sources, slice) else place.index(sources)
        self.pushes = units if self.walked and plan.needs_delta[units].any() else ()
        self._wanted = bool(plan.needs_gradient[step.slots].any())
        self._shape = step.n_target, step.n_source

    @property
    def makes(self) -> int:
        """See :class:`OnTensors`: the sources' values, and what goes back to them."""
        return self.step.n_target + 2 * self.step.n_source

    def _read(self, a: Any) -> Any:
        return a[self._sources] if isinstance(self._sources, slice) else a.index_select(0, self._sources)

    def forth(self, walk: Walk) -> Call:
        """See :class:`OnTensors`."""
        z, bias, a = walk.z[self.targets], walk.bias[self.targets], walk.a
        matrix = walk.theta[self.slots].view(self._shape)
        return lambda: torch.addmm(bias, matrix, self._read(a), out=z)

    def back(self, walk: Walk) -> Call | None:
        """See :class:`OnTensors`."""
        if not self.walked:
            return None
        matrix, a, da, d = walk.theta[self.slots].view(self._shape), walk.a, walk.da, walk.d[self.targets]
        into = walk.into[self.slots].view(self._shape)
        sources = self._sources

        def run() -> None:
            if self._wanted:
                torch.mm(d, self._read(a).T, out=into)
            if not len(self.pushes):
                return
            if isinstance(sources, slice):
                da[sources].addmm_(matrix.T, d)
            else:
                da.index_add_(0, sources, matrix.T @ d)

        return run


class Aggregate(OnTensors):
    """Another aggregation of terms than their sum."""

    def __init__(self, plan: Plan, step: Step, place: Place) -> None:
        super().__init__(plan, step, place)
        self._function = Aggregates(plan.aggregations[step.what], place)
        self._groups = []
        for units, slots in term_slots(plan, step):
            sources = plan.sources[slots]
            group = [place.index(numbers) for numbers in (units, slots, sources)]
            self._groups.append((*group, Scatter(sources, place)))
        self.pushes = plan.sources[step.slots] if self.walked else ()

    @property
    def makes(self) -> int:
        """See :class:`OnTensors`: terms, values, δ of the terms, and products of these."""
        return (5 + self._function.makes) * max(slots.numel() for _, slots, *_ in self._groups)

    def forth(self, walk: Walk) -> Call:
        """See :class:`OnTensors`."""
        bias, z, a, theta = walk.bias, walk.z, walk.a, walk.theta

        def run() -> None:
            for units, slots, sources, _ in self._groups:
                z.index_copy_(
                    0, units, self._function.value(theta[slots][..., None] * a[sources]) + bias[units]
                )

        return run

    def back(self, walk: Walk) -> Call | None:
        """See :class:`OnTensors`."""
        if not self.walked:
            return None
        a, theta, d, da, into = walk.a, walk.theta, walk.d, walk.da, walk.into

        def run() -> None:
            for units, slots, sources, scatter in self._groups:
                values, weights = a[sources], theta[slots][..., None]
                terms = weights * values
                slope = self._function.slope(terms, self._function.value(terms))
                of_terms = (d[units] * slope).expand(terms.shape)
                into[slots] = (of_terms * values).sum(-1)
                scatter.add(da, weights * of_terms)

        return run


class Activate(OnTensors):
    """a = g(z), and back δ = ∂L/∂a · g′(z) with the derivatives of what g learns."""

    def __init__(self, plan: Plan, step: Step, place: Place) -> None:
        super().__init__(plan, step, place)
        self._function = Activates(plan.activations[step.what], place)
        self._learned = [place.index(slots) for slots in plan.learned_slots(step).values()]
        needed = plan.needs_delta[step.targets]
        self._mask = None if needed.all() else torch.tensor(needed, device=place.device)[:, None]

    @property
    def makes(self) -> int:
        """See :class:`OnTensors`: what was pulled, and the formula's."""
        return (3 + self._function.makes) * self.step.n_target

    def forth(self, walk: Walk) -> Call:
        """See :class:`OnTensors`."""
        z, a, theta, function = walk.z[self.targets], walk.a[self.targets], walk.theta, self._function
        if not self._learned:
            return function.call(z, a)
        return lambda: function.value(z, [theta[slots][:, None] for slots in self._learned], a)

    def back(self, walk: Walk) -> Call | None:
        """See :class:`OnTensors`."""
        pull = walk.pull(self.targets, activates=True) if self.walked else None
        if pull is None:
            return None
        z, d, theta, into = walk.z[self.targets], walk.d[self.targets], walk.theta, walk.into
        a, function, mask, before = walk.a[self.targets], self._function, self._mask, walk.before
        if not self._learned and mask is None and self.step.target not in walk.program.dropped:
            slope = function.slope_call(z, a)
            return lambda: torch.mul(pull(), slope(), out=d)

        def run() -> None:
            da, learned = pull(), [theta[slots][:, None] for slots in self._learned]
            torch.mul(da, function.slope(z, before.get(self.step.target, a), learned), out=d)
            if mask is not None:
                d.masked_fill_(~mask, 0)
            for number, slots in enumerate(self._learned):
                into[slots] = (da * function.slope_by(number, z, learned)).expand_as(da).sum(1)

        return run


def numbers_of(plan: Plan, which: str) -> Any:
    """The numbers by which masks are drawn; zeros where there are none."""
    found = getattr(plan, which)
    return np.zeros(0) if found is None else found
