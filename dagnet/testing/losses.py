"""What a loss must do, one check a sentence, on outputs of its domain and targets of its kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.contracts import Loss
from dagnet.contracts.trials import quotients, wrong
from dagnet.testing.outcomes import DTYPES, copy_checks, must

Batch = tuple[Array, Array]
ROWS, FAR, NEAR = 12, 1e4, 1e-6


def _batch(loss: Loss, rows: int = ROWS, more: int = 0, dtype: Any = np.float64) -> Batch:
    """Outputs and targets that the loss takes: it raises nothing and is finite."""
    shape, refusal = (rows, loss.minimum_outputs + more), ""
    for outputs, targets in loss.drawn(7, shape):
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


def _applied(loss: Loss, outputs: Array, targets: Array) -> dict[str, Array]:
    """What it gives for copies of the arguments."""
    return {
        "value": np.asarray(loss.row_values(outputs.copy(), targets.copy())),
        "gradient": np.asarray(loss.row_gradients(outputs.copy(), targets.copy())),
        "prediction": np.asarray(loss.prediction(outputs.copy())),
    }


def _everywhere(loss: Loss) -> Iterator[tuple[Array, str, Array]]:
    """The outputs and each result, by name, of all batches in both precisions."""
    for dtype in DTYPES:
        for outputs, targets in _batches(loss, dtype):
            for what, result in _applied(loss, outputs, targets).items():
                yield outputs, what, result


def check_the_value_is_one_number_a_row_and_the_rest_like_the_outputs(loss: Loss) -> None:
    """Value (rows,), gradient and prediction (rows, output units), all of the outputs' dtype."""
    for outputs, what, result in _everywhere(loss):
        shape = (len(outputs),) if what == "value" else outputs.shape
        got, right = f"{result.dtype} of shape {result.shape}", f"{outputs.dtype} of shape {shape}"
        must(got == right, f"its {what} must be {right}, got {got}")


def check_permuting_rows_permutes_the_result(loss: Loss) -> None:
    """Up to rounding."""
    problem = "its {} gives a row other numbers at another place"
    _agrees_for(loss, np.random.default_rng(0).permutation(ROWS), problem)


def check_each_row_is_computed_on_its_own(loss: Loss) -> None:
    """Unless the loss says ``rowwise=False``."""
    for row in range(ROWS if loss.rowwise else 0):
        problem = "its {} of a row depends on other rows; say rowwise=False, or mend it"
        _agrees_for(loss, slice(row, row + 1), problem)


def _agrees_for(loss: Loss, rows: Any, problem: str) -> None:
    """It gives for some rows what it gives for them among all, up to a few units in the last place."""
    outputs, targets = _batch(loss)
    together = _applied(loss, outputs, targets)
    for what, result in _applied(loss, outputs[rows], targets[rows]).items():
        right = together[what][rows]
        near = result.shape == right.shape and np.allclose(right, result, 1e-12, 1e-13, equal_nan=True)
        must(near, problem.format(what))


def check_the_gradient_is_the_values(loss: Loss) -> None:
    """Central differences of the summed value say the same, away from kinks."""
    for outputs, targets in _batches(loss):
        gradient = np.asarray(loss.row_gradients(outputs.copy(), targets))
        for row in range(len(outputs)):
            numeric, near = _quotients(loss, outputs, targets, row)
            for unit in np.flatnonzero(wrong(gradient[row : row + 1], numeric, near, NEAR)):
                raise AssertionError(
                    f"for output {outputs[row, unit]:.6g} and targets {targets[row].tolist()} its gradient "
                    f"says {gradient[row, unit]:.9g}, central differences say {numeric[0, unit]:.9g}"
                )


def _quotients(loss: Loss, outputs: Array, targets: Array, row: int) -> tuple[Array, Array]:
    """Of the summed value by the outputs of one row, (1, output units)."""

    def total(moved: Array) -> Array:
        whole = np.concatenate([outputs[:row], moved, outputs[row + 1 :]])
        return np.array([loss.row_values(whole, targets).sum()])

    return quotients(total, outputs[row : row + 1])


def check_single_precision_agrees_with_double(loss: Loss) -> None:
    """To 1e-4 of the size of the numbers."""
    batch = _batch(loss, dtype=np.float32)
    doubles = _applied(loss, *(array.astype(np.float64) for array in batch))
    for what, single in _applied(loss, *batch).items():
        off = np.abs(single - doubles[what])
        near = off <= 1e-4 * np.maximum(1, np.abs(doubles[what]))
        must(near.all(), f"its {what} in float32 is off by {off.max():.1e}")


def check_gradient_and_prediction_are_finite_where_the_value_is(loss: Loss) -> None:
    """On ordinary numbers, in both precisions."""
    for outputs, what, result in _everywhere(loss):
        must(np.isfinite(result).all(), f"its {what} is not finite, {outputs.dtype}")


def check_it_is_no_nan_far_out(loss: Loss) -> None:
    """Outputs of ±1e4, where the loss takes any numbers: infinite is allowed, NaN is not."""
    for dtype in DTYPES if loss.outputs == "real" else ():
        outputs, targets = _batch(loss, dtype=dtype)
        for signs in (np.sign(outputs), -np.sign(outputs), np.ones_like(outputs), -np.ones_like(outputs)):
            for what, result in _applied(loss, dtype(FAR) * signs, targets).items():
                problem = f"its {what} is NaN for outputs of ±1e4, {np.dtype(dtype).name}"
                must(not np.isnan(result).any(), problem)


check_it_can_be_pickled, check_it_can_be_copied = copy_checks(
    lambda loss: np.concatenate([result.ravel() for result in _applied(loss, *_batch(loss)).values()])
)
