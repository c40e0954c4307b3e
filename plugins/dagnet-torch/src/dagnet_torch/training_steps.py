"""Dropout and normalisations; the equations are those of ``dagnet.engine.training_steps``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dagnet.contracts import Normalization
from dagnet.engine.training_steps import through_layer
from dagnet.plan import Plan
from dagnet.plan.frozen import Step
from dagnet_torch.functions import Place, Scatter
from dagnet_torch.masks import Keys
from dagnet_torch.steps import Call, OnTensors, numbers_of

if TYPE_CHECKING:
    from dagnet_torch.walks import Walk

PORTION = 2**22
"""Terms and rows whose masks are held at once."""


class Drop(OnTensors):
    """Values times 0 or 1 / (1 − rate); what they were is kept for the slopes."""

    def __init__(self, plan: Plan, step: Step, place: Place) -> None:
        super().__init__(plan, step, place)
        self._rate, self.keeps = float(plan.rates[step.what]), 3 * step.n_target
        self.keys = Keys(numbers_of(plan, "unit_numbers")[step.targets], self._rate, place.device)

    def forth(self, walk: Walk) -> Call:
        """See :class:`dagnet_torch.steps.OnTensors`."""
        a = walk.a[self.targets]
        factor = float(torch.tensor(1 / (1 - self._rate), dtype=a.dtype))

        def run() -> None:
            mask = self.keys.kept(self.keys.halves(walk.key), walk.first, a.shape[1])
            before = a.clone()
            walk.before[self.step.target], walk.masks[self.step.target] = before, mask
            torch.where(mask, before * factor, torch.zeros_like(a), out=a)

        return run

    def back(self, walk: Walk) -> Call | None:
        """See :class:`dagnet_torch.steps.OnTensors`."""
        pull = walk.pull(self.targets, activates=False) if self.walked else None
        if pull is None:
            walk.pulled[self.step.target] = torch.zeros_like(walk.da[self.targets])
            return None
        factor = float(torch.tensor(1 / (1 - self._rate), dtype=walk.a.dtype))

        def run() -> None:
            pulled = pull() * factor
            zero = torch.zeros_like(pulled)
            walk.pulled[self.step.target] = torch.where(walk.masks[self.step.target], pulled, zero)

        return run


class Normalise(OnTensors):
    """x̂ by moments of the rows, (Σ p a) and (Σ p (a − mean)²) in double precision, p the rows' shares."""

    def __init__(self, plan: Plan, step: Step, place: Place) -> None:
        super().__init__(plan, step, place)
        self._sources = place.index(plan.sources[step.slots])
        self._kind: Normalization = plan.normalizations[step.what]
        self.pushes = plan.sources[step.slots] if self.walked else ()

    @property
    def makes(self) -> int:
        """See :class:`dagnet_torch.steps.OnTensors`; half of them in double precision."""
        return 12 * self.step.n_target

    def _standardized(self, walk: Walk) -> tuple[Any, Any]:
        a, p = walk.a.index_select(0, self._sources), walk.weights
        mean = walk.summed((a * p).sum(1, keepdim=True, dtype=torch.float64))
        away = a - mean
        variance = walk.summed((away * away * p).sum(1, keepdim=True, dtype=torch.float64))
        walk.mean[self.targets], walk.variance[self.targets] = mean[:, 0], variance[:, 0]
        inverse = 1 / torch.sqrt(variance + self._kind.eps)
        return (away * inverse).to(a.dtype), inverse.to(a.dtype)

    def forth(self, walk: Walk) -> Call:
        """See :class:`dagnet_torch.steps.OnTensors`."""
        z, bias, scale = walk.z[self.targets], walk.bias[self.targets], walk.theta[self.slots][:, None]
        return lambda: torch.addcmul(bias, scale, self._standardized(walk)[0], out=z)

    def back(self, walk: Walk) -> Call | None:
        """See :class:`dagnet_torch.steps.OnTensors`."""
        if not self.walked:
            return None
        d, da, scale, into = walk.d[self.targets], walk.da, walk.theta[self.slots][:, None], walk.into

        def run() -> None:
            x, inverse = self._standardized(walk)
            found = (d * x).sum(1, keepdim=True)
            into[self.slots] = found[:, 0]
            back = self._through(walk, d, (x, inverse), scale, found)
            da.index_copy_(0, self._sources, back)  # which alone read their sources

        return run

    def _through(self, walk: Walk, d: Any, moments: tuple[Any, Any], scale: Any, found: Any) -> Any:
        """∂L/∂a of the sources."""
        x, inverse = moments
        plain, along = walk.summed(torch.stack([d.sum(1, keepdim=True), found]))
        return scale * inverse * (d - walk.weights * (plain + x * along))


