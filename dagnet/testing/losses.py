"""What a loss must do, one check a sentence.

Outputs are drawn from the first of these domains that the loss takes, that is, where it raises
nothing and its values are finite: any numbers, positive numbers, numbers between 0 and 1, rows
of probabilities.  Targets are of the kind that the loss says; where that is ``"real"``, any
numbers or positive ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from dagnet.contracts import Loss
from dagnet.explain import check_gradient
from dagnet.network import Network
from dagnet.testing.copies import survives_copying, survives_pickling
from dagnet.testing.differences import summed_quotients
from dagnet.testing.outcomes import Check, and_more, must

__all__ = ["CHECKS"]

Array = NDArray[Any]
Draw = Callable[[np.random.Generator, tuple[int, int]], Array]
DTYPES = (np.float64, np.float32)
ROWS, TRIED = 12, 200
FAR = 1e4
ANY, POSITIVE, FRACTION, SIMPLEX = (
    "any numbers",
    "positive numbers",
    "numbers between 0 and 1",
    "rows of probabilities",
)
OUTPUTS: dict[str, Draw] = {
    ANY: lambda rng, shape: rng.normal(0, 2, shape),
    POSITIVE: lambda rng, shape: rng.gamma(2.0, 1.0, shape) + 0.05,
    FRACTION: lambda rng, shape: rng.uniform(0.05, 0.95, shape),
    SIMPLEX: lambda rng, shape: rng.dirichlet(np.full(shape[1], 2.0), shape[0]),
}
TARGETS: dict[str, tuple[Draw, ...]] = {
    "real": (OUTPUTS[ANY], OUTPUTS[POSITIVE]),
    "binary": (lambda rng, shape: rng.integers(0, 2, shape).astype(float),),
    "probability": (lambda rng, shape: rng.uniform(0, 1, shape),),
    "count": (lambda rng, shape: rng.poisson(2.0, shape).astype(float),),
    "class": (lambda rng, shape: np.eye(shape[1])[rng.integers(0, shape[1], shape[0])],),
}
LINKS = {ANY: "identity", POSITIVE: "softplus", FRACTION: "sigmoid"}
"""Output activations that keep a network's outputs in a domain."""


@dataclass(frozen=True)
class Batch:
    """Rows that a loss takes."""

    domain: str
    outputs: Array
    targets: Array

    def cast(self, dtype: Any) -> tuple[Array, Array]:
        """Copies in a precision."""
        return self.outputs.astype(dtype), self.targets.astype(dtype)


def _batch(loss: Loss, rows: int = ROWS, more: int = 0) -> Batch:
    shape = (TRIED, max(1, loss.minimum_outputs) + more)
    refusal = ""
    for domain, draw in OUTPUTS.items():
        for draw_targets in TARGETS[loss.targets]:
            rng = np.random.default_rng(7)
            batch = Batch(domain, draw(rng, shape), draw_targets(rng, shape))
            try:
                values = loss.row_values(*batch.cast(np.float64))
            except Exception as error:  # noqa: BLE001 - refusing a domain is allowed
                refusal = f"; the last refusal was {type(error).__name__}: {error}"
                continue
            if np.isfinite(values).all():
                return Batch(domain, batch.outputs[:rows], batch.targets[:rows])
            refusal = "; its values are not finite"
    raise AssertionError(f"it takes outputs of none of these domains: {', '.join(OUTPUTS)}{refusal}")


def _batches(loss: Loss) -> Iterator[Batch]:
    """With as few output units as the loss takes, with more where it takes more, and with one row."""
    yield _batch(loss)
    yield _batch(loss, rows=1)
    try:
        wide = _batch(loss, more=2)
    except AssertionError:
        return
    yield wide


def _applied(loss: Loss, outputs: Array, targets: Array) -> tuple[tuple[str, Array], ...]:
    """Value, gradient and prediction for copies of the arguments, each with its name."""
    return (
        ("value", np.asarray(loss.row_values(outputs.copy(), targets.copy()))),
        ("gradient", np.asarray(loss.row_gradients(outputs.copy(), targets.copy()))),
        ("prediction", np.asarray(loss.prediction(outputs.copy()))),
    )


def check_the_value_is_one_number_a_row_and_the_rest_like_the_outputs(loss: Loss) -> None:
    """Value (rows,), gradient and prediction (rows, output units), all of the outputs' dtype."""
    for batch in _batches(loss):
        for dtype in DTYPES:
            outputs, targets = batch.cast(dtype)
            shapes = ((len(outputs),), outputs.shape, outputs.shape)
            for (what, result), shape in zip(_applied(loss, outputs, targets), shapes, strict=True):
                got = f"{result.dtype} of shape {result.shape}"
                must(
                    result.shape == shape and result.dtype == dtype,
                    f"its {what} must be {outputs.dtype} of shape {shape}, got {got}",
                )


def check_the_arguments_are_not_written(loss: Loss) -> None:
    """Neither outputs nor targets, by value, gradient or prediction."""
    outputs, targets = _batch(loss).cast(np.float64)
    calls: tuple[tuple[str, Callable[[Array, Array], Any]], ...] = (
        ("value", loss.row_values),
        ("gradient", loss.row_gradients),
        ("prediction", lambda o, _: loss.prediction(o)),
    )
    for what, call in calls:
        given = outputs.copy(), targets.copy()
        call(*given)
        same = np.array_equal(given[0], outputs) and np.array_equal(given[1], targets)
        must(same, f"its {what} writes to its arguments; work on new arrays")


