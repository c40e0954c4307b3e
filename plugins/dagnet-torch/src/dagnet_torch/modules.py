"""A network as a module of PyTorch: a layer of a larger model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from dagnet.contracts import MOMENTS
from dagnet.errors import DagnetError, DataError, Verbatim, expected
from dagnet.hashing import step_key
from dagnet.model import Model
from dagnet.model.naming import ParameterName, ParameterNames
from dagnet.plan import training_plan
from dagnet_torch.functions import Place
from dagnet_torch.walks import Program, Walk


class DagModule(nn.Module):
    """A network whose numbers are parameters of PyTorch, copied; differentiable in X, once.

    ``forward(X)`` takes (rows, input units) as ``net(X)`` does, centred and scaled in here, and gives the
    values of the output units, (rows, output units); what a loss makes of them (``net.predict``) is up to
    you.  Derivatives are those of the formulas, by one walk back over the plan; a derivative of them is
    refused, and ``torch.func`` does not go through.

    In ``train()`` dropout drops, by ``torch``'s seed, and normalisations take the moments of the rows and
    move the running ones; in ``eval()`` the module does what ``net(X)`` does.

    Parameters
    ----------
    net
        A :class:`dagnet.Network`, of any engine.  It does not change before :meth:`write_back`.

    Attributes
    ----------
    weights, biases
        Parameters: of what is shared one number, in the order of ``net.parameters``; :meth:`names` says
        whose.  One that has no number is None.
    node_parameters
        The same of what else nodes learn, by name: ``slope``, ``scale``, ``shift`` ….
    frozen
        A buffer: what does not learn.
    mean, variance
        Buffers: the running statistics of normalisations over rows, where there are some.

    Examples
    --------
    >>> import dagnet, dagnet_torch, torch
    >>> net = dagnet.Network(dagnet.layered([3, 4, 1], activation="tanh"), seed=0)
    >>> layer = dagnet_torch.module(net)
    >>> layer.weights.shape, layer(torch.zeros(2, 3, dtype=torch.float64)).shape
    (torch.Size([16]), torch.Size([2, 1]))
    """

    frozen: Any
    mean: Any
    variance: Any

    def __init__(self, net: Model) -> None:
        super().__init__()
        if not isinstance(net, Model):
            raise DataError(expected("dagnet_torch.module: net", "a dagnet.Network", net))
        net.refresh()
        self._net, layout, vector = net, net.layout, torch.tensor(np.array(net.vector))
        self._programs: dict[Any, Program] = {}
        self._places = dict(_groups(layout))
        numbers = {name: nn.Parameter(vector[places]) for name, places in self._places.items()}
        self.weights, self.biases = numbers.pop("weights", None), numbers.pop("biases", None)
        self.node_parameters = nn.ParameterDict(numbers)
        frozen = np.flatnonzero(~layout.trainable)
        self.register_buffer("frozen", vector[frozen])
        places = np.concatenate([*self._places.values(), frozen])
        self._hold(order=np.argsort(places), owners=layout.owners, factor=layout.factor)
        center, scale = net.prepared.standardisation or (None, None)
        self._hold(center=center, scale=scale)
        self._normalized = own = layout.normalized
        if own is not None and len(own.folds):
            self.register_buffer("mean", vector[own.mean])
            self.register_buffer("variance", vector[own.variance])
            self._hold(scales=own.scale[own.folds], shifts=own.shift[own.folds], units=own.units)
            self._hold(eps=own.eps, momentum=own.momentum)
        else:
            self._normalized = None
        self._program(training=False)

    def _hold(self, **arrays: Any) -> None:
        """Keep arrays as tensors that follow the module, numbers in its type, and stay out of its state."""
        for name, array in arrays.items():
            if array is None:  # torch.export counts buffers that are None as if they were there
                setattr(self, f"_{name}", None)
                continue
            kind = torch.int64 if array.dtype.kind == "i" else self.frozen.dtype
            self.register_buffer(f"_{name}", torch.tensor(array, dtype=kind), persistent=False)

    def forward(self, X: Any) -> Any:
        """Values of the output units, (rows, output units), of (rows, input units)."""
        plan = self._net.layout.plan
        self._check(X, plan.n_inputs)
        if self._center is not None:
            X = (X - self._center) / self._scale
        otherwise = self.training and plan.trains_otherwise
        slots = self._slots()
        if self._normalized is not None and not otherwise:
            slots = self._folded(slots)
        if self._normalized is not None and otherwise and len(X) < 2:
            raise DataError(
                expected(
                    "module: X",
                    "at least two rows in train(), to normalise over",
                    Verbatim("one" if len(X) else "none"),
                )
            )
        program = self._program(training=otherwise)
        if torch.compiler.is_exporting():
            with torch.no_grad():
                return _walked(program, slots, X, None).forward().T
        outputs, walk = _differentiable(
            program, slots, X, int(torch.randint(2**62, ())) if otherwise else None
        )
        if otherwise and self._normalized is not None:
            self._keep(walk)
        return outputs

    def _check(self, X: Any, width: int) -> None:
        here = self.frozen.dtype, self.frozen.device
        if not isinstance(X, torch.Tensor) or X.ndim != 2 or X.shape[1] != width:
            got = tuple(X.shape) if isinstance(X, torch.Tensor) else X
            raise DataError(expected("module: X", f"a tensor (rows, {width})", got))
        if (X.dtype, X.device) != here:
            must, mend = "{} on {}, as the module is".format(*here), "X.to(…), or module.to(…)"
            raise DataError(expected("module: X", must, Verbatim(f"{X.dtype} on {X.device}"), mend))

    def _parameters_in_order(self) -> Iterator[tuple[str, Any]]:
        for name in self._places:
            own = getattr(self, name) if name in {"weights", "biases"} else self.node_parameters[name]
            yield name, own

    def _slots(self) -> Any:
        parts = [own for _, own in self._parameters_in_order()]
        slots = torch.cat([*parts, self.frozen])[self._order][self._owners]
        return slots if self._factor is None else slots * self._factor

    def _folded(self, slots: Any) -> Any:
        """With scale · a + shift the normalisation by the running statistics."""
        scale = slots[self._scales] / torch.sqrt(self.variance + self._eps)
        folded = slots.index_copy(0, self._scales, scale)
        return folded.index_copy(0, self._shifts, slots[self._shifts] - self.mean * scale)

    @torch.no_grad()
    def _keep(self, walk: Walk) -> None:
        """Move the running statistics towards the rows'; their variances are the unbiased ones."""
        unbiased = walk.variance[self._units] / (1 - 1 / walk.rows)
        for running, new in ((self.mean, walk.mean[self._units]), (self.variance, unbiased)):
            running.add_((self._momentum * (new - running)).to(running.dtype))

    def _apply(self, *arguments: Any, **options: Any) -> Any:
        """Where the module moves, the program follows: an export must find it made."""
        super()._apply(*arguments, **options)
        self._program(training=False)
        return self

    def _program(self, *, training: bool) -> Program:
        """The program of the plan where the module is, with the δ of inputs."""
        key = training, self.frozen.dtype, self.frozen.device
        if key not in self._programs:
            plan = self._net.layout.plan
            plan = training_plan(plan) if training else plan
            plan = plan.restrict(deltas=np.arange(plan.n_units) < plan.n_inputs)
            self._programs[key] = Program(plan, Place(self.frozen.dtype, self.frozen.device))
        return self._programs[key]

    def names(self, parameter: str) -> list[ParameterName]:
        """Whose the numbers of ``"weights"``, ``"biases"`` or of one of ``node_parameters`` are.

        Of a shared one it is the first.  Each has ``.name``, an edge (parent, child) or a node, and
        ``.element`` where that has several.
        """
        if parameter not in self._places:
            raise DataError(expected("names", f"one of {', '.join(self._places)}", parameter))
        table = ParameterNames(self._net.layout)
        return [table[place] for place in self._places[parameter].tolist()]

    @torch.no_grad()
    def project(self) -> None:
        """Bring each number inside its ``bounds`` and ``sign``, as ``fit`` does after a step."""
        layout = self._net.layout
        if layout.limits is None:
            return
        low, high = (torch.tensor(limit) for limit in layout.limits_in(self._net.dtype))
        for name, own in self._parameters_in_order():
            places = self._places[name]
            own.copy_(own.clamp(low[places].to(own), high[places].to(own)))

    def write_back(self) -> Any:
        """Write the numbers into the network, all or none; returns it.

        Raises
        ------
        DataError
            If one is not finite in the network's type, or outside its bounds.
        """
        net, layout = self._net, self._net.layout
        vector = np.array(net.vector)
        with np.errstate(over="ignore"):
            for name, own in self._parameters_in_order():
                vector[self._places[name]] = own.detach().cpu().numpy()
            if self._normalized is not None:
                vector[layout.normalized.mean] = self.mean.cpu().numpy()
                vector[layout.normalized.variance] = self.variance.cpu().numpy()
        low, high = layout.limits_in(net.dtype) if layout.limits is not None else (-np.inf, np.inf)
        learned = vector[: layout.plan.n_parameters]
        for bad, must, mend in (
            (~np.isfinite(vector), f"finite in {net.dtype}", "lower the learning rate"),
            ((learned < low) | (learned > high), "inside its bounds", "call project() after each step"),
        ):
            if bad.any():
                place = int(np.flatnonzero(bad)[0])
                known = place < layout.plan.n_parameters
                where = str(ParameterNames(layout)[place]) if known else "a running statistic"
                raise DataError(expected(f"write_back: {where}", must, float(vector[place]), mend))
        net.vector[:] = vector
        return net

    def __deepcopy__(self, memo: dict[int, Any]) -> DagModule:
        """A copy for the same network, with numbers of its own."""
        twin = DagModule(self._net).to(self.frozen.device, self.frozen.dtype)
        twin.load_state_dict(self.state_dict())
        memo[id(self)] = twin
        return twin.train(self.training)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_programs": {}}

    def extra_repr(self) -> str:
        """What ``print`` shows of it."""
        plan = self._net.layout.plan
        return f"{plan.n_inputs} inputs, {plan.n_units} units, {len(plan.outputs)} outputs"


