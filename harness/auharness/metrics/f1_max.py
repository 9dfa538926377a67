"""The F1 of the best threshold on the test labels, per AU: what no threshold that was chosen honestly can exceed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.metrics.defined import ratio
from auharness.metrics.thresholds import cumulated, per_column

__all__ = ["f1_max"]


def f1_max(target: NDArray[Any], score: NDArray[Any]) -> NDArray[np.float64]:
    """Return the largest F1 of the present class over all thresholds.

    The threshold of each AU is chosen with the test labels known, so this is no headline: it says how much a fixed
    threshold costs, and is the mark to hold against tuned numbers. A constant score gives that of saying always.

    Args:
        target: `[n, A]` or `[n]`, -1 = not coded.
        score: as `target`; any monotone score.

    Returns:
        `[A]` (scalar for vectors) in [0, 1]; NaN where only one class is coded.

    Raises:
        UsageError: shapes differ or a score is not finite.

    >>> float(f1_max(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])))
    0.8
    """
    return per_column(target, score, _best)


def _best(target: NDArray[Any], score: NDArray[Any]) -> float:
    true, false = cumulated(target, score)
    return float(ratio(2 * true, true + false + true[-1]).max())
