"""What engines promise: prepare a plan, run it forward and backward, and perhaps learn where they live."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts.losses import Loss
from dagnet.contracts.optimizer import Optimizer
from dagnet.errors import PluginError


class Unsupported(PluginError):
    """An engine's word that it cannot run a plan; ``auto`` then asks the next engine."""


class State:
    """What one forward (and backward) pass left behind; its layout is the engine's own."""

    @property
    def outputs(self) -> Array:
        """Values of the output units, (rows, output units)."""
        raise NotImplementedError

    def value(self, units: Array) -> Array:
        """Values a of some units, (units, rows)."""
        raise NotImplementedError

    def pre_activation(self, units: Array) -> Array:
        """Pre-activations z of some units, (units, rows)."""
        raise NotImplementedError

    def delta(self, units: Array) -> Array:
        """∂loss/∂z of some units after a backward pass, (units, rows)."""
        raise NotImplementedError


class NotFinite(ArithmeticError):
    """A learner's word that a number became NaN or infinite; the parameters are those before the step.

    ``value`` is the loss, or the gradient or the new parameters, (parameters,), or the batch's
    variances, (units,).
    """

    def __init__(self, what: Literal["loss", "gradient", "parameters", "moments"], value: Any) -> None:
        super().__init__(what, value)
        self.what, self.value = what, value


class Learner:
    """Holds the rows, the parameters and the optimizer's vectors of a run, and learns from batches.

    They live where the learner likes: in NumPy's arrays, on a device, in several processes.
    """

    steps: int = 0
    """How many steps were made."""
    takes_several: bool = False
    """Whether :meth:`several` may make any."""
    masks: int = 0
    """The seed of dropout's masks, which ``fit`` sets; those of a step are drawn by
    :func:`dagnet.hashing.step_key` of it and of :attr:`steps`."""

    def step(
        self, rows: Array | slice, learning_rate: float, on_gradient: Callable[[Array], None] | None = None
    ) -> float:
        """Learn from some rows, by their numbers; their loss before, penalties included.

        ``on_gradient`` is called between backward and step with the gradient (parameters,) of the
        loss, 0 where frozen, as an array of NumPy; what it writes there is learned from.

        Raises
        ------
        NotFinite
            If a NaN or an infinity arose.
        """
        raise NotImplementedError

    def several(self, rows: Array, starts: Array, batches: tuple[int, int], learning_rate: float) -> Array:
        """Learn from some batches in one go; the losses of as many as were made, from the first on.

        ``rows`` are row numbers, epoch after epoch; of each, batch k begins at ``starts[k]``, and the last
        one ends at ``starts[-1]``.  ``batches``: the number of the first, and how many.  What is left is
        learned from by :meth:`step`, which says what is wrong where something is.
        """
        del rows, starts, batches, learning_rate
        return np.zeros(0)

    def parts(self) -> Any:
        """Of the heads, in the last step, Σwℓ and Σw, where there are several; None if it does not say."""
        return None

    def parameters(self) -> Array:
        """The numbers of ``model.vector`` as they are now; that vector itself, or a copy."""
        raise NotImplementedError

    def state(self) -> Mapping[str, Array]:
        """The optimizer's vectors as they are now, by name."""
        raise NotImplementedError

    def restore(self, parameters: Array, state: Mapping[str, Array], steps: int) -> None:
        """Take back what :meth:`parameters` and :meth:`state` gave after so many steps.

        ``fit`` calls it for a resume, and where a callback has written to the network's parameters.
        """
        raise NotImplementedError


@dataclass(eq=False)
class Draw:
    """What a step of training has beside its rows, for plans that train otherwise than they predict.

    Attributes
    ----------
    key
        64 bits by which masks are drawn (:mod:`dagnet.hashing`).
    weights
        (rows,) the share of each row in the moments; they add up to 1.
    mean, variance
        (units,) the moments that the forward pass found, of the source of each normalised unit.
    first
        The number of the first row, to masks.
    whole
        Of sums over these rows, an array, those over all rows of the batch, which several share; every
        engine calls it for each moment and for each derivative by one, in the order of the plan.
    """

    key: int
    weights: Array
    mean: Array = field(init=False)
    variance: Array = field(init=False)
    first: int = 0
    whole: Callable[[Array], Array] | None = None

    def summed(self, sums: Array) -> Array:
        """Sums over all rows of the batch from those over the rows at hand."""
        return sums if self.whole is None else self.whole(sums)


