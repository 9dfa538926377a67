"""What chance reaches on a small test set: mean and 95th percentile of predictors that know only how often.

On 159 clips a predictor that draws lots is often 3 points above its own mean, so its mean alone is no floor. And a
threshold chosen for each AU on the test labels lifts even random scores: some published scripts report that number.
Both follow from the numbers of present and absent clips.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.errors import UsageError
from auharness.metrics import METRICS
from auharness.metrics.aggregate import Aggregate, FoldCounts, aggregate
from auharness.metrics.counts import FN, FP, TN, TP
from auharness.metrics.defined import mean_defined
from auharness.metrics.metric import Metric

__all__ = ["CHANCE_DRAWS", "ORACLE_GRID", "chance_levels"]

CHANCE_DRAWS = 10_000
"""Simulated predictors; the 95th percentile has a standard error of 0.02 points on CASME II and 0.04 on SAMM."""
ORACLE_GRID = tuple(round(0.10 + 0.05 * step, 2) for step in range(16))
"""Thresholds 0.10, 0.15, ..., 0.85 that the script released with AU-LLM tries on the test labels, each with `>`."""
PERCENTILE = 0.95


def chance_levels(
    folds: Sequence[FoldCounts],
    metric: Metric,
    *,
    rates: Mapping[str, NDArray[Any]],
    draws: int = CHANCE_DRAWS,
    seed: int = 0,
) -> dict[str, Aggregate]:
    """Return mean and 95th percentile of two random predictors under the pooled metric.

    `random-prior` says present at the fold's rate, independently for each sample and AU. `random-oracle` gives each
    sample a uniform score and takes, for each AU, the threshold of `ORACLE_GRID` that is best on the test labels.
    In `<name>-p95` the scores of the labels are percentiles of their own, so their mean is not the headline's.

    Args:
        folds: counts of any predictor for one seed; only the coded samples in them are used. Counts summed over seeds
            would make chance look narrower than it is.
        metric: a metric of counts.
        rates: prior by fold name, `[A]` in [0, 1]; NaN counts as 0.
        draws: simulated predictors.
        seed: of the simulation; the same counts and seed give the same levels.

    Returns:
        `random-prior`, `random-prior-p95`, `random-oracle`, `random-oracle-p95`.

    Raises:
        UsageError: as `aggregate` for `pooled`, a metric of something else than counts, or no draws.
    """
    aggregate(folds, metric, "pooled")
    if metric.needs != "counts" or draws < 1:
        raise UsageError(f"chance: {metric.name} with {draws} draws; expected a metric of counts and at least one draw")
    total = [np.asarray(fold.total, np.int64) for fold in folds]
    present = np.stack([counts[:, TP] + counts[:, FN] for counts in total])
    absent = np.stack([counts[:, FP] + counts[:, TN] for counts in total])
    prior = np.nan_to_num(np.stack([np.asarray(rates[fold.name], np.float64) for fold in folds]))
    return dict(_levels(metric.name, present.shape, present.tobytes(), absent.tobytes(), prior.tobytes(), draws, seed))


@lru_cache(maxsize=32)
def _levels(
    metric: str, shape: tuple[int, int], present: bytes, absent: bytes, prior: bytes, draws: int, seed: int
) -> tuple[tuple[str, Aggregate], ...]:
    """As `chance_levels`; every row of a board asks for the same levels, so they are remembered by their counts."""
    positives, negatives = (np.frombuffer(data, np.int64).reshape(shape) for data in (present, absent))
    rates = np.frombuffer(prior, np.float64).reshape(shape)
    generator = np.random.default_rng(seed)
    scores = {
        "random-prior": _prior_scores(METRICS[metric], positives, negatives, rates, draws, generator),
        "random-oracle": _oracle_scores(
            METRICS[metric], positives.sum(axis=0), negatives.sum(axis=0), draws, generator
        ),
    }
    return tuple(item for name, values in scores.items() for item in _summary(name, values))


def _prior_scores(
    metric: Metric,
    positives: NDArray[np.int64],
    negatives: NDArray[np.int64],
    rates: NDArray[np.float64],
    draws: int,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Return `[draws, A]`; `positives`, `negatives` and `rates` are `[F, A]`."""
    found, false = np.zeros((2, draws, positives.shape[1]), np.int64)
    for here, away, rate in zip(positives, negatives, rates, strict=True):
        found += generator.binomial(here, rate, size=found.shape)
        false += generator.binomial(away, rate, size=false.shape)
    return metric.compute(_counts(found, false, positives.sum(axis=0), negatives.sum(axis=0)))


def _oracle_scores(
    metric: Metric,
    positives: NDArray[np.int64],
    negatives: NDArray[np.int64],
    draws: int,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Return `[draws, A]`; `positives` and `negatives` are `[A]`."""
    # a uniform score falls between two neighbouring thresholds as often as they are apart
    shares = np.diff([0.0, *ORACLE_GRID, 1.0])
    size = (draws, len(positives))
    found, false = (
        np.flip(np.cumsum(np.flip(generator.multinomial(count, shares, size=size), -1), axis=-1), -1)[..., 1:]
        for count in (positives, negatives)
    )
    values = metric.compute(_counts(found, false, positives[:, None], negatives[:, None]))
    return np.asarray(np.fmax.reduce(values, axis=-1))


def _counts(
    found: NDArray[np.int64], false: NDArray[np.int64], positives: NDArray[np.int64], negatives: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return counts `[..., 4]` from true and false positives."""
    return np.stack([found, false, positives - found, negatives - false], axis=-1)


def _summary(name: str, values: NDArray[np.float64]) -> list[tuple[str, Aggregate]]:
    """Return mean and percentile of the scores `[draws, A]` of one predictor."""
    means = mean_defined(values)[0]
    by_label, n_defined = mean_defined(values, axis=0)
    high = np.array([_percentile(column) for column in values.T])
    defined = (n_defined > 0).astype(np.int64)
    mean, top = float(mean_defined(means)[0]), _percentile(means)
    return [
        (name, Aggregate("pooled", mean, by_label, defined, {"all": mean})),
        (f"{name}-p95", Aggregate("pooled", top, high, defined, {"all": top})),
    ]


def _percentile(values: NDArray[np.float64]) -> float:
    """Return the 95th percentile of the defined values, an order statistic; NaN where none is defined."""
    defined = values[~np.isnan(values)]
    return float(np.quantile(defined, PERCENTILE, method="inverted_cdf")) if len(defined) else float("nan")