def check_permuting_rows_permutes_the_result(loss: Loss) -> None:
    """Up to rounding."""
    outputs, targets = _batch(loss).cast(np.float64)
    order = np.random.default_rng(0).permutation(len(outputs))
    before, after = _applied(loss, outputs, targets), _applied(loss, outputs[order], targets[order])
    for (what, result), (_, permuted) in zip(before, after, strict=True):
        must(_near(result[order], permuted), f"its {what} gives a row other numbers at another place")


def check_each_row_is_computed_on_its_own(loss: Loss) -> None:
    """Unless the loss says ``rowwise=False``."""
    if not loss.rowwise:
        return
    outputs, targets = _batch(loss).cast(np.float64)
    together = _applied(loss, outputs, targets)
    for row in range(len(outputs)):
        alone = _applied(loss, outputs[row : row + 1], targets[row : row + 1])
        for (what, result), (_, single) in zip(together, alone, strict=True):
            problem = f"its {what} of a row depends on other rows; say rowwise=False, or mend it"
            must(_near(result[row : row + 1], single), problem)


def check_the_gradient_is_the_values(loss: Loss) -> None:
    """Central differences of the summed value say the same; at most a tenth may be at a kink."""
    for batch in _batches(loss):
        outputs, targets = batch.cast(np.float64)
        quotients = summed_quotients(lambda moved, targets=targets: loss.row_values(moved, targets), outputs)  # type: ignore[misc]
        gradient = np.asarray(loss.row_gradients(outputs.copy(), targets))
        wrong = quotients.wrong(gradient)
        if quotients.kinks.sum() <= outputs.size // 10:
            wrong &= ~quotients.kinks
        if wrong.any():
            row, unit = np.argwhere(wrong)[0]
            raise AssertionError(
                f"for output {outputs[row, unit]:.6g} and target {targets[row, unit]:.6g} its gradient says "
                f"{gradient[row, unit]:.9g}, central differences say {quotients.numeric[row, unit]:.9g}"
                f"{and_more(int(wrong.sum()) - 1)}"
            )


def check_single_precision_agrees_with_double(loss: Loss) -> None:
    """To 1e-4 of the size of the numbers."""
    batch = _batch(loss)
    singles = _applied(loss, *batch.cast(np.float32))
    outputs, targets = batch.cast(np.float32)
    doubles = _applied(loss, outputs.astype(np.float64), targets.astype(np.float64))
    for (what, single), (_, double) in zip(singles, doubles, strict=True):
        near = np.abs(single - double) <= 1e-4 * np.maximum(1, np.abs(double))
        must(near.all(), f"its {what} in float32 is off by {np.abs(single - double).max():.1e}")


def check_gradient_and_prediction_are_finite_where_the_value_is(loss: Loss) -> None:
    """On ordinary numbers, in both precisions."""
    for batch in _batches(loss):
        for dtype in DTYPES:
            for what, result in _applied(loss, *batch.cast(dtype)):
                must(np.isfinite(result).all(), f"its {what} is not finite, {np.dtype(dtype).name}")


def check_it_is_no_nan_far_out(loss: Loss) -> None:
    """Outputs of ±1e4, where the loss takes any numbers: infinite is allowed, NaN is not."""
    batch = _batch(loss)
    if batch.domain != ANY:
        return
    signs = np.sign(batch.outputs)
    for dtype in DTYPES:
        for outputs in (FAR * signs, -FAR * signs, np.full_like(signs, FAR), np.full_like(signs, -FAR)):
            for what, result in _applied(loss, outputs.astype(dtype), batch.targets.astype(dtype)):
                must(
                    not np.isnan(result).any(),
                    f"its {what} is NaN for outputs of ±1e4, {np.dtype(dtype).name}",
                )


def check_a_network_with_it_has_the_right_gradient(loss: Loss) -> None:
    """By :func:`dagnet.check_gradient`, on a small network whose outputs stay where the loss takes them."""
    batch = _batch(loss)
    if batch.domain not in LINKS:
        return
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.add_node("hidden", activation="tanh")
    names = [f"y{unit + 1}" for unit in range(batch.outputs.shape[1])]
    for name in names:
        graph.add_node(name, activation=LINKS[batch.domain])
        graph.add_edges_from([("x1", "hidden"), ("x2", "hidden"), ("hidden", name), ("x1", name)])
    net = Network(graph, outputs=names, loss=loss, seed=0, threads=1)
    X = np.random.default_rng(0).normal(size=(ROWS, 2))
    check = check_gradient(net, X, batch.targets)
    must(check.passed, f"a network trained with it has a wrong gradient:\n{check}")


def check_it_can_be_pickled(loss: Loss) -> None:
    """And does the same when it is read back, as in another process."""
    survives_pickling(loss, _use)


def check_it_can_be_copied(loss: Loss) -> None:
    """And the copy does the same."""
    survives_copying(loss, _use)


def _use(loss: Loss) -> Array:
    return np.concatenate([result.ravel() for _, result in _applied(loss, *_batch(loss).cast(np.float64))])


def _near(one: Array, other: Array) -> bool:
    """Equal up to a few units in the last place."""
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-12, atol=1e-13, equal_nan=True)


CHECKS: tuple[Check, ...] = (
    check_the_value_is_one_number_a_row_and_the_rest_like_the_outputs,
    check_the_arguments_are_not_written,
    check_permuting_rows_permutes_the_result,
    check_each_row_is_computed_on_its_own,
    check_the_gradient_is_the_values,
    check_single_precision_agrees_with_double,
    check_gradient_and_prediction_are_finite_where_the_value_is,
    check_it_is_no_nan_far_out,
    check_a_network_with_it_has_the_right_gradient,
    check_it_can_be_pickled,
    check_it_can_be_copied,
)
