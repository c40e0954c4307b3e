"""A plan on tensors, and walks over it: forth for values, back for derivatives, in memory of their own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from dagnet.plan import ACTIVATE, AGGREGATE, DENSE, DROP, LAYER, NORMALISE, SPARSE, THIN, Plan
from dagnet.plan.frozen import Step
from dagnet.plan.transposition import slot_targets
from dagnet_torch.functions import Place, bag
from dagnet_torch.memory import check_network, check_room
from dagnet_torch.steps import Activate, Aggregate, Dense, OnTensors, Sum
from dagnet_torch.training_steps import Drop, Layer, Normalise, Thin

STEPS: dict[int, type[OnTensors]] = {
    SPARSE: Sum,
    DENSE: Dense,
    AGGREGATE: Aggregate,
    ACTIVATE: Activate,
    DROP: Drop,
    THIN: Thin,
    NORMALISE: Normalise,
    LAYER: Layer,
}
Pull = Callable[[], Any]


class Program:
    """All of a plan that is the same for every walk, as tensors."""

    def __init__(self, plan: Plan, place: Place) -> None:
        check_network(plan, place)
        self.plan, self.place = plan, place
        program = plan.program()
        self.steps = [STEPS[step.kind](plan, step, place) for step in program]
        self.makes = max((step.makes for step in self.steps), default=0) + sum(s.keeps for s in self.steps)
        self.outputs = place.index(plan.outputs)
        biased = np.flatnonzero(plan.bias_slot >= 0)
        self.biased, self.bias_slots = place.index(biased), place.index(plan.bias_slot[biased])
        self.pushed = np.zeros(plan.n_units, bool)
        for step in self.steps:
            self.pushed[np.asarray(step.pushes, np.int64)] = True
        self.adds = bool(self.pushed.any())
        self.pushed[plan.outputs] = True
        self.dropped = {step.target for step in program if step.kind == DROP}
        self.edges = Edges(plan, program, place)
        frozen = np.flatnonzero(~plan.needs_gradient)
        self.frozen = place.index(frozen) if len(frozen) else None
        cuts = [step.target + more for step in program if step.kind == DROP for more in (0, step.n_target)]
        bounds = sorted({0, plan.n_inputs, *(cut for cut in cuts if cut < plan.n_inputs)})
        self.input_runs = list(pairwise(bounds))
        self._transpose(program)

    def _transpose(self, program: list[Step]) -> None:
        """The edges that are pulled over: those of sums, by the unit that they leave."""
        plan, taken = self.plan, np.zeros(self.plan.n_units, bool)
        for step in program:
            if step.kind == SPARSE:
                taken[step.targets] = True
        kept = taken[plan.targets]
        before = np.concatenate([[0], np.cumsum(kept)])
        self._out_starts = before[plan.indptr_out]
        self._pulls: dict[tuple[int, int], tuple[slice, Any, Any, bool]] = {}
        self.children = self.place.entries(plan.targets[kept])
        self.out_slots = self.place.index(plan.slots_out[kept])

    def pull_of(self, units: slice) -> tuple[slice, Any, Any, bool]:
        """Of the edges that leave some units: which, their children, where units begin; what is pushed to."""
        key = units.start, units.stop
        if key not in self._pulls:
            rows = self._out_starts[units.start : units.stop + 1]
            out = slice(int(rows[0]), int(rows[-1]))
            pushed = bool(self.pushed[units].any())
            self._pulls[key] = out, self.children[out], self.place.entries(rows - rows[0]), pushed
        return self._pulls[key]


class Edges:
    """∂L/∂w of all edges of sums at once: of δ aᵀ only these cells."""

    def __init__(self, plan: Plan, program: list[Step], place: Place) -> None:
        wanted = np.zeros(plan.n_slots, bool)
        for step in program:
            if step.kind == SPARSE:
                wanted[step.slots] = plan.needs_gradient[step.slots]
        slots = np.flatnonzero(wanted)
        sources, targets = plan.sources[slots], slot_targets(plan.indptr)[slots]
        whole = len(slots) == plan.n_weights
        self.slots = slice(0, len(slots)) if whole else place.index(slots)
        self.n, self.place = len(slots), place
        self._sources, self._targets = place.index(sources), place.index(targets)
        self._starts = place.index(np.searchsorted(targets, np.arange(plan.n_units + 1)))
        self._pattern: Any = None
        if place.device.type == "cpu" and self.n:
            with warnings.catch_warnings():  # of sparse matrices, that they are young
                warnings.simplefilter("ignore")
                self._pattern = torch.sparse_csr_tensor(
                    self._starts,
                    self._sources,
                    torch.zeros(self.n, dtype=place.dtype),
                    (plan.n_units, plan.n_units),
                )

    def add(self, d: Any, a: Any, into: Any) -> None:
        """Write the derivatives to ``into``, (slots,)."""
        if not self.n:
            return
        if self._pattern is not None:
            into[self.slots] = torch.sparse.sampled_addmm(self._pattern, d, a.T, beta=0).values()
            return
        into[self.slots] = torch.ops.aten._embedding_bag_per_sample_weights_backward(  # noqa: SLF001
            d, a, self._sources, self._starts, self._targets, 0, -1
        )


class Walk:
    """The memory of one pass over so many rows: theta (slots,); z, a, δ and ∂L/∂a, (units, rows) each.

    On a card what does not fit is refused before it is taken.

    ``before`` are values before they were dropped, ``masks`` what was kept of them, by a step's first unit.
    ``key``, ``weights`` and ``first`` are those of a :class:`dagnet.contracts.Draw`.
    """

    key = 0
    first = 0
    weights: Any = None
    whole: Any = None
    """Of a draw, what gives the sums over all rows of a batch that several share."""

    def summed(self, sums: Any) -> Any:
        """As :meth:`dagnet.contracts.Draw.summed`, of a tensor."""
        if self.whole is None:
            return sums
        return torch.from_numpy(self.whole(sums.cpu().numpy())).to(sums)

    def __init__(self, program: Program, rows: int) -> None:
        check_room(program, rows)
        plan, place = program.plan, program.place
        self.program, self.rows = program, rows
        like = {"dtype": place.dtype, "device": place.device}
        self.theta = torch.empty(plan.n_slots, **like)
        self.bias = torch.zeros(plan.n_units, 1, **like)
        self.z, self.a = torch.empty(plan.n_units, rows, **like), torch.empty(plan.n_units, rows, **like)
        self.before: dict[int, Any] = {}
        self.masks: dict[int, Any] = {}
        self._forth = [step.forth(self) for step in program.steps]
        self._back: list[Callable[[], None]] | None = None
        if plan.normalizations:
            self.mean, self.variance = torch.zeros(2, plan.n_units, dtype=torch.float64, device=place.device)

    def load(self, theta: Any, inputs: Any) -> None:
        """Take parameters, (slots,), and rows, (rows, input units)."""
        program, n = self.program, self.program.plan.n_inputs
        self.theta.copy_(theta)
        if len(program.biased):
            self.bias.index_copy_(0, program.biased, self.theta.index_select(0, program.bias_slots)[:, None])
        self.a[:n] = inputs.T
        self.z[:n] = self.a[:n]

    def forward(self) -> Any:
        """Values of the output units, (output units, rows)."""
        self.before.clear()
        for run in self._forth:
            run()
        return self.a.index_select(0, self.program.outputs)

    def backward(self, pull: Any) -> Any:
        """∂L/∂theta, (slots,), from ∂L/∂outputs, (output units, rows); δ are kept."""
        program = self.program
        if self._back is None:
            self._prepare_back()
        if program.adds:
            self.da.zero_()
        self.da.index_copy_(0, program.outputs, pull)
        torch.index_select(self.theta, 0, program.out_slots, out=self._out)
        for run in self._back or ():
            run()
        program.edges.add(self.d, self.a, self.into)
        if len(program.biased):
            sums = self.d.sum(1)
            self.into.index_copy_(0, program.bias_slots, sums.index_select(0, program.biased))
        if program.frozen is not None:
            self.into.index_fill_(0, program.frozen, 0)
        return self.into

    def _prepare_back(self) -> None:
        program = self.program
        self.d, self.da = torch.zeros_like(self.a), torch.zeros_like(self.a)
        self.into = torch.zeros_like(self.theta)
        self._out = torch.empty_like(self.theta[: len(program.out_slots)])
        self.pulled: dict[int, Any] = {}
        steps = [step.back(self) for step in reversed(program.steps)]
        steps += [self._input(start, stop) for start, stop in program.input_runs]
        self._back = [run for run in steps if run is not None]

    def _input(self, start: int, stop: int) -> Callable[[], None] | None:
        """What finds δ of some inputs, which are ∂L/∂a."""
        needed = self.program.plan.needs_delta[start:stop]
        pull = self.pull(slice(start, stop), activates=True) if needed.any() else None
        if pull is None:
            return None
        d, mask = self.d[start:stop], torch.tensor(~needed, device=self.d.device)[:, None]

        def run() -> None:
            d.copy_(pull()).masked_fill_(mask, 0)

        return run

    def pull(self, units: slice, *, activates: bool) -> Pull | None:
        """What gives ∂L/∂a of some units, (units, rows), which is not to be written to; None where it is 0.

        That is what the sums that read the units pull back, and what other steps and the outputs pushed; of
        what ``activates`` before a dropout, what came through that.
        """
        program, da, d = self.program, self.da[units], self.d
        if activates and units.start in program.dropped:
            return lambda: self.pulled[units.start]
        out, index, offsets, pushed = program.pull_of(units)
        if out.start == out.stop:
            return (lambda: da) if pushed else None
        weights = self._out[out]
        if pushed:
            return lambda: bag(d, index, offsets, weights).add_(da)
        return lambda: bag(d, index, offsets, weights)
