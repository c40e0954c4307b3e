"""What an initializer must do, one check a sentence."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Initializer
from dagnet.layered import layered
from dagnet.network import Network
from dagnet.testing.outcomes import copy_checks, must, same_bits


def _fans(edges: int) -> tuple[Array, Array]:
    """Fan-in and fan-out, as different edges of a DAG have them."""
    return np.arange(edges) % 7 + 1.0, np.arange(edges) % 5 + 1.0


def _drawn(initializer: Initializer, edges: int = 40, seed: int = 0) -> Array:
    return np.asarray(initializer.weights(np.random.default_rng(seed), *_fans(edges)))


def check_it_draws_one_weight_an_edge(initializer: Initializer) -> None:
    """For no edges, for one and for many; the weights are floats."""
    for edges in (0, 1, 40):
        weights = _drawn(initializer, edges)
        got = f"{weights.dtype} of shape {weights.shape}"
        fits = weights.shape == (edges,) and weights.dtype.kind == "f"
        must(fits, f"for {edges} edges it must draw floats of shape ({edges},), got {got}")


def check_the_weights_are_finite(initializer: Initializer) -> None:
    """All of them."""
    must(np.isfinite(_drawn(initializer)).all(), "it draws weights that are not finite")


def check_the_same_seed_draws_the_same_weights(initializer: Initializer) -> None:
    """To the bit, whatever was drawn before, here or from NumPy's global state."""
    first = _drawn(initializer)
    _drawn(initializer, seed=1)
    state = np.random.get_state()  # noqa: NPY002 - a plugin may misuse it
    try:
        np.random.seed(12345)  # noqa: NPY002
        again = _drawn(initializer)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    must(same_bits(first, again), "the same seed draws other weights; draw from the generator alone")


def check_the_global_random_state_is_left_alone(initializer: Initializer) -> None:
    """It draws from the generator that it is given."""
    before = pickle.dumps(np.random.get_state())  # noqa: NPY002
    _drawn(initializer)
    same = before == pickle.dumps(np.random.get_state())  # noqa: NPY002
    must(same, "it draws from NumPy's global random state; draw from the generator")


def check_the_arguments_are_not_written(initializer: Initializer) -> None:
    """Neither fan-in nor fan-out."""
    given = _fans(40)
    initializer.weights(np.random.default_rng(0), *given)
    must(np.array_equal(given, _fans(40)), "it writes to fan_in or fan_out; work on new arrays")


def check_a_network_starts_with_it(initializer: Initializer) -> None:
    """In both precisions, the same bits for the same seed."""
    for dtype in ("float64", "float32"):
        given: dict[str, Any] = {"initializer": initializer, "dtype": dtype, "seed": 3, "threads": 1}
        first, again = (Network(layered([3, 4, 2]), **given).parameters for _ in range(2))
        must(same_bits(first, again), f"two networks with one seed start differently, {dtype}")


check_it_can_be_pickled, check_it_can_be_copied = copy_checks(_drawn)
