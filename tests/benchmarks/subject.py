"""dagnet, as the benchmarks call it: the only module here that knows its names."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .graphs import Missing, Wiring, to_digraph
from .oracle import Answer

try:
    import dagnet
except ImportError as error:  # pragma: no cover - run from the repository's root
    dagnet, _why = None, error
else:
    _why = None

ENGINE = os.environ.get("DAGNET_BENCHMARK_ENGINE", "compiled")
PLUGINS = Path(__file__).parents[2] / "plugins"


def settings(threads: int, engine: str = ENGINE) -> dict[str, Any]:
    if dagnet is None:
        raise Missing(f"dagnet cannot be imported: {_why}")
    name = engine.partition("(")[0]  # a call form such as torch(device='cuda')
    if name == "torch":
        need_torch_engine()
    if name != "auto" and name not in dagnet.engines():
        raise Missing(f"dagnet has no engine {engine!r}")
    return {"dtype": "float32", "engine": engine, "threads": threads, "seed": 0}


def plugin(name: str) -> Any:
    """A plugin's module, installed or in plugins/."""
    folder = PLUGINS / name / "src"
    if folder.is_dir() and str(folder) not in sys.path:
        sys.path.append(str(folder))
    try:
        return importlib.import_module(name.replace("-", "_"))
    except ImportError as error:
        raise Missing(f"the plugin {name} is not here: {error}") from error


def need_torch_engine() -> None:
    """Have the plugin's engine, which needs PyTorch."""
    module = plugin("dagnet-torch")
    if "torch" not in dagnet.engines():
        dagnet.register(module)
    if reason := dagnet.engines()["torch"].unavailable():
        raise Missing(reason)


def build(wiring: Wiring, threads: int = 1, engine: str = ENGINE) -> Any:
    """The network with the wiring's weights, biases and activations."""
    if isinstance(wiring.activation, tuple):
        return dagnet.Network(to_digraph(wiring), **settings(threads, engine))
    net = dagnet.Network.from_arrays(
        wiring.sources,
        wiring.targets,
        wiring.weights,
        inputs=range(wiring.n_inputs),
        outputs=wiring.outputs.tolist(),
        activation=wiring.activation,
        **settings(threads, engine),
    )
    net.parameters[bias_places(net, wiring)] = wiring.biases[wiring.n_inputs :]
    return net


def bias_places(net: Any, wiring: Wiring) -> np.ndarray:
    """Where the computed nodes' biases are in the flat vector."""
    nodes = np.array([net.topology.index[n] for n in range(wiring.n_inputs, wiring.n_nodes)])
    return net.plan.bias_slot[net.layout.first_unit[nodes]]


def weight_places(net: Any, wiring: Wiring) -> np.ndarray:
    """Where the wiring's edges have their weights in the flat vector."""
    names = np.array(net.topology.nodes, dtype=np.int64)
    theirs = names[net.topology.targets] * wiring.n_nodes + names[net.topology.sources]
    order = np.argsort(theirs)
    ours = wiring.targets * wiring.n_nodes + wiring.sources
    return net.layout.weights[order[np.searchsorted(theirs[order], ours)]]


def split(net: Any, wiring: Wiring, loss: float, flat: np.ndarray) -> Answer:
    """A flat gradient in the wiring's order."""
    biases = np.zeros(wiring.n_nodes)
    biases[wiring.n_inputs :] = flat[bias_places(net, wiring)]
    return Answer(loss, flat[weight_places(net, wiring)], biases)


class Step:
    """Loss and gradient as ``fit`` asks the engine for them: what a bare PyTorch step does, no more."""

    def __init__(self, net: Any, X: np.ndarray, y: np.ndarray) -> None:
        self.net, self.theta, self.loss_gradient = (
            net,
            net.layout.by_slot(net.parameters),
            net.runner.fused_gradient(net.loss),
        )
        self.X, self.y = np.ascontiguousarray(X), np.ascontiguousarray(y)
        self.gradient = np.zeros(len(self.theta), np.float32)
        self.factor = np.full(len(X), 1 / len(X), np.float32)

    def __call__(self) -> float:
        loss, _ = self.loss_gradient(self.theta, self.X, self.y, self.factor, into=self.gradient)
        return loss