class Group(Protocol):
    """Who learns from one batch together; ``fit(distributed=…)`` takes one, dagnet-torch brings some.

    All of them call the same methods in the same order.
    """

    rank: int
    """Which process this is; the first, 0, alone writes and shows."""

    def gradient(self, model: Any, make: Callable[[], LossGradient]) -> Any:
        """Of what ``make`` gives, a :class:`LossGradient`, one that several call.

        It is given all targets and factors of a batch, its inputs for the rows ``own(rows)`` alone, a slice,
        and writes ∂L/∂ by parameter, (parameters,).
        """

    def alike(self, run: Any) -> None:
        """Refuse, by their ranks, those whose run of ``fit`` begins with something else."""

    def agreed(self, numbers: Array, alike: Array, wrong: str) -> Array:
        """(processes, n) the numbers of all; refuse ranks that have ``wrong``: not the first's array."""

    def leave(self, error: BaseException) -> None:
        """The run of this process has ended by an error that others may not have: no more runs together."""


Steps = Callable[..., Array]
"""``steps(theta, state, (rows, starts, *batches), (step, learning_rate, most))``: as :meth:`Learner.several`,
where ``theta`` are all parameters, ``state`` the optimizer's vectors, and ``step`` the number of the first.
It ends before a step whose loss is not finite or whose gradient's squares add up to more than ``most``."""


@dataclass(frozen=True, eq=False)
class Compressed:
    """Rows of which only some numbers are kept; taken like an array's by a slice or by their numbers.

    Row r has ``numbers[k]`` in column ``columns[k]`` for starts[r] ≤ k < stops[r], and in all others what
    ``absent`` (input units,) says.  A column is there at most once.
    """

    starts: Array
    stops: Array
    columns: Array
    numbers: Array
    absent: Array

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, rows: Any) -> Compressed:
        return replace(self, starts=self.starts[rows], stops=self.stops[rows])

    def addresses(self) -> Array:
        """Where the five begin."""
        return np.array([array.ctypes.data for array in vars(self).values()])


class LossGradient:
    """Forward, loss and backward as one call.

    It owns its memory, which the next call overwrites: each run of steps asks for one of its own.
    Where the plan is one for training, ``draw`` is set before each call.
    """

    draw: Draw | None = None
    reads_compressed: ClassVar[bool] = False
    """Whether ``inputs`` may be :class:`Compressed`, too."""

    def __call__(
        self, theta: Array, inputs: Array, targets: Array, factor: Array, *, into: Array
    ) -> tuple[float, float | None]:
        """L = Σ factor·ℓ, and what :meth:`Runner.backward` returns; ∂L/∂theta is written to ``into``.

        ``theta``, ``into`` (slots,), ``inputs`` (rows, input units), ``targets`` (rows, output
        units), ``factor`` (rows,), all in the runner's dtype.  Where L is not finite ``into`` may hold
        anything.
        """
        raise NotImplementedError

    def stepping(self, update: Any, inputs: Array, targets: Array, size: int) -> Steps | None:
        """Steps over batches of up to ``size`` of all rows as one call; None where there is no such thing.

        ``update`` is what :meth:`Engine.fused_step` gave.
        """
        del update, inputs, targets, size
        return None


class Heads(NamedTuple):
    """Parts of heads with the same loss and width.

    ``heads`` (parts,) whose they are; ``units``, ``columns`` (parts, width) places of outputs and of targets.
    """

    loss: Loss
    heads: Array
    units: Array
    columns: Array


