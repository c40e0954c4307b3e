"""Formulas: what is traced, what is refused and how, slopes, the simplifier, the checker."""

# ruff: noqa: PLW0108 - the functions are as users write them

import math
import pickle

import numpy as np
import pytest

import dagnet
from dagnet.errors import DagnetError
from dagnet.formula import Formula, Untraceable, erf, exp, sigmoid, traced
from dagnet.formula.data import Op
from dagnet.formula.formula import probe_numbers

ANYWHERE = np.array([-2.71, -1.3, -0.41, -0.26, 0.27, 0.36, 1.1, 2.63, 4.27])

# -- tracing -----------------------------------------------------------------------------------


def masked(z):
    a = np.empty_like(z)
    a[z > 0] = z[z > 0] ** 2
    a[~(z > 0)] = np.sin(z[~(z > 0)])
    a[z > 4] = 7.0
    return a


def in_place(z):
    a = z.copy()
    a += 1
    a *= z
    a -= np.sin(a)
    a /= 3
    a **= 2
    np.exp(-a, out=a)
    a[...] = a + np.full_like(z, 0.5)
    return a


def in_a_loop(z):
    total = np.zeros_like(z)
    for k in range(1, 6):
        total += z**k / math.factorial(k)
    return total


def piecewise(z):
    return np.piecewise(
        z, [z < -1, (z >= -1) & (z < 1)], [lambda t: t**2, 2.0, lambda t, k=3.0: k * np.sin(t)]
    )


def whole_numbers(z):
    n = 10
    return np.where(z > 15, z / n**30 * 1e30, z)


ELEMENTWISE = {
    "mask with assignment": masked, "in place": in_place, "a loop": in_a_loop, "piecewise": piecewise,
    "whole numbers": whole_numbers,
    "ufuncs": lambda z: np.tanh(z) * np.log1p(np.exp(-abs(z))) - np.arctan2(z, 2.0) ** 2 + z // 2 + z % 3,
    "where": lambda z: np.where((z > 1) | ~(z > -1), z, -z) + np.where(z, 1, 2),
    "clip": lambda z: np.clip(z, -1, 1) + z.clip(0) + np.clip(z, None, 2.0) + np.minimum(6, np.maximum(z, 0)),
    "select": lambda z: np.select([z < -1, z < 1], [z**2, np.tanh(z)], default=-z),
    "yes and yes": lambda z: ((z > 10) + (z > 20)) * z,
    "truths": lambda z: ((z > 1) ^ (z < 2)) * z + (z > 0) + (z == 0) * 3.0 + (z > 1).astype(float),
    "copies": lambda z: np.copy(z) + z.copy() + z.astype(float) + np.ones_like(z) + np.zeros_like(z),
    "copyto": lambda z: (a := z * 2, np.copyto(a, z**2, where=z > 0), np.putmask(a, z > 3, 1.5))[0],
    "polyval": lambda z: np.polyval([2.0, -1.0, 3.0], z) + np.sinc(z) + np.isnan(z),
    "finite": lambda z: np.nan_to_num(z, posinf=1.0, neginf=-1.0),
    "rounding": lambda z: np.round(z) + np.floor(z) - np.ceil(z) + np.trunc(z) + z.round(),
    "two results": lambda z: np.divmod(z, 0.7)[0] + divmod(z, 0.7)[1] + np.modf(z)[0] * np.modf(-z)[1],
    "powers": lambda z: z**3 - z**2 + z**1 + z**0 + z**-1 + abs(z) ** 0.5 + np.power(2.0, -abs(z)),
    "minus signs": lambda z: (3 * z + -np.sin(z)) * -np.tanh(z) - -abs(z) + -z / -(z * z + 2),
    "its own": lambda z: sigmoid(z) + erf(z),
    "constant": lambda z: 3.0, "itself": lambda z: z,
}  # fmt: skip


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_what_is_written_with_numpy_is_a_formula_of_the_same_numbers(name):
    function = ELEMENTWISE[name]
    formula = traced(function, ["z"])
    for dtype in (np.float64, np.float32):
        z = probe_numbers([formula], dtype=dtype)
        if dtype == np.float32:
            z = z[abs(z) < 1e5]
        before = z.copy()
        with np.errstate(all="ignore"):
            truth = np.broadcast_to(function(z.copy()), z.shape)
        ours = formula(z)
        assert ours.dtype == dtype
        assert not np.shares_memory(ours, z)
        np.testing.assert_allclose(
            ours, truth, rtol=4 * np.finfo(dtype).eps, atol=1e-6 if dtype == np.float32 else 0
        )
        np.testing.assert_array_equal(z, before)
        assert formula(z[:, None]).shape == (len(z), 1)
        assert formula(z[0]).shape == ()
        assert formula(z[:0]).shape == (0,)


