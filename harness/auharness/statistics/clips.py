"""Intervals of UAR and WAR from single clips, where nothing is known about who or what film they come from.

Clips of one film or actor are alike, so an interval that treats them as independent is too short. It is offered with
the clusters marked unknown, for data sets that publish neither.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auharness.errors import UsageError
from auharness.metrics.aggregate import Aggregation, FoldCounts
from auharness.metrics.defined import mean_defined
from auharness.metrics.metric import Metric
from auharness.statistics.bootstrap import DRAWS, LEVEL, Interval

__all__ = ["clip_interval"]


def clip_interval(
    folds: Sequence[FoldCounts],
    metric: Metric,
    *,
    how: Aggregation,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval from clips resampled within each fold and true class.

    Drawing n clips of a class with replacement is drawing that row of the confusion matrix from a multinomial, so the
    clips themselves are not needed. UAR and WAR are linear in these rows, so the percentile interval is not shifted.

    Args:
        folds: confusion matrices `[S, C, C]`; the clusters in them are summed.
        metric: a metric of confusion matrices.
        how: `fold-mean` or `pooled`.
        level: nominal coverage.
        draws: number of resamples.
        seed: of the resamples.

    Returns:
        An interval with `n_clusters` None: unknown.

    Raises:
        UsageError: no fold, another kind of metric, or `subject-mean`.
    """
    if not folds or metric.needs != "confusion" or how == "subject-mean":
        raise UsageError(f"clip interval: {metric.name} as {how} of {len(folds)} folds; expected UAR or WAR over folds")
    generator = np.random.default_rng(seed)
    resampled = [_resample(fold.total, generator, draws) for fold in folds]
    if how == "pooled":
        scores = metric.compute(np.sum(resampled, axis=0))
    else:
        scores = mean_defined(np.stack([metric.compute(confusion) for confusion in resampled]), axis=0)[0]
    low, high = np.quantile(scores, ((1 - level) / 2, (1 + level) / 2))
    return Interval(
        low=float(low),
        high=float(high),
        level=level,
        method="percentile over clips within classes, clusters unknown",
        n_clusters=None,
        draws=draws,
        standard_error=float(scores.std(ddof=1)),
    )


def _resample(confusion: NDArray[np.int64], generator: np.random.Generator, draws: int) -> NDArray[np.int64]:
    """Return `[draws, C, C]`, each row of the matrix drawn anew with its own size."""
    rows = [
        generator.multinomial(row.sum(), row / max(1, row.sum()), size=draws)
        if row.any()
        else np.zeros((draws, len(row)), dtype=np.int64)
        for row in confusion
    ]
    return np.stack(rows, axis=1)
