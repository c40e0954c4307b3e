"""What an optimizer must do, one check a sentence."""

from __future__ import annotations

import copy
from dataclasses import FrozenInstanceError, fields, is_dataclass
from functools import partial
from typing import Any

import networkx as nx
import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Optimizer
from dagnet.network import Network
from dagnet.registry import find_optimizer
from dagnet.testing.outcomes import DTYPES, copy_checks, must, same_bits

SIZE, STEPS = 24, 5
LIVELY = {"momentum": 0.9, "weight_decay": 0.1}
"""Settings under which a parameter moves even without a gradient, where an optimizer has them."""


def _start(dtype: Any = np.float64) -> Array:
    return np.linspace(-2, 2, SIZE).astype(dtype)


def _gradients(dtype: Any = np.float64) -> Array:
    return np.random.default_rng(1).normal(size=(STEPS, SIZE)).astype(dtype)


def _walk(optimizer: Optimizer, parameters: Array, state: Any, gradients: Any, first: int = 1) -> None:
    for number, gradient in enumerate(gradients, first):
        now: dict[str, Any] = {"step": number, "learning_rate": optimizer.learning_rate}
        if optimizer.searches:
            now["evaluate"] = partial(_bowl, parameters.copy(), gradient)
        optimizer.step(parameters, gradient, state, **now)


def _bowl(start: Array, gradient: Array, parameters: Array) -> tuple[float, Array]:
    """A loss as curved as Σθ² whose gradient at the start is that."""
    away = parameters - start
    return float(away @ (gradient + away)), gradient + 2 * away


def _run(optimizer: Optimizer, gradients: Array, parameters: Array) -> list[Array]:
    """Parameters and state after some steps from a fresh state."""
    parameters = parameters.copy()
    state = optimizer.start(parameters)
    _walk(optimizer, parameters, state, gradients)
    return [parameters, *(np.asarray(state[name]) for name in sorted(state))]


def check_it_is_a_frozen_dataclass_with_defaults(optimizer: object) -> None:
    """Its fields are its settings, ``learning_rate`` first; with equal settings it is equal."""
    one = find_optimizer(optimizer)
    must(is_dataclass(one), "its class is no dataclass; decorate it with @dataclass(frozen=True)")
    first = fields(one)[0].name  # type: ignore[arg-type]
    must(first == "learning_rate", f"its first field must be learning_rate, got {first}")
    try:
        one.learning_rate = one.learning_rate
    except FrozenInstanceError:
        pass
    else:
        raise AssertionError("its settings can be changed; decorate it with @dataclass(frozen=True)")
    must(one == copy.copy(one) and hash(one) == hash(copy.copy(one)), "equal settings are not equal")


def check_frozen_parameters_keep_their_bits(optimizer: object) -> None:
    """Through :meth:`Network.fit`, with weight decay and momentum where it has them."""
    one = find_optimizer(optimizer)
    settings = {item.name for item in fields(one)}  # type: ignore[arg-type]
    lively = {name: value for name, value in LIVELY.items() if name in settings}
    for tried in (one, type(one)(**lively)):
        graph: nx.DiGraph[Any] = nx.DiGraph()
        graph.add_node("hidden", activation="tanh", bias=0.25, trainable=False)
        graph.add_edge("x1", "hidden", weight=0.75, trainable=False)
        graph.add_edges_from([("x2", "hidden"), ("hidden", "y")])
        net = Network(graph, seed=0, threads=1)
        frozen = ~net.trainable
        before = net.parameters[frozen].copy()
        X = np.random.default_rng(0).normal(size=(20, 2))
        net.fit(X, X.sum(axis=1), epochs=2, optimizer=tried, progress=False, seed=0)
        must(same_bits(before, net.parameters[frozen]), f"{tried} moves parameters that are frozen")


def check_dtypes_are_preserved(optimizer: object) -> None:
    """Of the parameters and of the state, which has a vector for each of ``state_names``."""
    one = find_optimizer(optimizer)
    for dtype in DTYPES:
        must(set(one.start(_start(dtype))) >= set(one.state_names), "its state lacks some of state_names")
        for vector in _run(one, _gradients(dtype), _start(dtype)):
            must(vector.dtype == dtype, f"it makes {vector.dtype} of {np.dtype(dtype)}")


def check_the_gradient_is_not_written(optimizer: object) -> None:
    """By a step."""
    gradients = _gradients()
    _run(find_optimizer(optimizer), gradients, _start())
    must(np.array_equal(gradients, _gradients()), "a step writes to the gradient")


def check_the_parameters_are_changed_in_place(optimizer: object) -> None:
    """They are the network's own vector, which no step may replace."""
    parameters, *_ = _run(find_optimizer(optimizer), _gradients(), _start())
    must(not np.array_equal(parameters, _start()), "a step changes nothing")


def check_the_result_does_not_depend_on_how_the_vector_is_split(optimizer: object) -> None:
    """The rule is elementwise (one that is not overrides ``step``)."""
    one, gradients, start = find_optimizer(optimizer), _gradients(), _start()
    whole = _run(one, gradients, start)
    parts = [_run(one, gradients[:, part], start[part]) for part in (slice(0, 7), slice(7, None))]
    for vector, *pieces in zip(whole, *parts, strict=True):
        if vector.shape == start.shape:
            near = np.allclose(vector, np.concatenate(pieces), rtol=1e-13, atol=1e-15)
            must(near, "its rule is not elementwise: split in two, a vector ends elsewhere; override step()")


def check_all_its_memory_is_in_the_state(optimizer: object) -> None:
    """A run that is taken up elsewhere, from parameters and state, goes on to the same bits."""
    one, gradients, parameters = find_optimizer(optimizer), _gradients(), _start()
    fresh, state = copy.deepcopy(one), one.start(parameters)
    _walk(one, parameters, state, gradients[1:4])
    others, other_state = parameters.copy(), copy.deepcopy(state)
    _walk(one, parameters, state, gradients[4:], first=4)
    _walk(fresh, others, other_state, gradients[4:], first=4)
    must(same_bits(parameters, others), "it remembers something outside its state, which a resumed run lacks")


def check_it_goes_downhill(optimizer: object) -> None:
    """500 steps on Σ(θ − 1)² end lower than they began."""
    one, parameters = find_optimizer(optimizer), _start()
    before, state = float(np.sum((parameters - 1) ** 2)), one.start(parameters)
    _walk(one, parameters, state, (2 * (parameters - 1) for _ in range(500)))
    after = float(np.sum((parameters - 1) ** 2))
    must(after < before, f"from {before:.4g}, 500 steps lead to {after:.4g}")


check_it_can_be_pickled, check_it_can_be_copied = copy_checks(
    lambda one: np.concatenate([np.ravel(vector) for vector in _run(one, _gradients(), _start())]),
    made=find_optimizer,
)
