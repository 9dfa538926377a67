"""The exponent of growth: time ~ length^slope."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

__all__ = ["FROM", "Exponent", "fit_exponent"]

FROM = 1024
"""Shortest sequence that is fitted: below it, fixed costs hide the growth."""


@dataclass(frozen=True)
class Exponent:
    """A fitted slope on log-log axes with its 95 % interval."""

    slope: float
    low: float
    high: float
    points: int


def fit_exponent(lengths: Sequence[int], times: Sequence[float]) -> Exponent | None:
    """Fit log time = a + slope log length by least squares over lengths >= 1024; None below three of them.

    The interval is Student's with n - 2 degrees of freedom.

    >>> fit_exponent([1024, 2048, 4096], [1.0, 2.0, 4.0]).slope
    1.0
    """
    pairs = [(x, y) for x, y in zip(lengths, times, strict=True) if x >= FROM and y > 0]
    if len({x for x, _ in pairs}) < 3:
        return None
    x, y = (np.log2([pair[axis] for pair in pairs]) for axis in (0, 1))
    line = stats.linregress(x, y)
    reach = float(stats.t.ppf(0.975, len(pairs) - 2)) * (0.0 if math.isnan(line.stderr) else float(line.stderr))
    slope = float(line.slope)
    return Exponent(slope, slope - reach, slope + reach, len(pairs))