class ResidentSteps:
    """Steps of Adam by an engine's own learner, which has data, parameters and moments where it likes."""

    def __init__(
        self, wiring: Wiring, X: np.ndarray, y: np.ndarray, batch: int, engine: str, rate: float
    ) -> None:
        from dagnet.training import Rows, Settings

        self.net, self.rate = build(wiring, 1, engine), rate
        how = Settings(batch_size=batch, optimizer="adam", learning_rate=rate)
        self.learner = self.net.runner.learner(self.net, Rows(X, y, None), how)

    def __call__(self, rows: np.ndarray) -> float:
        return self.learner.step(rows, self.rate)


class RawStep(Step):
    """A step on a wiring, which can be judged."""

    def __init__(
        self, wiring: Wiring, X: np.ndarray, y: np.ndarray, threads: int = 1, engine: str = ENGINE
    ) -> None:
        super().__init__(build(wiring, threads, engine), X, y)
        self.wiring = wiring

    def answer(self) -> Answer:
        loss = self()
        return split(self.net, self.wiring, loss, self.gradient)

    def fault(self) -> str | None:
        """Values and gradient against the reference engine, for activations that the oracle lacks."""
        runner, results = self.net.runner, []
        error = runner.forward(self.theta, self.X).outputs - self.y
        for dtype in ("float32", "float64"):
            if dtype == "float64":
                runner = dagnet.engines()["reference"].prepare(
                    self.net.plan, dtype=np.dtype(dtype), threads=1
                )
            theta, pull = self.theta.astype(dtype), (2 * error / len(error)).astype(dtype)
            state = runner.forward(theta, self.X.astype(dtype))
            into = np.zeros(len(theta), dtype)
            runner.backward(theta, state, pull, into=into)
            results.append((np.array(state.outputs, float), into.astype(float)))
        for ours, theirs in zip(*results, strict=True):
            off = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
            if not off <= 2e-3:
                return f"wrong: {off:.1e} off the reference engine"
        return None


class PublicGradient:
    """``net.gradient(X, y)``: the same by the public call, checks and names included."""

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray, threads: int = 1) -> None:
        self.wiring, self.net, self.X, self.y = wiring, build(wiring, threads), X, y

    def __call__(self) -> Any:
        return self.net.gradient(self.X, self.y)

    def answer(self) -> Answer:
        gradient = self()
        return split(self.net, self.wiring, gradient.loss, np.asarray(gradient.flat))


def fit(net: Any, X: np.ndarray, y: np.ndarray, **arguments: Any) -> Any:
    """``net.fit`` without a progress bar."""
    return net.fit(X, y, progress=False, **arguments)


class BareSteps:
    """Batches in order through runner and optimizer, nothing around: what ``fit`` is held against."""

    def __init__(self, net: Any, X: np.ndarray, y: np.ndarray, batch: int, rate: float) -> None:
        self.net, self.X, self.y, self.batch, self.rate = net, X, y, batch, rate
        optimizer = dagnet.optimizers()["adam"]
        optimizer = optimizer() if isinstance(optimizer, type) else optimizer
        fused = dagnet.engines()[net.engine].fused_step(optimizer, dtype=net.dtype, threads=net.threads)
        self.move, self.moments = fused or optimizer.step, optimizer.start(net.parameters)
        self.gradient = np.zeros(net.plan.n_slots, np.float32)
        self.loss_gradient, self.count = net.runner.fused_gradient(net.loss), 0

    def __call__(self) -> None:
        theta = self.net.parameters
        for k in range(0, len(self.X), self.batch):
            X, y = self.X[k : k + self.batch], self.y[k : k + self.batch]
            self.loss_gradient(theta, X, y, np.full(len(X), 1 / len(X), np.float32), into=self.gradient)
            self.count += 1
            self.move(theta, self.gradient, self.moments, step=self.count, learning_rate=self.rate)


