"""Intervals of the headline from resampled subjects.

Frames of one person are not independent, so whole subjects are resampled: within folds for a fold-mean, over all
subjects otherwise, and once for all folds where the folds test the same subjects (cross-domain). The interval is about
the subjects: what would other people of the same kind have scored. It says nothing about training noise.

Measured coverage of the nominal 95 % interval of the fold-mean F1 (2,000 simulated test sets on the published counts):
94.3 % at 41 subjects (BP4D) and 94.8 % at 27 (DISFA), over five conditions 93.9-95.5 % and 94.2-95.2 %. The percentile
interval reaches 87.8 % and 80.0 %. This folder's README.md has the table and the way to reproduce it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from auharness.errors import UsageError
from auharness.metrics.aggregate import Aggregation, FoldCounts
from auharness.metrics.metric import Metric
from auharness.statistics.headline import Headline

__all__ = [
    "DRAWS",
    "LEVEL",
    "Interval",
    "Method",
    "bootstrap_interval",
    "draw_weights",
    "interval_of",
    "jackknife_error",
]

Method: TypeAlias = Literal["studentised", "percentile"]

DRAWS = 10_000
LEVEL = 0.95
# elements of a block of draws: what is done with a few of its folds' rows stays in the cache of one core
_BLOCK = 1 << 17


@dataclass(frozen=True)
class Interval:
    """A confidence interval and how it was made.

    Attributes:
        low: lower end, in the metric's bounds.
        high: upper end.
        level: nominal coverage, 0..1.
        method: e.g. `studentised`.
        n_clusters: number of subjects or videos resampled; None where the clusters are unknown.
        draws: number of resamples.
        standard_error: jackknife (or bootstrap) standard error of the estimate.
    """

    low: float
    high: float
    level: float
    method: str
    n_clusters: int | None
    draws: int
    standard_error: float


def bootstrap_interval(
    folds: Sequence[FoldCounts],
    metric: Metric,
    *,
    how: Aggregation,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
    method: Method = "studentised",
) -> Interval | None:
    """Return the interval of the headline, or None where there is none to give.

    None is returned for metrics of scores (AUROC, AP) and where a fold or the whole test set has a single subject.

    Args:
        folds: counts by subject; the same that `aggregate` takes.
        metric: what is averaged.
        how: the aggregation that makes the headline.
        level: nominal coverage.
        draws: number of resamples.
        seed: of the resamples; the same seed gives the same interval.
        method: `studentised` (measured coverage in this folder's README.md) or `percentile` (too short for F1).

    Raises:
        UsageError: as `aggregate`, or a level or number of draws that makes no sense.

    >>> from auharness.metrics import METRICS
    >>> fold = FoldCounts("P1", ("F001", "F002"), np.array([[[8, 2, 2, 88]], [[8, 2, 2, 88]]]))
    >>> found = bootstrap_interval([fold], METRICS["f1"], how="pooled")
    >>> found.low, found.high, found.n_clusters
    (0.8, 0.8, 2)
    """
    if metric.needs == "scores":
        return None
    headline = Headline(folds, metric, how)
    if any(len(stratum) < 2 for stratum in headline.strata) or np.isnan(headline.estimate):
        return None
    return interval_of(
        headline.scores,
        headline.delete_one,
        strata=headline.strata,
        bounds=metric.bounds,
        level=level,
        draws=draws,
        seed=seed,
        method=method,
    )


def interval_of(
    scores: Callable[[NDArray[Any]], NDArray[np.float64]],
    delete_one: Callable[[NDArray[Any]], NDArray[np.float64]],
    *,
    strata: tuple[NDArray[np.int64], ...],
    bounds: tuple[float, float],
    level: float,
    draws: int,
    seed: int,
    method: Method,
) -> Interval:
    """Return the interval of any function of cluster weights.

    Studentised: with the estimate t, its jackknife error s, and t*, s* of each resample, the quantiles of
    (t* - t) / s* take the place of those of Student's t (Efron and Tibshirani 1993, ch. 12.5). F1 is a concave function
    of the counts, so a resample scores lower on average; the percentile interval doubles that shift, this one undoes
    it. Where no subject makes a difference (F1 = 0 for all) the interval is a point.

    Args:
        scores: from weights `[D, K]` to `[D]`.
        delete_one: from weights `[D, K]` to `[D, K]`, one copy of each cluster taken away.
        strata: index sets of at least two clusters; together they are all `K`.
        bounds: the interval is cut at these.
        level: nominal coverage, 0.5 to 1.
        draws: number of resamples, at least 100.
        seed: of the resamples.
        method: `studentised` or `percentile`.

    Raises:
        UsageError: level, draws or method out of range.
    """
    if not 0.5 <= level < 1 or draws < 100 or method not in ("studentised", "percentile"):
        raise UsageError(f"interval: level {level}, draws {draws}, method '{method}'; expected 0.5-1, >= 100, a method")
    n_clusters = sum(len(stratum) for stratum in strata)
    ones = np.ones((1, n_clusters))
    estimate = scores(ones)[0]
    error = jackknife_error(delete_one, ones, strata=strata)[0]
    weights = draw_weights(strata, draws=draws, seed=seed)
    resampled = scores(weights)
    tails = ((1 - level) / 2, (1 + level) / 2)
    if method == "percentile":
        low, high = _quantiles(resampled, tails)
    elif error == 0:
        low = high = estimate
    else:
        pivots = _pivots(resampled - estimate, jackknife_error(delete_one, weights, strata=strata))
        lower, upper = _quantiles(pivots, tails)
        low, high = estimate - upper * error, estimate - lower * error
    return Interval(
        low=float(np.clip(low, *bounds)),
        high=float(np.clip(high, *bounds)),
        level=level,
        method=method,
        n_clusters=n_clusters,
        draws=draws,
        standard_error=float(error),
    )


def draw_weights(strata: tuple[NDArray[np.int64], ...], *, draws: int, seed: int) -> NDArray[np.float64]:
    """Return how often each cluster is drawn in each resample, `[draws, K]`; each stratum keeps its size.

    >>> draw_weights((np.array([0, 1]), np.array([2])), draws=100, seed=0).sum(axis=0)[2]
    np.float64(100.0)
    """
    return _drawn(tuple(tuple(map(int, stratum)) for stratum in strata), draws, seed)


@lru_cache(maxsize=1)
def _drawn(strata: tuple[tuple[int, ...], ...], draws: int, seed: int) -> NDArray[np.float64]:
    """As `draw_weights`; the rows of a board share them."""
    generator = np.random.default_rng(seed)
    # the draws of a cluster side by side: what is done with weights runs along them
    weights = np.zeros((draws, sum(map(len, strata))), order="F")
    for stratum in strata:
        size = len(stratum)
        weights[:, stratum] = generator.multinomial(size, np.full(size, 1 / size), size=draws)
    weights.flags.writeable = False
    return weights


def jackknife_error(
    delete_one: Callable[[NDArray[Any]], NDArray[np.float64]],
    weights: NDArray[np.float64],
    *,
    strata: tuple[NDArray[np.int64], ...],
) -> NDArray[np.float64]:
    """Return the delete-one-cluster standard error of each row of weights, `[D]`.

    The variance is the sum over strata of (n - 1) / n times the sum over the stratum's n clusters of the squared
    distance of each delete-one score from their mean (Efron and Tibshirani 1993, eq. 11.5, stratified).

    Args:
        delete_one: from weights `[D, K]` to `[D, K]`.
        weights: `[D, K]`; a cluster drawn twice counts as two.
        strata: index sets.
    """
    step = max(1, _BLOCK // weights.shape[1])
    blocks = [weights[start : start + step] for start in range(0, len(weights), step)]
    return np.concatenate([_error(block, delete_one(block), strata) for block in blocks])


def _error(
    weights: NDArray[np.float64], without: NDArray[np.float64], strata: tuple[NDArray[np.int64], ...]
) -> NDArray[np.float64]:
    """As `jackknife_error`, for the delete-one scores `[D, K]` of few rows."""
    undefined = ~np.isfinite(without)  # infinite only where there is no copy to take away
    if undefined.any():
        without, weights = np.where(undefined, 0.0, without), np.where(undefined, 0.0, weights)
    variance = np.zeros(len(weights))
    for stratum in strata:
        values, copies, size = without[:, stratum], weights[:, stratum], len(stratum)
        centre = np.einsum("dk,dk->d", copies, values) / np.maximum(copies.sum(axis=1), 1)
        values -= centre[:, None]
        variance += (size - 1) / size * np.einsum("dk,dk,dk->d", copies, values, values)
    # what rounding leaves of a variance that is 0
    return np.where(variance < 1e-24, 0.0, np.sqrt(variance))


def _pivots(distance: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return distance / error; infinite where only the error is 0, left out (NaN) where both are."""
    sign = np.sign(np.where(np.abs(distance) < 1e-12, 0.0, distance))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(error > 0, distance / error, np.where(sign == 0, np.nan, sign * np.inf))


def _quantiles(values: NDArray[np.float64], tails: tuple[float, float]) -> tuple[float, float]:
    """Return two order statistics of the defined values; never an average, which two infinities would spoil."""
    low, high = np.quantile(values[~np.isnan(values)], tails, method="inverted_cdf")
    return float(low), float(high)
