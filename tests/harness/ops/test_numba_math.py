"""The compiled functions against numpy in float64, number by number and vector by vector."""

import numpy as np
import pytest

pytest.importorskip("numba")

from numba import njit

from auharness.ops import numba_math
from auharness.ops.numba_vectors import WIDTH, load, store

LEAST, MOST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, MOST, -MOST, LEAST, -LEAST, 1e-40, 3e4, -3e4], np.float32)
TRUTH = {  # function, greatest relative error
    "exp2": (np.exp2, 1e-7),
    "exp": (np.exp, 1e-7),
    "expm1": (np.expm1, 2e-7),
    "softplus": (lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), 2e-7),
    "sigmoid": (lambda x: np.where(x < 0, np.exp(x), 1) / (1 + np.exp(-np.abs(x))), 2e-7),
}


def arguments():
    near_zero = np.geomspace(1e-37, 1, 20_000)
    halves = np.arange(-140, 140, 0.5)  # where the whole power steps
    around = np.concatenate([np.nextafter(np.float32(halves), np.float32(to)) for to in (-200, 200)])
    everywhere = np.random.default_rng(0).uniform(-150, 150, 200_000)
    parts = (SPECIAL, near_zero, -near_zero, halves, around, np.log(2) * halves, everywhere)
    x = np.concatenate([np.float32(part) for part in parts])
    return x[: len(x) // WIDTH * WIDTH]


@njit
def numbers(function, x, y):
    for i in range(len(x)):
        y[i] = function(x[i])


@njit
def vectors(function, x, y):
    for i in range(0, len(x), WIDTH):
        store(y, i, function(load(x, i)))


@njit
def vector_pairs(function, x, y, z):
    for i in range(0, len(x), WIDTH):
        a, b = function(load(x, i))
        store(y, i, a)
        store(z, i, b)


def check(value, truth, tolerance):
    """Normal numbers are equal within the tolerance; smaller ones are small, greater ones are infinite."""
    normal = (np.abs(truth) >= LEAST) & (np.abs(truth) <= MOST)
    assert np.abs(value[normal] / truth[normal] - 1).max() < tolerance
    assert (np.abs(value[np.abs(truth) < LEAST]) <= LEAST).all()
    assert (value[truth > MOST] == np.inf).all()
    assert (np.isnan(value) == np.isnan(truth)).all()


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:underflow")
@pytest.mark.parametrize("walk", [numbers, vectors], ids=["numbers", "vectors"])
@pytest.mark.parametrize("name", TRUTH)
def test_equals_numpy_over_the_whole_range(name, walk):
    x, (truth, tolerance) = arguments(), TRUTH[name]
    y = np.full_like(x, np.nan)
    walk(getattr(numba_math, name), x, y)
    check(y, truth(x.astype(np.float64)), tolerance)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:underflow")
def test_the_pair_equals_numpy_over_the_whole_range():
    x = arguments()
    power, less_one = np.full_like(x, np.nan), np.full_like(x, np.nan)
    vector_pairs(numba_math.exp2_and_less_one, x, power, less_one)
    wide = x.astype(np.float64)
    check(power, np.where(wide <= -125.5, 0, np.exp2(wide)), 2e-7)
    check(less_one, np.expm1(wide * np.log(2)), 2e-7)


def test_what_underflows_far_is_zero_and_exact_values_stay_exact():
    x = np.float32([-np.inf, -1e30, -128, -20, -1, 0, 1, 127, 128, 1e30, np.inf] + [0] * 5)
    y = np.full_like(x, np.nan)
    vectors(numba_math.exp2, x, y)
    assert y[:11].tolist() == [0, 0, 0, 2**-20, 0.5, 1, 2, 2.0**127, np.inf, np.inf, np.inf]
