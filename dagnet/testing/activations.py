"""What an activation must do, one check a sentence.

The grid: all multiples of ½ from −30 to 30, 97 numbers from −3 to 3.1, and ±1e-3; there an
activation and its derivative are finite.  At ±1e4 they may be infinite, as exp is, but not NaN.
"""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from dagnet.contracts import Activation
from dagnet.model import Model
from dagnet.network import Network
from dagnet.registry import engines
from dagnet.testing.copies import survives_copying, survives_pickling
from dagnet.testing.differences import STEP, elementwise_quotients
from dagnet.testing.outcomes import Check, and_more, must

__all__ = ["CHECKS", "GRID"]

Array = NDArray[Any]
DTYPES = (np.float64, np.float32)
SHAPES = ((3, 4), (1, 7), (6, 1), (2, 0), (5,))
GRID: Array = np.concatenate([np.arange(-30, 30.5, 0.5), np.linspace(-3, 3.1, 97), [-1e-3, 1e-3]])
FAR = np.array([-1e4, 1e4])
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def _applied(activation: Activation, z: Array) -> tuple[tuple[str, Array], tuple[str, Array]]:
    """What the function and the derivative give, each with its name."""
    a = np.asarray(activation.value(z.copy()))
    return ("function", a), ("derivative", np.asarray(activation.slope(z.copy(), a.copy())))


def check_shape_and_dtype_are_preserved(activation: Activation) -> None:
    """For float64 and float32, for (units, rows) of any size, for one axis."""
    for dtype in DTYPES:
        for shape in SHAPES:
            z = np.resize(GRID, shape).astype(dtype)
            for what, result in _applied(activation, z):
                got = f"{result.dtype} of shape {result.shape}"
                must(
                    result.shape == shape and result.dtype == dtype,
                    f"its {what} gives {got} for {z.dtype} of shape {shape}; return an array like z",
                )


def check_the_input_is_not_written(activation: Activation) -> None:
    """Neither by the function nor by the derivative."""
    z = GRID.reshape(2, -1).copy()
    a = np.array(activation.value(z))
    must(np.array_equal(z, GRID.reshape(2, -1)), "its function writes to z; work on a new array")
    before = a.copy()
    activation.slope(z, a)
    must(np.array_equal(z, GRID.reshape(2, -1)), "its derivative writes to z; work on a new array")
    must(np.array_equal(a, before, equal_nan=True), "its derivative writes to a; work on a new array")


def check_permuting_rows_permutes_the_result(activation: Activation) -> None:
    """Up to rounding."""
    z = GRID.reshape(4, -1)
    order = np.random.default_rng(0).permutation(z.shape[1])
    for (what, result), (_, permuted) in zip(
        _applied(activation, z), _applied(activation, z[:, order]), strict=True
    ):
        must(_near(result[:, order], permuted), f"its {what} gives a row other numbers at another place")


def check_each_number_is_computed_on_its_own(activation: Activation) -> None:
    """An activation is elementwise: what stands beside a number does not change its result."""
    z = GRID.reshape(4, -1)
    for what, alone in (("function", 0), ("derivative", 1)):
        together = _applied(activation, z)[alone][1]
        apart = [_applied(activation, z[row : row + 1, :1])[alone][1] for row in range(len(z))]
        must(
            _near(together[:, :1], np.concatenate(apart)),
            f"its {what} depends on what stands beside a number; it must be elementwise",
        )


def check_the_derivative_is_the_functions(activation: Activation) -> None:
    """Central differences say the same, farther than 10h from the declared kinks."""
    rng = np.random.default_rng(0)
    z = np.concatenate([GRID, rng.normal(0, 1, 50), rng.normal(0, 8, 50)])
    kinks = np.array(activation.kink_points())
    reach = 10 * STEP * np.maximum(1, np.abs(z))
    z = z[(np.abs(z[:, None] - kinks) > reach[:, None]).all(axis=1)]
    quotients = elementwise_quotients(activation.value, z)
    slopes = np.asarray(activation.slope(z, activation.value(z)))
    wrong = np.flatnonzero(quotients.wrong(slopes))
    if len(wrong):
        first = wrong[0]
        # Few and scattered: a kink, or one of the derivative, where quotients are off by about h.
        scattered = quotients.kinks[first] or len(wrong) <= len(z) // 20
        mend = "; is there a kink? Declare it with kinks=[…]" if scattered else ""
        raise AssertionError(
            f"at z = {z[first]:g} its derivative says {slopes[first]:.9g}, central differences say "
            f"{quotients.numeric[first]:.9g}{and_more(len(wrong) - 1)}{mend}"
        )