def test_parameters_stay_arguments_texts_and_choices_do_not():
    def function(z, alpha, form, beta):
        if form == "steep" and alpha > 1:
            return alpha * z**3
        return beta * np.where(z > alpha, z, alpha / beta)

    gentle = traced(function, ["z"], {"alpha": 0.5, "form": "steep", "beta": 2.0})
    assert gentle.arguments == ("z", "alpha", "beta")
    np.testing.assert_array_equal(gentle(ANYWHERE, 0.9, 3.0), function(ANYWHERE, 0.9, "steep", 3.0))
    single = ANYWHERE.astype(np.float32)  # where a number meets an array it takes the array's precision
    np.testing.assert_array_equal(
        traced(lambda z, k: z * k, ["z"], {"k": 0.1})(single, 0.1), single * np.float32(0.1)
    )
    steep = traced(function, ["z"], {"alpha": 2, "form": "steep", "beta": 2.0})
    assert not steep.uses("beta")
    np.testing.assert_array_equal(steep(ANYWHERE, 4.0, 0.0), 4 * ANYWHERE**3)
    asked = traced(lambda z, k: z * math.exp(k), ["z"], {"k": 2.0})
    assert asked.arguments == ("z",)
    np.testing.assert_array_equal(gentle.derivative("alpha")(ANYWHERE, 0.5, 2.0), ANYWHERE <= 0.5)
    assert traced(lambda z, n: z**n, ["z"], {"n": True}).arguments == ("z",)


def test_branches_after_long_loops_cost_no_time():
    """Each operation is looked at once, however often it is read."""

    def function(z, k):
        for _ in range(60):
            k = np.sin(k) * k + k
        return z if k > 0 else -z

    np.testing.assert_array_equal(traced(function, ["z"], {"k": 1.0})(ANYWHERE, 1.0), ANYWHERE)
    with pytest.raises(Untraceable, match="takes the truth value of a whole array"):
        traced(lambda k: function(k, k), ["k"])


def test_a_sweep_over_parameters_compiles_once():
    generation = pytest.importorskip("dagnet.engine.compiled.generation")
    from dagnet.engine.compiled.functions import compile_activation, compile_loss

    kept = []
    for value in np.linspace(0.1, 3, 50):
        loss = dagnet.losses()["huber"].bind(delta=value)
        activation = dagnet.activations()["leaky_relu"].bind(negative_slope=value)
        assert compile_loss(loss, "float64") is not None
        assert not compile_activation(activation, "float32").reason
        kept.append(len(generation._kept))
    assert len(set(kept)) == 1


# -- what is refused -----------------------------------------------------------------------------


def line_of_mine(z):
    y = z + 1
    return math.exp(y)


