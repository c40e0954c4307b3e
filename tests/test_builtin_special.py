"""erf and exp against the standard library, NumPy and mpmath."""

import math

import numpy as np
import pytest

from dagnet.formula import erf, exp

DTYPES = [np.float32, np.float64]


class TestErf:
    def grid(self):
        near = np.concatenate([np.linspace(-6.5, 6.5, 26001), np.linspace(0.999, 1.001, 2001)])
        return np.concatenate([near, np.geomspace(1e-320, 1.0, 4000), [1e4, -1e4, 1e300, -1e300]])

    def test_is_as_good_as_the_standard_librarys(self):
        x = self.grid()
        want = np.array([math.erf(v) for v in x])
        got = erf(x)
        assert np.all(np.abs(got - want) <= 1e-15 * np.abs(want) + 5e-324)

    def test_is_within_two_units_in_the_last_place_of_mpmath(self):
        mp = pytest.importorskip("mpmath").mp
        x = self.grid()[::5]
        with mp.workdps(40):
            want = np.array([float(mp.erf(mp.mpf(float(v)))) for v in x])
        assert np.all(np.abs(erf(x) - want) <= 2 * np.spacing(np.abs(want)))

    def test_float32(self):
        x = self.grid()
        x = x[np.abs(x) < 1e30].astype(np.float32)
        want = np.array([math.erf(float(v)) for v in x])
        got = erf(x)
        assert got.dtype == np.float32
        assert np.all(np.abs(got - want) <= 2e-7 * np.abs(want) + 1e-45)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_edges(self, dtype):
        x = np.array([np.inf, -np.inf, 0.0, -0.0, np.nan], dtype=dtype)
        got = erf(x)
        np.testing.assert_array_equal(got, np.array([1, -1, 0, 0, np.nan], dtype=dtype))
        assert np.signbit(got[3])
        assert not np.signbit(got[2])


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_overflows_exactly_where_numpy_does(dtype):
    largest = np.log(np.finfo(dtype).max)
    z = np.array([largest, *(largest + np.arange(-40, 41) * np.spacing(largest))], dtype=dtype)
    with np.errstate(over="ignore"):
        want = np.exp(z)
    np.testing.assert_array_equal(exp(z), want)
    assert np.isinf(want).any()
    assert np.isfinite(want).any()
