"""The interval that belongs to a protocol's headline."""

from collections.abc import Sequence

from auharness.metrics.aggregate import Aggregation, FoldCounts
from auharness.metrics.metric import Metric
from auharness.statistics.bootstrap import DRAWS, Interval, bootstrap_interval
from auharness.statistics.clips import clip_interval, resamples_clips

__all__ = ["headline_interval"]


def headline_interval(
    folds: Sequence[FoldCounts],
    metric: Metric,
    *,
    how: Aggregation,
    cluster: str = "subject",
    draws: int = DRAWS,
) -> Interval | None:
    """Return the interval of a headline: over its clusters, or over clips within classes where no cluster is known.

    Args:
        folds: counts by cluster.
        metric: the headline's metric.
        how: the headline's aggregation.
        cluster: the protocol's sampling unit.
        draws: number of resamples.

    Returns:
        None where there is none to give; see `bootstrap_interval`.

    Raises:
        UsageError: as `aggregate`, or `clip_interval`.
    """
    if resamples_clips(metric, cluster):
        return clip_interval(folds, metric, how=how, draws=draws)
    return bootstrap_interval(folds, metric, how=how, draws=draws)
