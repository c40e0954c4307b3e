"""Vector code against NumPy: in longdouble for float64, in float64 for float32."""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from llvmlite import ir

from dagnet.engine.compiled.generation import compiled
from dagnet.engine.compiled.ufuncs import FUNCTIONS
from dagnet.engine.compiled.vectors import Emitter

I64 = ir.IntType(64)
DTYPES = ("float32", "float64")
WIDER = {"float32": np.float64, "float64": np.longdouble}
LIMIT = {"float32": 1.5, "float64": 2}
TANH = 2.5  # units in the last place, for the speed of one exponential and one division
CURVES = ["exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "tanh", "sin", "cos", "arctan", "cbrt"]
CURVES += ["tan", "sinh", "cosh", "arcsin", "arccos", "arcsinh", "arccosh", "arctanh"]
PAIRS = ["power", "arctan2", "hypot"]
SIMPLE = sorted(FUNCTIONS.keys() - {*CURVES, *PAIRS, "logaddexp", "where", "clip"})
SPECIAL = [0, 1, 0.5, 1.5, 2, 3, 8, 100, 1000, 1e9, 1e10, 1e22, 2**53, 1e308, 5e-324, 1e-310, 1e-45, 1e-40,
           1e-8, np.inf, np.nan, 87.5, 88.7, 89, 103.9, 104, 127.9, 128, 149, 709.5, 745.1, 745.2, 1023.9,
           710, 1074]  # fmt: skip


@cache
def machine(dtype, n_inputs, function, lanes=None):
    """A loop that applies a function (a name, or code) to arrays, tails with masks."""
    dtype = np.dtype(dtype)
    lanes = lanes or 64 // dtype.itemsize
    module = ir.Module()
    pointer = (ir.FloatType() if dtype.itemsize == 4 else ir.DoubleType()).as_pointer()
    run = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64, pointer] + [pointer] * n_inputs), "run")
    n, out, *inputs = run.args
    entry, loop, done = (run.append_basic_block() for _ in range(3))
    builder = ir.IRBuilder(entry)
    builder.cbranch(builder.icmp_signed(">", n, ir.Constant(I64, 0)), loop, done)
    builder.position_at_end(loop)
    start = builder.phi(I64)
    emit = Emitter(builder, dtype, lanes)
    mask = emit.first(builder.sub(n, start))
    vectors = [emit.load(builder.gep(array, [start]), mask) for array in inputs]
    result = (FUNCTIONS[function] if isinstance(function, str) else function)(emit, *vectors)
    emit.store(result.to_number(), builder.gep(out, [start]), mask)
    following = builder.add(start, ir.Constant(I64, lanes))
    start.add_incoming(ir.Constant(I64, 0), entry)
    start.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, n), loop, done)
    builder.position_at_end(done)
    builder.ret_void()
    code = compiled(module)
    signature = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * (n_inputs + 1))
    return code, signature(code.address("run"))


def apply(function, *arrays, lanes=None, n=None):
    out = np.full_like(arrays[0], 7)
    _, call = machine(arrays[0].dtype.name, len(arrays), function, lanes)
    call(len(out) if n is None else n, out.ctypes.data, *(array.ctypes.data for array in arrays))
    return out


def numbers(dtype, rng):
    digits = 300 if dtype == "float64" else 37
    sign = rng.choice([-1, 1], 20_000)
    parts = [10 ** rng.uniform(-digits, digits, 20_000) * sign, 10 ** rng.uniform(-3, 3, 20_000) * sign]
    parts += [
        rng.uniform(-30, 30, 20_000),
        rng.uniform(-750, 750, 20_000),
        1 + rng.uniform(-0.5, 0.5, 20_000),
    ]
    parts += [np.round(10 ** rng.uniform(0, 8, 20_000)) * (np.pi / 2), SPECIAL, np.negative(SPECIAL)]
    with np.errstate(over="ignore"):
        return np.concatenate(parts).astype(dtype)