REFUSED = {
    "math": (line_of_mine, "takes float() of a whole array"),
    "if": (lambda z: z if z > 0 else -z, "takes the truth value of a whole array"),
    "sort": (lambda z: np.sort(z), "calls numpy.sort, which has no formula"),
    "a place": (lambda z: z[0] + z, "picks elements by their place"),
    "length": (lambda z: z / len(z), "asks how long its array is"),
    "shape": (lambda z: np.ones(z.shape), "uses ndarray.shape"),
    "elements": (lambda z: np.stack([x for x in z]), "goes through its elements one by one"),  # noqa: C416
    "asarray": (lambda z: np.asarray(z) * 2, "makes a bare array"),
    "a bare array": (lambda z: (a := np.zeros(3), np.add(z, 1, out=a))[0], "writes into an array"),
    "an array beside it": (lambda z: z * np.arange(3.0), "calculates with an array of shape (3,)"),
    "complex": (lambda z: np.real(np.exp(1j * z)), "calculates with a complex"),
    "whole numbers": (lambda z: z.astype(int) * 1.0, "makes numbers of type int64"),
    "bits": (lambda z: (z > 0) & 2, "no truth values"),
    "where=": (lambda z: np.log(z, where=z > 0), "calls numpy.log with where"),
    "a sum": (lambda z: z - z.mean(), "takes the sum along its array"),
    "decimals": (lambda z: np.round(z, 2), "rounds to decimals"),
    "differences of truths": (lambda z: ((z > 1) - (z > 0)) * z, "differences of truth values"),
    "another mask": (lambda z: (a := z * 1, a.__setitem__(z > 0, z[z > 1]))[0], "what was read from others"),
    "a masked read beside all": (lambda z: z + z[z > 0], "puts together what was read by one mask"),
    "a masked read alone": (lambda z: np.exp(z[z > 0]), "returns what stands at a mask's places"),
    "two masks": (lambda z: z[z > 0] * z[z > 1], "puts together what was read by one mask"),
    "a list": (lambda z: [z], "returns a list"),
    "too long": (lambda z: [z := np.sin(z) for _ in range(3000)][-1], "takes more than 2,000 operations"),
    "an error of its own": (lambda z: z / (1 // 0), "raises ZeroDivisionError where it is traced"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_formula_says_why_with_the_line_of_its_source(name):
    function, what = REFUSED[name]
    with pytest.raises(Untraceable) as caught:
        traced(function, ["z"])
    assert what in caught.value.what
    assert what.startswith("returns") or "of test_formula.py: `" in caught.value.what


def test_the_line_is_the_functions_own():
    number = line_of_mine.__code__.co_firstlineno + 2
    with pytest.raises(Untraceable, match=rf"\(line {number} of test_formula\.py: `return math\.exp\(y\)`\)"):
        traced(line_of_mine, ["z"])


@pytest.mark.parametrize(
    "function",
    [
        lambda o, t: (o - o.sum(axis=1)).sum(axis=1),
        lambda o, t: o.max(axis=1, keepdims=True) * t.sum(axis=1),
        lambda o, t: np.where(o > 0, o.sum(axis=1), t),
    ],
)
def test_rows_beside_rows_and_units_are_refused(function):
    with pytest.raises(Untraceable, match=r"shape \(rows,\) and \(rows, units\)"):
        traced(function, ["o", "t"], axis=1)
    masked = lambda o, t: o[o > 0].sum(axis=1)
    for wrong in (lambda o, t: o.sum(axis=0), lambda o, t: o.sum(), lambda o, t: o.sum(axis=(0, 1)), masked):
        with pytest.raises(Untraceable, match="otherwise than over axis=1"):
            traced(wrong, ["o", "t"], axis=1)


# -- as people write it, as data ---------------------------------------------------------------

WRITTEN = {
    r"\frac{e^{-z}}{\left(1 + e^{-z}\right)^{2}}": (lambda z: 1 / (1 + np.exp(-z))),
    r"\sigma\left(z\right) \, \left(1 - \sigma\left(z\right)\right)": sigmoid,
    r"\left(1 - \tanh\left(z\right)\right) \, \left(1 + \tanh\left(z\right)\right)": np.tanh,
    r"0.398942 \, z \, e^{-0.5 \, {z}^{2}}"
    r" + 0.5 \, \left(1 + \operatorname{erf}\left(0.707107 \, z\right)\right)":
        lambda z: 0.5 * z * (1 + erf(z * math.sqrt(0.5))),
    r"-\sin\left(z\right)": np.cos,
    r"3 \, {z}^{2}": lambda z: z**3,
    r"\begin{cases} 1 & z > 0 \\ 0 & \text{otherwise} \end{cases}": lambda z: np.where(z > 0, z, 0.0),
    r"2 \, e^{2 \, z}": lambda z: np.exp(2 * z),
}  # fmt: skip


@pytest.mark.parametrize("latex", WRITTEN)
def test_derivatives_read_as_people_write_them(latex):
    assert traced(WRITTEN[latex], ["z"]).derivative("z").latex == latex


def test_a_sum_beside_a_factor_stands_in_brackets():
    formula = traced(lambda o, t: o.sum(axis=1) * t.max(axis=1), ["o", "t"], axis=1)
    assert formula.latex == r"\left(\sum_u o\right) \, \max_u t"


def test_print_lists_what_is_calculated():
    formula = traced(lambda o, t, k: k * ((o - t) ** 2).mean(axis=1) - 1, ["o", "t"], {"k": 2.0}, axis=1)
    assert str(formula).splitlines() == [
        *("o, t, k ↦", "  t3 = o - t", "  t5 = square(t3)", "  t6 = sum over units of t5"),
        *("  t8 = t6 / number of units", "  t9 = k * t8", "  t11 = t9 - 1", "  return t11"),
    ]


FORMULA = traced(lambda o, t: np.abs(o - t).sum(axis=1), ["o", "t"], axis=1)
BROKEN = {
    "argument": (("o", "x"), None),
    "no argument so late": (("o", "t"), {2: Op("argument", (), "unit", False, "u")}),
    "a form of": (None, {2: FORMULA.ops[2]._replace(form="column")}),
    "what reads earlier operations": (None, {2: FORMULA.ops[2]._replace(reads=(0, 3))}),
    "subtract of all its inputs": (None, {2: FORMULA.ops[2]._replace(reads=(0,))}),
    "of form 'unit'": (None, {2: FORMULA.ops[2]._replace(form="row")}),
    "a reduction of its input": (None, {4: FORMULA.ops[4]._replace(form="unit")}),
    "a known operation": (None, {3: FORMULA.ops[3]._replace(name="gamma")}),
    "of the table's truth": (None, {3: FORMULA.ops[3]._replace(truth=True)}),
    "known results": (None, {}),
}


@pytest.mark.parametrize("what", BROKEN)
def test_each_invariant_is_checked(what):
    FORMULA.verify()
    arguments, changes = BROKEN[what]
    ops = [(changes or {}).get(place, op) for place, op in enumerate(FORMULA.ops)]
    results = (9,) if what == "known results" else FORMULA.results
    with pytest.raises(DagnetError, match=rf"^formula: operation -?\d must be .*{what}"):
        Formula(arguments or FORMULA.arguments, tuple(ops), results)


def test_equal_functions_have_equal_contents_and_pickles_come_back():
    factor = 2.0
    same = [traced(f, ["z"]) for f in (lambda z: 2 * z + 1, lambda z: 1 + factor * z, lambda z: z * 2.0 + 1)]
    assert len({formula.content for formula in same}) == 1
    assert same[0] == same[1]
    assert hash(same[0]) == hash(same[1])
    others = [
        traced(f, ["z"]) for f in (lambda z: 2 * z - 1, lambda z: 2 * z + 1.0000001, lambda z: 2 * z + (-0.0))
    ]
    assert len({formula.content for formula in (*same, *others)}) == 4
    assert traced(lambda z: z - 0.0, ["z"]).results == (0,)
    assert traced(lambda z: z - (-0.0), ["z"]).results != (0,)  # -0.0 - (-0.0) is 0.0
    for formula in (*same, FORMULA, FORMULA.derivative("o")):
        again = pickle.loads(pickle.dumps(formula))
        assert again == formula
        assert again.content == formula.content
    with pytest.raises(AttributeError):
        same[0].results = (0,)


# -- functions that NumPy lacks ----------------------------------------------------------------

NEAR = np.concatenate([np.linspace(-6.5, 6.5, 26001), np.linspace(0.999, 1.001, 2001)])
ANY = np.concatenate([NEAR, np.geomspace(1e-320, 1.0, 4000), [1e4, -1e4, 1e300, -1e300]])


@pytest.mark.parametrize(("dtype", "near"), [(np.float64, 1e-15), (np.float32, 2e-7)])
def test_erf_is_as_good_as_the_standard_librarys(dtype, near):
    x = ANY if dtype == np.float64 else ANY[np.abs(ANY) < 1e30].astype(dtype)
    want, got = np.array([math.erf(float(v)) for v in x]), erf(x)
    assert got.dtype == dtype
    assert np.all(np.abs(got - want) <= near * np.abs(want) + np.finfo(dtype).smallest_subnormal)
    edges = erf(np.array([np.inf, -np.inf, 0.0, -0.0, np.nan], dtype=dtype))
    np.testing.assert_array_equal(edges, np.array([1, -1, 0, 0, np.nan], dtype=dtype))
    assert np.signbit(edges[2:4]).tolist() == [False, True]


def test_erf_is_within_two_units_in_the_last_place_of_mpmath():
    mp = pytest.importorskip("mpmath").mp
    x = ANY[::5]
    with mp.workdps(40):
        want = np.array([float(mp.erf(mp.mpf(float(v)))) for v in x])
    assert np.all(np.abs(erf(x) - want) <= 2 * np.spacing(np.abs(want)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_overflows_exactly_where_numpy_does(dtype):
    largest = np.log(np.finfo(dtype).max)
    z = np.array([largest, *(largest + np.arange(-40, 41) * np.spacing(largest))], dtype=dtype)
    with np.errstate(over="ignore"):
        want = np.exp(z)
    np.testing.assert_array_equal(exp(z), want)
    assert set(np.isinf(want)) == {True, False}
