"""Cumulated true and false positives over all distinct thresholds: what AUROC and AP have in common."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.errors import UsageError

__all__ = ["cumulated", "per_column"]


def cumulated(target: NDArray[Any], score: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return true and false positives at each distinct score, from the highest down.

    Samples with equal scores enter together, so the order of ties cannot matter.

    Args:
        target: `[n]`, 0 or 1.
        score: `[n]`, finite; higher means more likely present.

    Returns:
        True positives and false positives, each `[number of distinct scores]`.
    """
    order = np.argsort(-score, kind="stable")
    score, positive = score[order], target[order] == 1
    last_of_tie = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    true = np.cumsum(positive)[last_of_tie].astype(np.float64)
    return true, last_of_tie + 1.0 - true


def per_column(
    target: NDArray[Any],
    score: NDArray[Any],
    compute: Callable[[NDArray[Any], NDArray[Any]], float],
) -> NDArray[np.float64]:
    """Return `compute(target, score)` for each AU over its coded frames; NaN where only one class is coded.

    Args:
        target: `[n, A]` or `[n]`, -1 = not coded.
        score: as `target`; any monotone score (logit, probability, margin).
        compute: function of two vectors without uncoded frames.

    Returns:
        `[A]`, or a scalar for vectors.

    Raises:
        UsageError: shapes differ or a score is not finite.
    """
    target, score = np.asarray(target), np.asarray(score)
    if target.shape != score.shape:
        raise UsageError(f"scores: target is {target.shape}, score is {score.shape}; expected equal shapes")
    if not np.isfinite(score).all():
        raise UsageError(f"scores: {int((~np.isfinite(score)).sum())} of {score.size} are NaN or infinite")
    if target.ndim == 1:
        return per_column(target[:, None], score[:, None], compute)[0]
    result = np.full(target.shape[1], np.nan)
    for column in range(target.shape[1]):
        coded = target[:, column] >= 0
        present = target[coded, column]
        if (present == 1).any() and (present == 0).any():
            result[column] = compute(present, score[coded, column])
    return result