class Runner:
    """A plan made ready to run; callable from several threads at once.

    A subclass has :meth:`forward` and :meth:`backward`; what else there is may be done faster.
    """

    reads_compressed: ClassVar[bool] = False
    """Whether :meth:`evaluate` takes :class:`Compressed` inputs, too."""
    reads_columns: ClassVar[bool] = False
    """Whether :meth:`evaluate` takes inputs that lie column by column, too."""

    def forward(self, theta: Array, inputs: Array, *, keep: bool = True, reuse: Any = None) -> Any:
        """Evaluate: ``theta`` (slots,), ``inputs`` (rows, input units) -> a :class:`State`.

        Of a plan for training (:func:`dagnet.plan.training_plan`) it takes a ``draw``, too, and writes
        the moments there; an engine that has none raises :class:`Unsupported` where it is prepared.

        ``keep=False`` promises that only ``outputs`` will be read; ``reuse``, the state of an
        earlier call, gives its memory away.
        """
        raise NotImplementedError

    def backward(self, theta: Array, state: Any, output_gradient: Array, *, into: Array) -> float | None:
        """Walk back from ∂loss/∂outputs (rows, output units); ∂loss/∂theta is written to ``into``.

        Returns a number not below the sum of the squares written, where the engine has one at hand,
        else None: training need not read a gradient that is known to be small.
        """
        raise NotImplementedError

    def evaluate(self, theta: Array, inputs: Array) -> Array | None:
        """The outputs alone, (rows, output units); None to be asked by :meth:`forward`, as for NaN inputs."""
        del theta, inputs
        return None

    def evaluate_cones(self, theta: Array, state: Any, cones: Any, given: Array, unit: int) -> Array | None:
        """What a unit has, (cones, rows), where some values of a state are others; None: by the textbook.

        ``cones`` are :class:`dagnet.plan.cones.Cones`, ``given`` the values of their units, (units, rows).
        """
        del theta, state, cones, given, unit
        return None

    def fused_gradient(self, loss: Loss) -> LossGradient:
        """Forward, loss and backward as one call."""
        return ThreeCalls(self, loss)

    def heads_gradient(self, blocks: Sequence[Heads]) -> Callable[..., Any] | None:
        """The same for several heads or missing labels; None: their losses run through NumPy.

        ``f(theta, inputs, targets, weights, shares, draw=, into=)`` gives Σwℓ of each part over the rows with
        all its labels, (parts,), and a bound as above; ``into`` gets ∂(Σ share·Σwℓ)/∂theta.  ``targets``
        (rows, columns of y) are NaN where missing, ``weights`` (rows, 1 or heads), ``shares`` (parts,).
        """
        del blocks
        return None

    def learner(self, model: Any, data: Any, settings: Any) -> Learner | None:
        """A learner of the engine's own for one run of ``fit``; None: NumPy's arrays will do.

        ``model``: the network; ``data``: its rows (``inputs[:]`` is an array); ``settings``: of ``fit``.
        """
        del model, data, settings
        return None

    def notes(self) -> Mapping[str, str]:
        """What the plan's listing should say of an activation, by its call form."""
        return {}


class ThreeCalls(LossGradient):
    """A :class:`LossGradient` of forward, loss and backward, the loss in NumPy."""

    def __init__(self, runner: Runner, loss: Loss) -> None:
        self._runner, self._loss = runner, loss
        self._state: Any = None

    def __call__(
        self, theta: Array, inputs: Array, targets: Array, factor: Array, *, into: Array
    ) -> tuple[float, float | None]:
        """See :class:`LossGradient`."""
        more: dict[str, Any] = {} if self.draw is None else {"draw": self.draw}
        state = self._state = self._runner.forward(theta, inputs, reuse=self._state, **more)
        loss, pull = self._judged(state.outputs, targets, factor)
        return loss, self._runner.backward(theta, state, pull, into=into)

    def _judged(self, outputs: Array, targets: Array, factor: Array) -> tuple[float, Array]:
        """The loss, and its derivative for the outputs."""
        values = counting(self._loss.row_values(outputs, targets), factor)
        loss = float(np.dot(values.astype(np.float64), factor.astype(np.float64)))
        return loss, weighted_gradient(self._loss, outputs, targets, factor)


def counting(values: Array, weights: Array) -> Array:
    """The values, 0 where they weigh nothing: 0 times infinity is no number."""
    if np.count_nonzero(weights) == weights.size:
        return values
    result: Array = np.where(weights == 0, values.dtype.type(0), values)
    return result


def weighted_gradient(loss: Loss, outputs: Array, targets: Array, factor: Array) -> Array:
    """∂(Σ factor·ℓ)/∂outputs, (rows, output units)."""
    weights = factor[:, None]
    pull = counting(loss.row_gradients(outputs, targets), weights) * weights
    result: Array = pull.astype(factor.dtype, casting="same_kind", copy=False)
    return result


class Engine(Protocol):
    """What executes plans.

    >>> import dagnet
    >>> dagnet.engines()["reference"].unavailable() is None
    True
    """

    name: str
    priority: int
    """``engine="auto"`` tries the available engine with the highest priority first."""

    def unavailable(self) -> str | None:
        """Why the engine cannot run on this machine, or None where it can."""

    def prepare(self, plan: Any, *, dtype: Any, threads: int) -> Any:
        """A :class:`Runner` for a :class:`dagnet.plan.Plan`; raises :class:`Unsupported`."""

    def fused_step(self, optimizer: Optimizer, *, dtype: Any, threads: int) -> Callable[..., None] | None:
        """The optimizer's :meth:`Optimizer.step` as one fused pass, or None."""
