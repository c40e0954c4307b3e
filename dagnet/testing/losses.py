"""What a loss must do, one check a sentence, on outputs of its domain and targets of its kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagnet.contracts import Loss
from dagnet.contracts.probing import OUTPUTS, TARGETS, quotients, wrong
from dagnet.testing.copies import survives_copying, survives_pickling
from dagnet.testing.outcomes import Check, must

__all__ = ["CHECKS"]

Array = NDArray[Any]
Batch = tuple[Array, Array]
DTYPES = (np.float64, np.float32)
ROWS, FAR, NEAR = 12, 1e4, 1e-6


def _batch(loss: Loss, rows: int = ROWS, more: int = 0, dtype: Any = np.float64) -> Batch:
    """Outputs and targets that the loss takes: it raises nothing and is finite."""
    shape, refusal = (rows, loss.minimum_outputs + more), ""
    for draw_targets in TARGETS[loss.targets]:
        rng = np.random.default_rng(7)
        outputs, targets = OUTPUTS[loss.outputs](rng, shape), draw_targets(rng, shape)
        try:
            values = loss.row_values(outputs.copy(), targets.copy())
        except Exception as error:  # noqa: BLE001 - a stranger's code may refuse numbers with any error
            refusal = f"; it raised {type(error).__name__}: {error}"
            continue
        if np.isfinite(values).all():
            return outputs.astype(dtype), targets.astype(dtype)
        refusal = "; its values are not finite"
    domain = f"outputs={loss.outputs!r} and targets={loss.targets!r}"
    raise AssertionError(f"it does not take what it says, {domain}{refusal}")


def _batches(loss: Loss, dtype: Any = np.float64) -> Iterator[Batch]:
    """With as few output units as the loss takes, with more where it takes more, and with one row."""
    yield _batch(loss, dtype=dtype)
    yield _batch(loss, rows=1, dtype=dtype)
    try:
        wide = _batch(loss, more=2, dtype=dtype)
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
    for dtype in DTYPES:
        for outputs, targets in _batches(loss, dtype):
            shapes = ((len(outputs),), outputs.shape, outputs.shape)
            for (what, result), shape in zip(_applied(loss, outputs, targets), shapes, strict=True):
                got = f"{result.dtype} of shape {result.shape}"
                must(
                    result.shape == shape and result.dtype == dtype,
                    f"its {what} must be {outputs.dtype} of shape {shape}, got {got}",
                )


def check_permuting_rows_permutes_the_result(loss: Loss) -> None:
    """Up to rounding."""
    outputs, targets = _batch(loss)
    order = np.random.default_rng(0).permutation(len(outputs))
    before, after = _applied(loss, outputs, targets), _applied(loss, outputs[order], targets[order])
    for (what, result), (_, permuted) in zip(before, after, strict=True):
        must(_near(result[order], permuted), f"its {what} gives a row other numbers at another place")


def check_each_row_is_computed_on_its_own(loss: Loss) -> None:
    """Unless the loss says ``rowwise=False``."""
    if not loss.rowwise:
        return
    outputs, targets = _batch(loss)
    together = _applied(loss, outputs, targets)
    for row in range(len(outputs)):
        alone = _applied(loss, outputs[row : row + 1], targets[row : row + 1])
        for (what, result), (_, single) in zip(together, alone, strict=True):
            problem = f"its {what} of a row depends on other rows; say rowwise=False, or mend it"
            must(_near(result[row : row + 1], single), problem)


def check_the_gradient_is_the_values(loss: Loss) -> None:
    """Central differences of the summed value say the same, away from kinks."""
    for outputs, targets in _batches(loss):
        gradient = np.asarray(loss.row_gradients(outputs.copy(), targets))
        for row in range(len(outputs)):

            def total(
                moved: Array, row: int = row, whole: Array = outputs, targets: Array = targets
            ) -> Array:
                whole = whole.copy()
                whole[row] = moved[0]
                return np.array([loss.row_values(whole, targets).sum()])

            numeric, near = quotients(total, outputs[row : row + 1])
            for unit in np.flatnonzero(wrong(gradient[row : row + 1], numeric, near, NEAR)):
                raise AssertionError(
                    f"for output {outputs[row, unit]:.6g} and target {targets[row, unit]:.6g} its gradient "
                    f"says {gradient[row, unit]:.9g}, central differences say {numeric[0, unit]:.9g}"
                )


def check_single_precision_agrees_with_double(loss: Loss) -> None:
    """To 1e-4 of the size of the numbers."""
    batch = _batch(loss, dtype=np.float32)
    doubles = _applied(loss, *(array.astype(np.float64) for array in batch))
    for (what, single), (_, double) in zip(_applied(loss, *batch), doubles, strict=True):
        near = np.abs(single - double) <= 1e-4 * np.maximum(1, np.abs(double))
        must(near.all(), f"its {what} in float32 is off by {np.abs(single - double).max():.1e}")


def check_gradient_and_prediction_are_finite_where_the_value_is(loss: Loss) -> None:
    """On ordinary numbers, in both precisions."""
    for dtype in DTYPES:
        for batch in _batches(loss, dtype):
            for what, result in _applied(loss, *batch):
                must(np.isfinite(result).all(), f"its {what} is not finite, {np.dtype(dtype).name}")


def check_it_is_no_nan_far_out(loss: Loss) -> None:
    """Outputs of ±1e4, where the loss takes any numbers: infinite is allowed, NaN is not."""
    if loss.outputs != "real":
        return
    for dtype in DTYPES:
        outputs, targets = _batch(loss, dtype=dtype)
        far = dtype(FAR)
        for signs in (np.sign(outputs), -np.sign(outputs), np.ones_like(outputs), -np.ones_like(outputs)):
            for what, result in _applied(loss, far * signs, targets):
                problem = f"its {what} is NaN for outputs of ±1e4, {np.dtype(dtype).name}"
                must(not np.isnan(result).any(), problem)


def check_it_can_be_pickled(loss: Loss) -> None:
    """And does the same when it is read back, as in another process."""
    survives_pickling(loss, _use)


def check_it_can_be_copied(loss: Loss) -> None:
    """And the copy does the same."""
    survives_copying(loss, _use)


def _use(loss: Loss) -> Array:
    return np.concatenate([result.ravel() for _, result in _applied(loss, *_batch(loss))])


def _near(one: Array, other: Array) -> bool:
    """Equal up to a few units in the last place."""
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-12, atol=1e-13, equal_nan=True)


CHECKS: tuple[Check, ...] = (
    check_the_value_is_one_number_a_row_and_the_rest_like_the_outputs,
    check_permuting_rows_permutes_the_result,
    check_each_row_is_computed_on_its_own,
    check_the_gradient_is_the_values,
    check_single_precision_agrees_with_double,
    check_gradient_and_prediction_are_finite_where_the_value_is,
    check_it_is_no_nan_far_out,
    check_it_can_be_pickled,
    check_it_can_be_copied,
)
