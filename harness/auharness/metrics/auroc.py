"""Area under the ROC curve per AU."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.metrics.thresholds import cumulated, per_column

__all__ = ["auroc"]


def auroc(target: NDArray[Any], score: NDArray[Any]) -> NDArray[np.float64]:
    """Return the probability that a present frame scores above an absent one, ties counting one half.

    Equals scikit-learn's `roc_auc_score`. A constant score gives 0.5.

    Args:
        target: `[n, A]` or `[n]`, -1 = not coded.
        score: as `target`; any monotone score.

    Returns:
        `[A]` (scalar for vectors) in [0, 1]; NaN where only one class is coded.

    Raises:
        UsageError: shapes differ or a score is not finite.

    >>> float(auroc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])))
    0.75
    """
    return per_column(target, score, _area)


def _area(target: NDArray[Any], score: NDArray[Any]) -> float:
    """Return the trapezoid area under (false positive rate, true positive rate)."""
    true, false = (np.concatenate([[0.0], curve]) for curve in cumulated(target, score))
    area = np.sum(np.diff(false) * (true[1:] + true[:-1])) / 2
    return float(area / (true[-1] * false[-1]))