@np.errstate(all="ignore")
def check(name, *arrays):
    """Within so many units in the last place; zeros with their signs, infinities and NaN as NumPy's."""
    dtype = arrays[0].dtype.name
    if np.finfo(WIDER[dtype]).nmant <= np.finfo(dtype).nmant:
        pytest.skip("longdouble is no better than double here")
    got = apply(name, *arrays)
    exact = getattr(np, name)(*(array.astype(WIDER[dtype]) for array in arrays))
    want = exact.astype(dtype)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    assert np.array_equal(np.signbit(got)[same & (want == 0)], np.signbit(want)[same & (want == 0)])
    ulps = np.where(same, 0, np.abs(got - exact) / np.spacing(np.abs(want)))
    wrong = ~(ulps <= (TANH if name == "tanh" else LIMIT[dtype]))
    assert not wrong.any(), [array[wrong][:3] for array in arrays]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CURVES)
def test_accuracy(name, dtype):
    check(name, numbers(dtype, np.random.default_rng(0)))


@pytest.mark.parametrize("dtype", DTYPES)
@np.errstate(all="ignore")
def test_accuracy_of_two(dtype):
    rng = np.random.default_rng(1)
    x, y = numbers(dtype, rng), rng.permutation(numbers(dtype, rng))
    largest = np.log(np.finfo(dtype).max)
    near = (rng.uniform(-1.05, 1.02, len(x)) * largest / np.log(np.abs(x))).astype(dtype)
    special = np.array([*SPECIAL, *np.negative(SPECIAL)]).astype(dtype)
    grid = np.repeat(special, len(special)), np.tile(special, len(special))
    check("power", np.abs(x), near)
    for pair in ((x, y), (x, np.round(y)), grid):
        for name in PAIRS:
            check(name, *pair)


@pytest.mark.parametrize("dtype", DTYPES)
@np.errstate(all="ignore")
def test_simple_functions_are_numpys(dtype):
    rng = np.random.default_rng(2)
    some = np.array([0.0, *SPECIAL, *np.negative(SPECIAL), 2.5, -2.5, -7.25]).astype(dtype)
    a, b = np.repeat(some, len(some)), np.tile(some, len(some))
    a = np.concatenate([a, (100 * rng.normal(size=3000)).astype(dtype)])
    b = np.concatenate([b, rng.normal(size=3000).astype(dtype)])
    for name in SIMPLE:
        arrays = (a, b)[: getattr(np, name).nin]
        got, want = apply(name, *arrays), getattr(np, name)(*arrays).astype(dtype)
        assert np.array_equal(got, want, equal_nan=True), name
        if name not in {"maximum", "minimum", "fmax", "fmin"}:  # either zero is right
            known = ~np.isnan(want)
            assert np.array_equal(np.signbit(got)[known], np.signbit(want)[known]), name
    low, high = np.minimum(b, 1), np.maximum(b, 2)
    assert np.array_equal(apply("clip", a, low, high), np.clip(a, low, high), equal_nan=True)
    assert np.array_equal(apply("where", a, b, a), np.where(a, b, a), equal_nan=True)
    np.testing.assert_allclose(apply("logaddexp", a, b), np.logaddexp(a, b), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CURVES)
def test_a_number_is_the_same_wherever_it_stands(name, dtype):
    x = np.random.default_rng(3).permutation(numbers(dtype, np.random.default_rng(3)))[:1003]
    whole = apply(name, x)
    assert apply(name, np.roll(x, 5)).tobytes() == np.roll(whole, 5).tobytes()
    assert apply(name, x, lanes=1).tobytes() == whole.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_masks_and_truths(dtype):
    def below_in_place(emit, a, b):
        less = FUNCTIONS["less"](emit, a, b)
        return FUNCTIONS["where"](emit, ~less, FUNCTIONS["add"](emit, less, a), less)

    a, b = np.random.default_rng(4).normal(size=(2, 40)).astype(dtype)
    for n in range(40):
        got = apply(below_in_place, a, b, n=n)
        assert np.array_equal(got[:n], np.where(a < b, 1, a)[:n])
        assert (got[n:] == 7).all()


def test_compiling_in_threads():
    x = np.linspace(-1, 1, 5)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda lanes: apply("exp", x, lanes=lanes), (2, 4, 8, 16)))
    assert all(np.array_equal(result, results[0]) for result in results)
    with pytest.raises(KeyError):
        machine("float64", 1, "exp", 2)[0].address("walk")