def check_single_precision_agrees_with_double(activation: Activation) -> None:
    """As far as float32 goes."""
    z = GRID.astype(np.float32)
    singles, doubles = _applied(activation, z), _applied(activation, z.astype(np.float64))
    for (what, single), (_, double) in zip(singles, doubles, strict=True):
        allowed = 64 * float(np.finfo(np.float32).eps) * np.maximum(1, np.maximum(np.abs(z), np.abs(double)))
        off = ~(np.abs(single - double) <= allowed)
        must(not off.any(), f"its {what} in float32 is off {_at(z, off)}")


def check_it_is_finite_on_the_grid(activation: Activation) -> None:
    """The function and the derivative, in both precisions."""
    for dtype in DTYPES:
        z = GRID.astype(dtype)
        for what, result in _applied(activation, z):
            bad = ~np.isfinite(result)
            must(not bad.any(), f"its {what} is not finite {_at(z, bad)}, {np.dtype(dtype).name}")


def check_it_is_no_nan_far_out(activation: Activation) -> None:
    """At ±1e4 the function and the derivative may be infinite, but are numbers."""
    for dtype in DTYPES:
        for what, result in _applied(activation, FAR.astype(dtype)):
            bad = np.isnan(result)
            must(not bad.any(), f"its {what} is NaN {_at(FAR, bad)}, {np.dtype(dtype).name}")


def check_compiled_and_numpy_results_agree(activation: Activation) -> None:
    """On a network of one node, run by the compiled engine, where there is one, and the reference."""
    compiled = engines().get("compiled")
    if compiled is None or compiled.unavailable() is not None:
        return
    for dtype, tolerance in TOLERANCE.items():
        runs = [_one_node(activation, engine, dtype) for engine in ("reference", "compiled")]
        for what, one, other in zip(("value", "δ"), *runs, strict=True):
            allowed = tolerance * np.maximum(1, np.abs(one))
            off = ~((np.abs(one - other) <= allowed) | (one == other) | (np.isnan(one) & np.isnan(other)))
            must(not off.any(), f"compiled, its {what} is another than NumPy's {_at(GRID, off)}, {dtype}")


def _one_node(activation: Activation, engine: str, dtype: str) -> tuple[Array, Array]:
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.add_node("node", activation=activation, bias=False)
    graph.add_edge("x", "node", weight=1.0)
    model: Model = Network(graph, engine=engine, dtype=dtype, threads=1)
    z = np.ascontiguousarray(GRID[:, None], dtype)
    state = model.runner.forward(model.theta(), z)
    model.runner.backward(model.theta(), state, np.ones_like(z), into=np.zeros(1, dtype))
    node = model.layout.plan.outputs
    return state.value(node)[0], state.delta(node)[0]


def check_it_can_be_pickled(activation: Activation) -> None:
    """And does the same when it is read back, as in another process."""
    survives_pickling(activation, _use)


def check_it_can_be_copied(activation: Activation) -> None:
    """And the copy does the same."""
    survives_copying(activation, _use)


def _use(activation: Activation) -> Array:
    return np.stack([result for _, result in _applied(activation, GRID)])


def _near(one: Array, other: Array) -> bool:
    """Equal up to a few units in the last place: vector units round their remainders differently."""
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-13, atol=1e-14, equal_nan=True)


def _at(z: Array, bad: Array) -> str:
    return "at z = " + ", ".join(f"{float(number):g}" for number in z[bad][:3])


CHECKS: tuple[Check, ...] = (
    check_shape_and_dtype_are_preserved,
    check_the_input_is_not_written,
    check_permuting_rows_permutes_the_result,
    check_each_number_is_computed_on_its_own,
    check_the_derivative_is_the_functions,
    check_single_precision_agrees_with_double,
    check_it_is_finite_on_the_grid,
    check_it_is_no_nan_far_out,
    check_compiled_and_numpy_results_agree,
    check_it_can_be_pickled,
    check_it_can_be_copied,
)
