"""Each row of dagnet's table of operations as nodes, against NumPy on numbers of every size."""

import numpy as np
import onnx
import pytest
from dagnet_onnx.functions import nodes
from dagnet_onnx.operators import simplified
from dagnet_onnx.writer import IR, KINDS, OPSET, Body
from onnx import helper
from running import session

from dagnet.formula import traced
from dagnet.formula.formula import probe_numbers
from dagnet.formula.operations import OPERATIONS

NEAR = {**dict.fromkeys(("sigmoid", "sin", "cos", "logaddexp", "logaddexp2"), (16, 1.0)), "tan": (64, 1.0)}
"""In units in the last place of the number, or of this where it is larger; onnxruntime is no better."""


def model(formula, arguments, dtype):
    """One function as a model."""
    body = Body(dtype)
    result = nodes(body, formula, {name: name for name in arguments})
    body.emit("Identity", result, result="found")
    kind = KINDS[np.dtype(dtype).name]
    ends = [helper.make_tensor_value_info(name, kind, ["rows", "units"]) for name in (*arguments, "found")]
    graph = helper.make_graph(body.nodes, "one", ends[:-1], ends[-1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString()


def probes(formula, n, dtype):
    """Numbers of every size for n arguments, each with each of some others."""
    numbers = probe_numbers([formula], (), dtype)
    numbers = numbers[~((np.abs(numbers) < np.finfo(dtype).tiny) & (numbers != 0))]
    if n == 1:
        return [numbers]
    rng = np.random.default_rng(5)
    usual = rng.choice([0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.0, -7.0, np.inf, -np.inf, np.nan, 1e-3, 40.0], 6000)
    columns = [rng.permutation(np.concatenate([usual, rng.normal(0, 3, 3000), rng.choice(numbers, 1000)]))
               for _ in range(n)]  # fmt: skip
    return [column.astype(dtype) for column in columns]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_a_row_of_the_table_is_numpys_function(name, dtype):
    function, truth = OPERATIONS[name].function, OPERATIONS[name].truth
    names = ["x", "y", "w"][: len(OPERATIONS[name].slopes)]
    formula = traced(
        lambda *given: np.where(function(*given), 1.0, 0.0) if truth else +function(*given), names
    )
    arrays = probes(formula, len(names), dtype)
    ready = model(simplified(formula, {}, {}, dtype), names, dtype)
    given = {key: array[None] for key, array in zip(names, arrays, strict=True)}
    found = session(ready).run(None, given)[0][0].astype(np.float64)
    units, least = NEAR.get(name, (16, 0.0))
    with np.errstate(all="ignore"):
        right = formula(*arrays).astype(np.float64)
        near = units * np.finfo(dtype).eps * np.maximum(np.abs(right), least)
        alike = (found == right) | (np.isnan(found) & np.isnan(right)) | (np.abs(found - right) <= near)
    wrong = np.flatnonzero(~alike)
    shown = [(*(float(array[k]) for array in arrays), float(found[k]), float(right[k])) for k in wrong[:8]]
    assert not len(wrong), f"{len(wrong)} of {len(right)}: {shown}"
