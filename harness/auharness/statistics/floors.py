"""What predictors score that look at nothing: the floors beside every number.

They follow from the coded counts of the test parts alone, so any model's counts give the same floors. On BP4D the
all-positive floor is 48.04 F1 (fold-mean); a published 48.3 says little beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.metrics.aggregate import Aggregate, Aggregation, FoldCounts, aggregate
from auharness.metrics.counts import FN, FP, TN, TP
from auharness.metrics.defined import ratio
from auharness.metrics.metric import Metric

__all__ = ["constant_counts", "floors", "majority_confusion", "random_confusion", "random_counts"]


def floors(
    folds: Sequence[FoldCounts],
    metric: Metric,
    *,
    how: Aggregation,
    rates: Mapping[str, NDArray[Any]] | None = None,
) -> dict[str, Aggregate]:
    """Return the score of each trivial predictor under the protocol's own metric and aggregation.

    From counts: `constant-0`, `constant-1` and `random-prior`. From confusion matrices: `majority` and `random-prior`.
    `random-prior` says present (or a class) at the prior rate, independent of the frame; its score is that of the
    expected counts, which is the mean score up to terms that vanish with the number of frames.

    Args:
        folds: counts of any predictor; only the coded frames in them are used.
        metric: a metric of counts or of a confusion matrix.
        how: the aggregation of the headline.
        rates: prior by fold name, `[A]` rates of presence or `[C]` class shares; the training rates where they are
            known. None takes the rates of the test part itself.

    Returns:
        Floors by name, in the order of the table.

    Raises:
        UsageError: as `aggregate`.
    """
    makers: dict[str, Callable[[FoldCounts, NDArray[Any]], NDArray[Any]]]
    if metric.needs == "confusion":
        makers = {"majority": _majority, "random-prior": lambda fold, rate: random_confusion(fold.counts, rate)}
        own = _class_shares
    else:
        makers = {
            "constant-0": lambda fold, _: constant_counts(fold.counts, present=False),
            "constant-1": lambda fold, _: constant_counts(fold.counts, present=True),
            "random-prior": lambda fold, rate: random_counts(fold.counts, rate),
        }
        own = _present_rates
    priors = {fold.name: np.asarray(rates[fold.name]) if rates is not None else own(fold.total) for fold in folds}
    return {
        name: aggregate(
            [FoldCounts(fold.name, fold.clusters, make(fold, priors[fold.name])) for fold in folds], metric, how
        )
        for name, make in makers.items()
    }


def constant_counts(counts: NDArray[Any], *, present: bool) -> NDArray[Any]:
    """Return the counts of a predictor that says present (or absent) for every frame.

    Args:
        counts: `[..., A, 4]` of any predictor on the same frames.
        present: what it says.

    >>> constant_counts(np.array([[8, 2, 3, 87]]), present=True).tolist()
    [[11, 89, 0, 0]]
    """
    result = np.zeros_like(counts)
    result[..., TP if present else FN] = counts[..., TP] + counts[..., FN]
    result[..., FP if present else TN] = counts[..., FP] + counts[..., TN]
    return result


def random_counts(counts: NDArray[Any], rates: NDArray[Any]) -> NDArray[np.float64]:
    """Return the expected counts of a predictor that says present at a fixed rate, whatever the frame shows.

    Args:
        counts: `[..., A, 4]` of any predictor on the same frames.
        rates: `[A]` in [0, 1]; NaN (nothing coded) counts as 0.

    >>> random_counts(np.array([[8, 2, 2, 88]]), np.array([0.5])).tolist()
    [[5.0, 45.0, 5.0, 45.0]]
    """
    rates = np.nan_to_num(np.asarray(rates, dtype=np.float64))
    result = np.empty(counts.shape)
    positives, negatives = counts[..., TP] + counts[..., FN], counts[..., FP] + counts[..., TN]
    result[..., TP], result[..., FN] = positives * rates, positives * (1 - rates)
    result[..., FP], result[..., TN] = negatives * rates, negatives * (1 - rates)
    return result


def majority_confusion(confusion: NDArray[Any], majority: int) -> NDArray[Any]:
    """Return the confusion matrix of a predictor that always names one class.

    Args:
        confusion: `[..., C, C]` of any predictor on the same samples.
        majority: the class it names.

    >>> majority_confusion(np.array([[3, 1], [1, 1]]), 0).tolist()
    [[4, 0], [2, 0]]
    """
    result = np.zeros_like(confusion)
    result[..., majority] = confusion.sum(axis=-1)
    return result


def random_confusion(confusion: NDArray[Any], shares: NDArray[Any]) -> NDArray[np.float64]:
    """Return the expected confusion matrix of a predictor that names classes at fixed shares.

    Args:
        confusion: `[..., C, C]` of any predictor on the same samples.
        shares: `[C]`, summing to 1.

    >>> random_confusion(np.array([[3, 1], [1, 1]]), np.array([0.5, 0.5])).tolist()
    [[2.0, 2.0], [1.0, 1.0]]
    """
    return confusion.sum(axis=-1)[..., None] * np.nan_to_num(np.asarray(shares, dtype=np.float64))


def _majority(fold: FoldCounts, shares: NDArray[Any]) -> NDArray[Any]:
    """Return the confusion matrices of the class with the largest prior; of equal ones the first."""
    return majority_confusion(fold.counts, int(np.argmax(np.nan_to_num(shares))))


def _present_rates(total: NDArray[Any]) -> NDArray[np.float64]:
    """Return the rate of present frames per AU, `[A]`, from counts `[A, 4]`."""
    return ratio(total[..., TP] + total[..., FN], total.sum(axis=-1))


def _class_shares(total: NDArray[Any]) -> NDArray[np.float64]:
    """Return the share of each true class, `[C]`, from a confusion matrix."""
    size = total.sum(axis=-1)
    return ratio(size, np.broadcast_to(size.sum(), size.shape))
