"""What an optimizer must do, one check a sentence."""

from __future__ import annotations

import copy
from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from dagnet.contracts import Optimizer
from dagnet.network import Network
from dagnet.registry import find_optimizer
from dagnet.testing.copies import same_bits, survives_copying, survives_pickling
from dagnet.testing.outcomes import Check, must

__all__ = ["CHECKS", "ELEMENTWISE"]

Array = NDArray[Any]
DTYPES = (np.float64, np.float32)
SIZE, STEPS = 24, 5
LIVELY = {"momentum": 0.9, "weight_decay": 0.1}
"""Settings under which a parameter moves even without a gradient, where an optimizer has them."""


def _instance(optimizer: object) -> Optimizer:
    return find_optimizer(optimizer)


def _gradients(dtype: Any) -> Array:
    return np.random.default_rng(1).normal(size=(STEPS, SIZE)).astype(dtype)


def _run(optimizer: Optimizer, gradients: Array, parameters: Array) -> list[Array]:
    """Parameters and state after some steps from a fresh state."""
    parameters = parameters.copy()
    state = optimizer.start(parameters)
    for number, gradient in enumerate(gradients, 1):
        optimizer.step(parameters, gradient, state, step=number, learning_rate=optimizer.learning_rate)
    return [parameters, *(np.asarray(state[name]) for name in sorted(state))]


def _start(dtype: Any = np.float64) -> Array:
    return np.linspace(-2, 2, SIZE).astype(dtype)


def check_it_is_a_frozen_dataclass_with_defaults(optimizer: object) -> None:
    """Its fields are its settings, ``learning_rate`` first; with equal settings it is equal."""
    one = _instance(optimizer)
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
    one = _instance(optimizer)
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
    one = _instance(optimizer)
    for dtype in DTYPES:
        must(set(one.start(_start(dtype))) >= set(one.state_names), "its state lacks some of state_names")
        for vector in _run(one, _gradients(dtype), _start(dtype)):
            must(vector.dtype == dtype, f"it makes {vector.dtype} of {np.dtype(dtype)}")


def check_the_gradient_is_not_written(optimizer: object) -> None:
    """By a step."""
    gradients = _gradients(np.float64)
    _run(_instance(optimizer), gradients, _start())
    must(np.array_equal(gradients, _gradients(np.float64)), "a step writes to the gradient")


def check_the_parameters_are_changed_in_place(optimizer: object) -> None:
    """They are the network's own vector, which no step may replace."""
    one = _instance(optimizer)
    must(
        not np.array_equal(_run(one, _gradients(np.float64), _start())[0], _start()), "a step changes nothing"
    )


def check_the_result_does_not_depend_on_how_the_vector_is_split(optimizer: object) -> None:
    """The rule is elementwise (one that is not overrides ``step``)."""
    one = _instance(optimizer)
    gradients, start = _gradients(np.float64), _start()
    whole = _run(one, gradients, start)
    parts = [_run(one, gradients[:, part], start[part]) for part in (slice(0, 7), slice(7, None))]
    for vector, *pieces in zip(whole, *parts, strict=True):
        if vector.shape == start.shape:
            near = np.allclose(vector, np.concatenate(pieces), rtol=1e-13, atol=1e-15)
            must(near, "its rule is not elementwise: split in two, a vector ends elsewhere; override step()")


def check_all_its_memory_is_in_the_state(optimizer: object) -> None:
    """A run that is taken up elsewhere, from parameters and state, goes on to the same bits."""
    one, gradients = _instance(optimizer), _gradients(np.float64)
    fresh = copy.deepcopy(one)
    parameters = _start()
    state = one.start(parameters)
    rate = one.learning_rate
    for number in (1, 2, 3):
        one.step(parameters, gradients[number], state, step=number, learning_rate=rate)
    others, other_state = parameters.copy(), copy.deepcopy(state)
    one.step(parameters, gradients[4], state, step=4, learning_rate=rate)
    fresh.step(others, gradients[4], other_state, step=4, learning_rate=rate)
    must(same_bits(parameters, others), "it remembers something outside its state, which a resumed run lacks")


def check_it_goes_downhill(optimizer: object) -> None:
    """500 steps on Σ(θ − 1)² end lower than they began."""
    one, parameters = _instance(optimizer), _start()
    before, state = float(np.sum((parameters - 1) ** 2)), one.start(parameters)
    for number in range(1, 501):
        one.step(parameters, 2 * (parameters - 1), state, step=number, learning_rate=one.learning_rate)
    after = float(np.sum((parameters - 1) ** 2))
    must(after < before, f"from {before:.4g}, 500 steps lead to {after:.4g}")


def check_it_can_be_pickled(optimizer: object) -> None:
    """And does the same when it is read back."""
    survives_pickling(_instance(optimizer), _use)


def check_it_can_be_copied(optimizer: object) -> None:
    """And the copy does the same."""
    survives_copying(_instance(optimizer), _use)


def _use(optimizer: Optimizer) -> Array:
    return np.concatenate([np.ravel(v) for v in _run(optimizer, _gradients(np.float64), _start())])


ELEMENTWISE = check_the_result_does_not_depend_on_how_the_vector_is_split
CHECKS: tuple[Check, ...] = (
    check_it_is_a_frozen_dataclass_with_defaults,
    check_frozen_parameters_keep_their_bits,
    check_dtypes_are_preserved,
    check_the_gradient_is_not_written,
    check_the_parameters_are_changed_in_place,
    ELEMENTWISE,
    check_all_its_memory_is_in_the_state,
    check_it_goes_downhill,
    check_it_can_be_pickled,
    check_it_can_be_copied,
)
