"""The headline as a function of cluster weights, which every interval and test of this package evaluates.

Counts add up, so a resample of subjects is a vector of weights w (how often each subject was drawn), its counts are the
matrix product w C, and 10,000 resamples are one product of `[draws, K]` with `[K, A * 4]`. Whole numbers below 2^53 are
exact in float64, so the product does not depend on the order of summation or on the machine.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.metrics.aggregate import Aggregation, FoldCounts, aggregate, are_disjoint
from auharness.metrics.defined import mean_defined, ratio
from auharness.metrics.metric import Metric
from auharness.statistics.ratios import Ratios

__all__ = ["Headline"]

# clusters x labels x draws of a block: its four counts each, 2 MiB of float64, stay in the cache of one core, and its
# product is small enough for OpenBLAS to leave it on one thread
_CHUNK = 1 << 16


class Headline:
    """The mean over labels and units of a metric, for any weighting of the clusters.

    Clusters and folds are sorted by name, so the result does not depend on the order in which they are given. A cluster
    that several folds test (cross-domain) has one weight, used in all of them.

    Attributes:
        clusters: the `K` sorted names of all folds.
        strata: index vectors into `clusters`; resampling stays inside each. For a fold-mean over disjoint folds these
            are the folds, otherwise one stratum holds all clusters.
        estimate: the headline itself (all weights 1).
    """

    def __init__(self, folds: Sequence[FoldCounts], metric: Metric, how: Aggregation) -> None:
        """Check and lay out the counts.

        Raises:
            UsageError: as `aggregate`.
        """
        self.estimate = aggregate(folds, metric, how).mean
        self.clusters = tuple(sorted({cluster for fold in folds for cluster in fold.clusters}))
        self._metric = metric
        self._label_count = int(np.prod(folds[0].counts.shape[1:]))
        position = {cluster: index for index, cluster in enumerate(self.clusters)}
        ordered = sorted(folds, key=lambda fold: fold.name)
        members = [np.array([position[cluster] for cluster in fold.clusters]) for fold in ordered]
        by_fold = how == "fold-mean" and are_disjoint(folds)
        if by_fold and all(len(member) == 1 for member in members):
            # leave one subject out: the fold-mean is the subject-mean, and inside a fold nothing can be resampled
            how, by_fold = "subject-mean", False
        self.strata = tuple(np.sort(member) for member in members) if by_fold else (np.arange(len(self.clusters)),)
        self._subject_sums: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        if how == "subject-mean":
            self._subject_sums = self._sum_by_subject(ordered, members)
        elif how == "pooled":
            ordered = [FoldCounts("all", self.clusters, _scatter(ordered, members, len(self.clusters)))]
            members = [np.arange(len(self.clusters))]
        self._units = [
            (member, np.asarray(fold.counts, np.float64)) for member, fold in zip(members, ordered, strict=True)
        ]
        self._ratios = None if metric.parts is None else Ratios(self._units, metric.parts)

    def scores(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return the headline of each row of weights.

        Args:
            weights: `[D, K]`, how often each cluster counts; 0 leaves it out.

        Returns:
            `[D]`; NaN where nothing is defined.
        """
        weights = np.asarray(weights, np.float64)
        if self._subject_sums is not None:
            numerator, denominator = self._subject_sums
            return ratio(weights @ numerator, weights @ denominator)
        if self._ratios is None:
            return self._scores(weights)
        return self._defined(self._ratios.scores(weights.T), weights)

    def scores_and_rest(self, weights: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the headline of each row of weights and of all clusters that it leaves out.

        Args:
            weights: `[D, K]`, 1 or 0.

        Returns:
            Two `[D]`, as `scores(weights)` and `scores(1 - weights)`.
        """
        weights = np.asarray(weights, np.float64)
        if self._ratios is None or self._subject_sums is not None:
            return self.scores(weights), self.scores(1.0 - weights)
        found, rest = self._ratios.scores_and_rest(weights.T)
        return self._defined(found, weights), self._defined(rest, 1.0 - weights if np.isnan(rest).any() else weights)

    def delete_one(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return the headline of each row of weights with one copy of each cluster taken away in turn.

        Args:
            weights: `[D, K]`.

        Returns:
            `[D, K]`; entries of clusters with weight 0 have no meaning.
        """
        weights = np.asarray(weights, np.float64)
        if self._subject_sums is not None:
            numerator, denominator = self._subject_sums
            return ratio(
                (weights @ numerator)[:, None] - numerator,
                (weights @ denominator)[:, None] - denominator,
            )
        if self._ratios is None:
            return self._delete_one(weights)
        found = self._ratios.delete_one(weights.T).T
        undefined = (np.isnan(found) & (weights > 0)).any(axis=1)
        if undefined.any():
            found[undefined] = self._delete_one(weights[undefined])
        return found

    def _defined(self, found: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fill in the scores of rows in which a label is undefined."""
        undefined = np.isnan(found)
        if undefined.any():
            found[undefined] = self._scores(weights[undefined])
        return found

    def _scores(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `scores`, by the metric itself, which knows what to do where a label is undefined."""
        units = [self._mean_over_labels(_weighted(weights[:, member], counts)) for member, counts in self._units]
        return mean_defined(np.stack(units, axis=-1))[0]

    def _delete_one(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `delete_one`, by the metric itself."""
        step = max(1, _CHUNK // (len(self.clusters) * self._label_count))
        if len(weights) > step:
            chunks = [self._delete_one(weights[start : start + step]) for start in range(0, len(weights), step)]
            return np.concatenate(chunks)
        by_unit = np.empty((len(self._units), len(weights), len(self.clusters)))
        for scores, (member, counts) in zip(by_unit, self._units, strict=True):
            total = _weighted(weights[:, member], counts)
            # taking a cluster away changes only the folds that test it
            scores[...] = self._mean_over_labels(total)[:, None]
            scores[:, member] = self._mean_over_labels(total[:, None] - counts)
        return mean_defined(by_unit, axis=0)[0] if len(by_unit) > 1 else by_unit[0]

    def _mean_over_labels(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean over AUs of the metric, one axis less than its values."""
        return mean_defined(self._metric.by_label(counts))[0]

    def _sum_by_subject(
        self, folds: Sequence[FoldCounts], members: Sequence[NDArray[np.int64]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return, per cluster, the sum of its own scores over the folds and the number of folds that define one."""
        numerator, denominator = np.zeros((2, len(self.clusters)))
        for fold, member in zip(folds, members, strict=True):
            own = self._mean_over_labels(np.asarray(fold.counts, np.float64))
            numerator[member] += np.nan_to_num(own)
            denominator[member] += ~np.isnan(own)
        return numerator, denominator


def _weighted(weights: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the summed counts `[D, A, 4]` of each row of weights `[D, S]` over counts `[S, A, 4]`."""
    flat = weights @ counts.reshape(len(counts), -1)
    return flat.reshape(len(weights), *counts.shape[1:])


def _scatter(folds: Sequence[FoldCounts], members: Sequence[NDArray[np.int64]], n_clusters: int) -> NDArray[Any]:
    """Return the counts of disjoint folds in the order of the sorted clusters, `[K, A, 4]`."""
    counts = np.zeros((n_clusters, *folds[0].counts.shape[1:]))
    for fold, member in zip(folds, members, strict=True):
        counts[member] = fold.counts
    return counts
