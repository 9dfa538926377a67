"""Exponential functions of float32, single or `numba_vectors`, for compiled CPU kernels.

The C library's `exp` is a call per number, which in a scan costs more than everything else. These are straight lines of
arithmetic without branches or tables. All split `2^y` into a whole power, made from the bits of the exponent, and a
polynomial on `|f| <= 1/2`. NaN gives NaN, and overflow inf. What is below the least normal number (1.2e-38) comes out
as 0 or as another number below it.
"""

from typing import Any, Final

import numpy as np

from auharness.ops.numba_vectors import chosen, compiled, times_power

__all__ = ["LOG2E", "exp", "exp2", "exp2_and_less_one", "expm1", "sigmoid", "softplus"]

Number = Any
"""A float32, or a vector of them."""

# numbers of Python are float64 to the compiler, so every constant is spelt as float32
LOG2E: Final = np.float32(1 / np.log(2))
_LN2: Final = np.float32(np.log(2))
_ZERO, _HALF, _ONE, _TWO = (np.float32(x) for x in (0, 0.5, 1, 2))

# adding it rounds to a whole number, found in the low bits; the high bits fall off when that is shifted to the exponent
_ROUND: Final = np.float32(1.5 * 2**23)

# ln 2 in two parts, the first with so few bits that its product with a whole exponent is exact
_LN2_HIGH: Final = np.float32(0.693359375)
_LN2_LOW: Final = np.float32(np.log(2) - 0.693359375)

# between these exponents bits can be added; at the first the result is 0, at the last inf
_LEAST, _MOST = np.float32(-127), np.float32(128)
_LEAST_SHIFTED: Final = np.float32(_ROUND - 126)
# between these arguments `exp` is a normal number
_EXP_LEAST, _EXP_MOST, _INF = np.float32(-87.33654), np.float32(88.72284), np.float32(np.inf)

# 2^f = 1 + f P(f) on [-1/2, 1/2] with the least greatest relative error (2e-9)
_P1, _P2, _P3, _P4, _P5, _P6 = (
    np.float32(x)
    for x in (
        0.6931472028550641,
        0.24022647913629006,
        0.055503324711267524,
        0.009618437357657748,
        0.0013398874413833098,
        0.0001535336191226238,
    )
)
# e^r - 1 = r + r^2 (1/2! + r/3! + ...), next term 1.5e-8 of the result at r = ln(2) / 2
_E2, _E3, _E4, _E5, _E6, _E7 = (np.float32(1 / x) for x in (2, 6, 24, 120, 720, 5040))
# log(1 + e) = 2 artanh(s) = 2 s (1 + s^2/3 + s^4/5 + ...), s = e / (2 + e), next term 1.4e-8 of the result at e = 1
_L3, _L5, _L7, _L9, _L11, _L13 = (np.float32(2 / x) for x in (3, 5, 7, 9, 11, 13))


@compiled
def exp2(x: Number) -> Number:
    """Return `2^x`; relative error below 1e-7."""
    x = _clamped(x)
    shifted = x + _ROUND
    f = x - (shifted - _ROUND)
    p = _ONE + f * (_P1 + f * (_P2 + f * (_P3 + f * (_P4 + f * (_P5 + f * _P6)))))
    return times_power(p, shifted)


@compiled
def exp2_and_less_one(x: Number) -> tuple[Number, Number]:
    """Return `2^x`, here 0 already up to 2^-125.5, and `2^x - 1`, exact also near 0; relative errors below 2e-7."""
    x = _clamped(x)
    shifted = x + _ROUND
    return _power_and_less_one((x - (shifted - _ROUND)) * _LN2, shifted)


@compiled
def exp(x: Number) -> Number:
    """Return `e^x`; relative error below 1e-7."""
    shifted = x * LOG2E + _ROUND
    power = times_power(_ONE + _less_one_near_zero(_remainder(x, shifted)), shifted)
    return chosen(x, _EXP_LEAST, _ZERO, chosen(x, _EXP_MOST, power, x + _INF))


@compiled
def expm1(x: Number) -> Number:
    """Return `e^x - 1`, exact also near 0; relative error below 2e-7."""
    shifted = _clamped(x * LOG2E) + _ROUND
    # clamped numbers leave a remainder that is too large
    r = _remainder(x, shifted)
    r = chosen(r, _ZERO - _HALF, _ZERO - _HALF, r)
    return _power_and_less_one(chosen(_HALF, r, _HALF, r), shifted)[1]


@compiled
def softplus(x: Number) -> Number:
    """Return `log(1 + e^x)`; relative error below 2e-7."""
    e = exp(_minus_magnitude(x))
    s = e / (_TWO + e)
    z = s * s
    # artanh's 2 s is e - e s, which rounds less
    tail = e - s * (e - z * (_L3 + z * (_L5 + z * (_L7 + z * (_L9 + z * (_L11 + z * _L13))))))
    return chosen(x, _ZERO, _ZERO, x) + tail


@compiled
def sigmoid(x: Number) -> Number:
    """Return `1 / (1 + e^-x)`, the derivative of `softplus`; relative error below 2e-7."""
    e = exp(_minus_magnitude(x))
    return chosen(x, _ZERO, e, _ONE) / (_ONE + e)


@compiled
def _clamped(x: Number) -> Number:
    x = chosen(x, _LEAST, _LEAST, x)
    return chosen(_MOST, x, _MOST, x)


@compiled
def _minus_magnitude(x: Number) -> Number:
    return chosen(x, _ZERO, x, _ZERO - x)


@compiled
def _remainder(x: Number, shifted: Number) -> Number:
    """Return `x - k ln 2` for `shifted = k + _ROUND`."""
    k = shifted - _ROUND
    return (x - k * _LN2_HIGH) - k * _LN2_LOW


@compiled
def _less_one_near_zero(r: Number) -> Number:
    return r + r * r * (_E2 + r * (_E3 + r * (_E4 + r * (_E5 + r * (_E6 + r * _E7)))))


@compiled
def _power_and_less_one(r: Number, shifted: Number) -> tuple[Number, Number]:
    """Return `2^k e^r` and that less one for `shifted = k + _ROUND`, k from -127 to 128, `|r| <= 1/2`."""
    e = _less_one_near_zero(r)
    # half the power is finite for every k, and 0 for the least two
    half = chosen(_LEAST_SHIFTED, shifted, times_power(_HALF, shifted), _ZERO)
    return _TWO * (half * e + half), _TWO * (half * e + (half - _HALF))