def layer_matrices(net: Any, sizes: tuple[int, ...], *, units: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights (in, out) and biases of each layer of a perceptron, copied."""
    layout, flat, found = net.layout, net.parameters, []
    offsets = np.cumsum([0, *sizes])
    topology = net.topology
    for layer, (a, b) in enumerate(pairwise(sizes)):
        if units:
            W = net.weights[f"layer{layer}", f"layer{layer + 1}"].T.copy()
            found.append((W, np.array(net.biases[f"layer{layer + 1}"])))
            continue
        W = np.empty((a, b), np.float32)
        mine = (topology.targets >= offsets[layer + 1]) & (topology.targets < offsets[layer + 2])
        rows, columns = topology.sources[mine] - offsets[layer], topology.targets[mine] - offsets[layer + 1]
        W[rows, columns] = flat[layout.weights[mine]]
        nodes = layout.first_unit[offsets[layer + 1] : offsets[layer + 2]]
        found.append((W, flat[net.plan.bias_slot[nodes]]))
    return found


def from_digraph(graph: Any, threads: int, **arguments: Any) -> Any:
    return dagnet.Network(graph, **settings(threads), **arguments)


def from_arrays(sources: np.ndarray, targets: np.ndarray, threads: int) -> Any:
    return dagnet.Network.from_arrays(sources, targets, **settings(threads))


def step_of(net: Any, rows: int) -> Any:
    """Forward, loss and backward of any network on random data, as a call."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((rows, net.plan.n_inputs), dtype=np.float32)
    y = rng.standard_normal((rows, len(net.plan.outputs)), dtype=np.float32)
    return Step(net, X, y)


def snake() -> Any:
    """The activation of plugins/dagnet-example, whose derivative dagnet derives."""
    return plugin("dagnet-example").dagnet_activations()[0]


def layered(sizes: tuple[int, ...], threads: int, *, activation: Any = "relu", **arguments: Any) -> Any:
    return dagnet.Network(dagnet.layered(sizes, activation=activation), **settings(threads), **arguments)


def loss(value: Callable[..., Any], gradient: Callable[..., Any] | None = None, **arguments: Any) -> Any:
    return dagnet.Loss(value.__name__, value, gradient, **arguments)


def outputs_alone(width: int, loss: Any, threads: int) -> Any:
    """A network whose outputs are its inputs: nothing to compute but the loss.

    (A graph has an edge: here one from the first input to a node that nobody asks for.)
    """
    places = list(range(width))
    return dagnet.Network.from_arrays(
        np.array([0]), np.array([width]), inputs=places, outputs=places, loss=loss, **settings(threads)
    )


class Loading:
    """The forward pass of a step alone: in a network of :func:`outputs_alone`, taking the rows in."""

    def __init__(self, net: Any, X: np.ndarray) -> None:
        self.net, self.theta, self.X = net, net.layout.by_slot(net.parameters), np.ascontiguousarray(X)
        self.state = None

    def __call__(self) -> None:
        self.state = self.net.runner.forward(self.theta, self.X, reuse=self.state)


class NumpyLoss:
    """A loss's value and gradient by its own NumPy functions, on given outputs."""

    def __init__(self, loss: Any, outputs: np.ndarray, targets: np.ndarray) -> None:
        self.loss, self.outputs, self.targets = loss, outputs, targets

    def __call__(self) -> tuple[np.ndarray, np.ndarray]:
        values = self.loss.row_values(self.outputs, self.targets)
        return values, self.loss.row_gradients(self.outputs, self.targets)


class DenseStep(Step):
    """A step on one dense layer and a loss, which can be judged."""

    def __init__(
        self, start: tuple[np.ndarray, np.ndarray], loss: str, X: np.ndarray, y: np.ndarray, threads: int
    ) -> None:
        weights, biases = start
        n_outputs, n_inputs = weights.shape
        outputs = np.arange(n_outputs) + n_inputs
        net = dagnet.Network.from_arrays(
            np.tile(np.arange(n_inputs), n_outputs),
            np.repeat(outputs, n_inputs),
            weights.ravel(),
            inputs=range(n_inputs),
            outputs=outputs.tolist(),
            loss=loss,
            **settings(threads),
        )
        layout, topology = net.layout, net.topology
        places = np.empty(weights.shape, np.int64)
        places[topology.targets - n_inputs, topology.sources] = layout.weights
        self.places = places
        self.bias_places = net.plan.bias_slot[layout.first_unit[outputs]]
        net.parameters[self.bias_places] = biases
        super().__init__(net, X, y)

    def answer(self) -> list[Any]:
        """Loss and gradients."""
        loss = self()
        return [loss, self.gradient[self.places], self.gradient[self.bias_places]]
