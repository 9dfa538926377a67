"""Average precision per AU."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.metrics.thresholds import cumulated, per_column

__all__ = ["average_precision"]


def average_precision(target: NDArray[Any], score: NDArray[Any]) -> NDArray[np.float64]:
    """Return AP = sum of (recall step) x precision over the distinct thresholds, without interpolation.

    Equals scikit-learn's `average_precision_score`. A constant score gives the rate of present frames.

    Args:
        target: `[n, A]` or `[n]`, -1 = not coded.
        score: as `target`; any monotone score.

    Returns:
        `[A]` (scalar for vectors) in [0, 1]; NaN where only one class is coded.

    Raises:
        UsageError: shapes differ or a score is not finite.

    >>> round(float(average_precision(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))), 4)
    0.8333
    """
    return per_column(target, score, _step_sum)


def _step_sum(target: NDArray[Any], score: NDArray[Any]) -> float:
    """Return the sum over thresholds of recall gained times precision there."""
    true, false = cumulated(target, score)
    gained = np.diff(true, prepend=0.0) / true[-1]
    return float(np.sum(gained * true / (true + false)))