class _OverPlan(torch.autograd.Function):
    """A walk over a plan: forth by the formulas, back by their derivatives."""

    @staticmethod
    def forward(ctx: Any, slots: Any, X: Any, program: Program, more: tuple[int | None, list[Walk]]) -> Any:
        """Outputs (rows, output units); the walk is left in a list."""
        draw, left = more
        ctx.walk = _walked(program, slots, X, draw)
        left.append(ctx.walk)
        return ctx.walk.forward().T.contiguous()

    @staticmethod
    def backward(ctx: Any, pull: Any) -> Any:
        """∂/∂slots and ∂/∂X; with a graph of their own they would be taken for constants."""
        if torch.is_grad_enabled():
            raise DagnetError(
                "dagnet_torch.module: there is no derivative of its derivative; leave out create_graph=True, "
                "or take differences of first derivatives"
            )
        slots = ctx.walk.backward(pull.T)
        inputs = ctx.walk.d[: ctx.walk.program.plan.n_inputs]
        return slots.clone(), inputs.T.clone(), None, None


@torch.compiler.disable
def _differentiable(program: Program, slots: Any, X: Any, draw: int | None) -> tuple[Any, Walk]:
    """Outputs, and the walk; ``torch.compile`` of a larger model calls it as it is."""
    left: list[Walk] = []
    return _OverPlan.apply(slots, X, program, (draw, left)), left[0]


def _walked(program: Program, slots: Any, X: Any, draw: int | None) -> Walk:
    """Memory with parameters and rows in it."""
    walk = Walk(program, X.shape[0])
    if draw is not None:
        walk.key = step_key(draw, 0)
        walk.weights = torch.full((X.shape[0],), 1 / X.shape[0], dtype=X.dtype, device=X.device)
    walk.load(slots, X)
    return walk


def _groups(layout: Any) -> Iterator[tuple[str, Any]]:
    """Names of what learns, and its places in the network's vector."""
    known = {"weights": layout.weights, "biases": layout.biases[layout.biases >= 0]}
    more = (name for name in layout.topology.node_starts if name not in MOMENTS)
    known |= {name: layout.node_places(name) for name in more}
    for name, places in known.items():
        learning = np.unique(places[layout.trainable[places]])
        if len(learning):
            yield name, learning