class Layer(Normalise):
    """x̂ over the units of each node, row by row."""

    def _nodes(self, values: Any) -> Any:
        return values.reshape(len(values) // self.step.source, self.step.source, values.shape[1])

    def _standardized(self, walk: Walk) -> tuple[Any, Any]:
        a = walk.a.index_select(0, self._sources)
        nodes = self._nodes(a.double())
        away = nodes - nodes.mean(1, keepdim=True)
        inverse = 1 / torch.sqrt((away * away).mean(1, keepdim=True) + self._kind.eps)
        x = (away * inverse).reshape(a.shape)
        return x.to(a.dtype), inverse.expand_as(away).reshape(a.shape).to(a.dtype)

    def _through(self, walk: Walk, d: Any, moments: tuple[Any, Any], scale: Any, found: Any) -> Any:
        del found
        pull = scale * d
        if type(self._kind) is not Normalization:  # which says at which points, by NumPy
            a = walk.a.index_select(0, self._sources).cpu().numpy()
            back = through_layer(self._kind, a, pull.cpu().numpy(), self.step.source)
            return torch.tensor(back, device=pull.device)
        (x, inverse), nodes = moments, self._nodes(pull)
        own = self._nodes(x)
        plain, along = nodes.mean(1, keepdim=True), (nodes * own).mean(1, keepdim=True)
        return inverse * (nodes - plain - own * along).reshape(x.shape)


class Thin(OnTensors):
    """Sums of which each term is dropped by a mask of its own."""

    def __init__(self, plan: Plan, step: Step, place: Place) -> None:
        super().__init__(plan, step, place)
        sources = plan.sources[step.slots]
        rates = numbers_of(plan, "term_dropout")[step.slots]
        targets = plan.indptr[step.target : step.target + step.n_target + 1]
        terms = targets[1:] - targets[:-1]
        self._sources, self._scatter = place.index(sources), Scatter(sources, place)
        owner = np.repeat(np.arange(len(terms)), terms)
        self._owner, self._sums = place.index(owner), Scatter(owner, place)
        self._factor = torch.tensor(1 / (1 - rates), dtype=place.dtype, device=place.device)[:, None]
        self.keys = Keys(numbers_of(plan, "term_numbers")[step.slots], rates, place.device)
        self.pushes = sources if self.walked else ()

    @property
    def makes(self) -> int:
        """See :class:`dagnet_torch.steps.OnTensors`; of terms, a portion of the rows at a time."""
        return 3 * self.step.n_target + 8 * min(len(self._sources), PORTION // 256)

    def _masks(self, walk: Walk) -> Any:
        """Some rows, and 0 or 1 / (1 − rate) of each term, (terms, rows)."""
        halves, n_rows = self.keys.halves(walk.key), walk.a.shape[1]
        size = max(1, PORTION // max(1, len(self._sources)))
        for first in range(0, n_rows, size):
            n = min(size, n_rows - first)
            mask = self.keys.kept(halves, walk.first + first, n)
            yield slice(first, first + n), mask, self._factor

    def forth(self, walk: Walk) -> Call:
        """See :class:`dagnet_torch.steps.OnTensors`."""
        z, bias, weights = walk.z[self.targets], walk.bias[self.targets], walk.theta[self.slots][:, None]

        def run() -> None:
            z.copy_(bias.expand_as(z))
            for rows, mask, factor in self._masks(walk):
                terms = weights * walk.a[:, rows].index_select(0, self._sources) * factor
                self._add(z, rows, torch.where(mask, terms, torch.zeros_like(terms)))

        return run

    def _add(self, z: Any, rows: slice, terms: Any) -> None:
        part = torch.zeros_like(z[:, rows])
        self._sums.add(part, terms)
        z[:, rows] += part

    def back(self, walk: Walk) -> Call | None:
        """See :class:`dagnet_torch.steps.OnTensors`."""
        if not self.walked:
            return None
        d, weights, into = walk.d[self.targets], walk.theta[self.slots][:, None], walk.into

        def run() -> None:
            found = torch.zeros_like(weights[:, 0])
            for rows, mask, factor in self._masks(walk):
                spread = d[:, rows].index_select(0, self._owner) * factor
                spread = torch.where(mask, spread, torch.zeros_like(spread))
                found += (spread * walk.a[:, rows].index_select(0, self._sources)).sum(1)
                part = torch.zeros_like(walk.da[:, rows])
                self._scatter.add(part, weights * spread)
                walk.da[:, rows] += part
            into[self.slots] = found

        return run
