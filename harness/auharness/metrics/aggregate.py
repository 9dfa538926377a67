"""One score from several folds: `fold-mean`, `pooled` and `subject-mean`.

With F1(c) the scores per AU of summed counts c, and mean_a over the AUs that have a score:

    fold-mean     mean over folds of     mean_a F1(sum of the fold's subjects)
    pooled                               mean_a F1(sum of all subjects of all folds)
    subject-mean  mean over subjects of  mean_a F1(the subject's own counts)

The AU detection literature prints the fold-mean. In the cross-domain protocols the folds are the source pairs and every
fold tests the same subjects; pooling would count each frame once per fold and is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from auharness.errors import UsageError
from auharness.metrics.defined import mean_defined
from auharness.metrics.metric import Metric

__all__ = [
    "AGGREGATIONS",
    "Aggregate",
    "Aggregation",
    "FoldCounts",
    "aggregate",
    "all_aggregations",
    "are_disjoint",
]

Aggregation: TypeAlias = Literal["fold-mean", "pooled", "subject-mean"]

AGGREGATIONS: tuple[Aggregation, ...] = get_args(Aggregation)


@dataclass(frozen=True, eq=False)
class FoldCounts:
    """The counts of one fold's test part by cluster.

    Attributes:
        name: the fold, e.g. `P1`, or the source pair in cross-domain protocols.
        clusters: names of the subjects (or videos) in the test part, `(S)`, each once.
        counts: `[S, A, 4]` (tp, fp, fn, tn) or confusion matrices `[S, C, C]`; expected counts may be fractional.

    Raises:
        UsageError: no cluster, a cluster twice, or another number of rows than clusters.
    """

    name: str
    clusters: tuple[str, ...]
    counts: NDArray[Any]

    def __post_init__(self) -> None:
        if not self.clusters or len(set(self.clusters)) != len(self.clusters):
            raise UsageError(f"fold {self.name}: cluster names must be given, each once; got {len(self.clusters)}")
        if self.counts.ndim != 3 or len(self.counts) != len(self.clusters):
            raise UsageError(
                f"fold {self.name}: counts are {self.counts.shape}, expected [{len(self.clusters)}, A, 4] or [S, C, C]"
            )

    @cached_property
    def total(self) -> NDArray[Any]:
        """The counts of the whole test part, `[A, 4]` or `[C, C]`."""
        return np.asarray(self.counts.sum(axis=0))


@dataclass(frozen=True, eq=False)
class Aggregate:
    """An aggregated score with its denominators.

    Attributes:
        how: the aggregation.
        mean: the one number, in the metric's bounds.
        by_label: `[A]` per AU (`[1]` for a confusion matrix): mean over the units in which it is defined.
        n_defined: `[A]`, number of those units.
        unit_means: mean over labels by unit (fold; subject, joined with the fold where it occurs in several; `all`).
    """

    how: Aggregation
    mean: float
    by_label: NDArray[np.float64]
    n_defined: NDArray[np.int64]
    unit_means: Mapping[str, float]

    @property
    def n_units(self) -> int:
        """Number of folds, of subjects, or 1 for pooled counts."""
        return len(self.unit_means)


def are_disjoint(folds: Sequence[FoldCounts]) -> bool:
    """Return whether no cluster is tested in two folds."""
    names = [cluster for fold in folds for cluster in fold.clusters]
    return len(set(names)) == len(names)


def aggregate(folds: Sequence[FoldCounts], metric: Metric, how: Aggregation) -> Aggregate:
    """Return the score of all folds under one aggregation.

    Args:
        folds: at least one fold.
        metric: a metric of counts or of a confusion matrix.
        how: `fold-mean`, `pooled` or `subject-mean`.

    Raises:
        UsageError: no fold, a metric that is not computed from counts, an unknown aggregation, or `pooled` over folds
            that share subjects.

    >>> from auharness.metrics import METRICS
    >>> folds = [FoldCounts("P1", ("F001",), np.array([[[8, 2, 2, 88]]]))]
    >>> aggregate(folds, METRICS["f1"], "fold-mean").mean
    0.8
    """
    _check(folds, metric, how)
    if how == "fold-mean":
        units = {fold.name: fold.total for fold in folds}
    elif how == "pooled":
        units = {"all": np.sum([fold.total for fold in folds], axis=0)}
    else:
        units = _subject_units(folds)
    values = metric.by_label(np.stack(list(units.values())))
    by_label, n_defined = mean_defined(values, axis=0)
    means = mean_defined(values)[0]
    return Aggregate(
        how=how,
        mean=float(mean_defined(means)[0]),
        by_label=by_label,
        n_defined=n_defined,
        unit_means={name: float(value) for name, value in zip(units, means, strict=True)},
    )


def all_aggregations(folds: Sequence[FoldCounts], metric: Metric) -> dict[Aggregation, Aggregate | None]:
    """Return every aggregation; `pooled` is None where folds share subjects.

    Raises:
        UsageError: no fold, or a metric that is not computed from counts.
    """
    disjoint = are_disjoint(folds)
    return {how: aggregate(folds, metric, how) if how != "pooled" or disjoint else None for how in AGGREGATIONS}


def _subject_units(folds: Sequence[FoldCounts]) -> dict[str, NDArray[Any]]:
    """Return the counts of each subject, or of each subject in each fold where subjects are shared."""
    disjoint = are_disjoint(folds)
    return {
        cluster if disjoint else f"{fold.name}/{cluster}": counts
        for fold in folds
        for cluster, counts in zip(fold.clusters, fold.counts, strict=True)
    }


def _check(folds: Sequence[FoldCounts], metric: Metric, how: Aggregation) -> None:
    """Stop on a request that has no meaning."""
    if not folds:
        raise UsageError("aggregate: no fold given; score at least one finished unit")
    names = [fold.name for fold in folds]
    if len(set(names)) != len(names) or len({fold.counts.shape[1:] for fold in folds}) != 1:
        raise UsageError(f"aggregate: folds {', '.join(names)} must have different names and equal numbers of labels")
    if metric.needs == "scores":
        raise UsageError(f"aggregate: {metric.name} is not a function of counts; average its values per fold instead")
    if how not in AGGREGATIONS:
        raise UsageError(f"aggregate: unknown aggregation '{how}' (aggregations: {', '.join(AGGREGATIONS)})")
    if how == "pooled" and not are_disjoint(folds):
        raise UsageError("aggregate: the folds test the same subjects, so pooling counts them twice; use fold-mean")
