"""Every function that dagnet and its plugins bring is a formula of its own numbers, in machine code too.

That these numbers are right the tests of the built-in functions say, and the kit those of the plugins.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from data.activation_forms import NAMES
from data.own import own

import dagnet
from dagnet.contracts.probing import loss_probe, off_kinks
from dagnet.formula.formula import probe_numbers

sys.path[:0] = [str(path) for path in sorted((Path(__file__).parents[1] / "plugins").glob("*/src"))]
PLUGINS = [name for name in ("dagnet_example", "dagnet_glm", "dagnet_neat") if importlib.util.find_spec(name)]
BROUGHT = [*own("activations").values(), *own("losses").values()]
for module in map(importlib.import_module, PLUGINS):
    for hook in ("dagnet_activations", "dagnet_losses"):
        BROUGHT += getattr(module, hook, list)()
OTHERS = [item for item in BROUGHT if getattr(item, "columns", 1) != 1 or not getattr(item, "rowwise", True)]
BROUGHT = [item for item in BROUGHT if item not in OTHERS]
EACH = pytest.mark.parametrize("item", BROUGHT, ids=lambda item: item.name)
DTYPES = ("float64", "float32")


def test_all_are_looked_at():
    names = {item.name for item in BROUGHT}
    assert names >= {*NAMES, *own("losses")}
    assert len(PLUGINS) < 3 or names >= {"snake", "probit", "neat_inv", "log_cosh", "focal"}


@pytest.mark.parametrize("item", OTHERS, ids=lambda item: item.name)
def test_a_loss_of_several_rows_or_columns_runs_through_numpy_and_says_why(item):
    assert item.formula is None
    assert item.reason


@EACH
def test_it_is_a_formula_of_the_same_numbers(item):
    assert item.reason == ""
    item.formula.verify()
    assert item.formula.latex
    assert str(item.formula).startswith(("z", "outputs"))
    for dtype in DTYPES:
        rtol = 1e-6 if dtype == "float32" else 1e-14
        with np.errstate(all="ignore"):
            if isinstance(item, dagnet.Loss):
                arrays = [array.astype(dtype) for array in loss_probe(item)]
                found, truth = item.row_values(*arrays), item.value(*arrays, *item.arguments)
            else:
                formulas = (item.formulas.value, item.formulas.slope)
                arrays = [probe_numbers(formulas, item.kink_points(), dtype)]
                found, truth = item.value(*arrays), item.function(*arrays, *item.arguments)
        np.testing.assert_allclose(found, truth, rtol=rtol, atol=rtol / 100)


@EACH
def test_its_derivative_given_is_the_one_derived(item):
    if isinstance(item, dagnet.Loss):
        arrays, by = loss_probe(item), "outputs"
        given = item.row_gradients(*arrays)
    else:
        rng = np.random.default_rng(0)
        arrays, by = [off_kinks(item, np.concatenate([rng.normal(0, 1.5, 200), rng.normal(0, 8, 50)]))], "z"
        given = item.slope(*arrays, item.value(*arrays))
    derived = item.formula.derivative(by)
    derived = derived(*arrays, *item.formulas.numbers(derived, item.parameters))
    np.testing.assert_allclose(given, derived, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dtype", DTYPES)
@EACH
def test_machine_code_is_there_and_proved_against_the_interpreter(item, dtype):
    functions = pytest.importorskip("dagnet.engine.compiled.functions")
    if isinstance(item, dagnet.Loss):
        assert functions.compile_loss(item, dtype) is not None
    else:
        assert functions.compile_activation(item, dtype).reason == ""
