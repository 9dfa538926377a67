"""The fast means of ratios give what the metric itself gives, undefined labels included."""

from dataclasses import replace

import numpy as np
import pytest

from auharness.metrics import METRICS, Aggregation, FoldCounts, Metric, mean_defined
from auharness.statistics import Headline
from auharness.statistics.bootstrap import draw_weights

FAST = [entry for entry in METRICS.values() if entry.parts is not None]
LABELS = {"counts": (5, 4), "confusion": (4, 4)}


def _counts(metric: Metric, n_clusters: int, *, rare: bool, seed: int = 0) -> np.ndarray:
    """Counts of some clusters; `rare`: most labels or classes are absent from most of them."""
    generator = np.random.default_rng(seed)
    counts = generator.integers(1, 50, size=(n_clusters, *LABELS[metric.needs]))
    if not rare:
        return counts
    # a class that is absent is also never predicted; neither is an AU, whose true negatives alone remain
    absent = generator.random((n_clusters, counts.shape[1], 1)) < 0.8
    if metric.needs == "counts":
        return np.where(absent & (np.arange(4) < 3), 0, counts)
    return np.where(absent | absent.swapaxes(1, 2), 0, counts)


def _folds(metric: Metric, *, rare: bool, shared: bool) -> list[FoldCounts]:
    sizes, names = (6, 5, 4), [f"s{number:02}" for number in range(15)]
    starts = (0, 0, 0) if shared else (0, 6, 11)
    return [
        FoldCounts(f"P{fold}", tuple(names[start : start + size]), _counts(metric, size, rare=rare, seed=fold))
        for fold, (start, size) in enumerate(zip(starts, sizes, strict=True))
    ]


def test_every_metric_of_counts_but_the_weighted_mean_is_fast() -> None:
    slow = {entry.name for entry in METRICS.values() if entry.parts is None and entry.needs != "scores"}
    assert slow == {"weighted-f1"}


@pytest.mark.parametrize("metric", FAST, ids=lambda entry: entry.name)
def test_parts_are_linear_and_their_mean_ratio_is_the_mean_over_labels(metric: Metric) -> None:
    assert metric.parts is not None
    counts = _counts(metric, 6, rare=False)
    numerator, denominator = metric.parts(counts)
    summed = metric.parts(counts.sum(axis=0))
    np.testing.assert_array_equal([numerator.sum(axis=0), denominator.sum(axis=0)], summed)
    expected = mean_defined(metric.by_label(counts))[0]
    np.testing.assert_allclose((numerator / denominator).mean(axis=-1), expected, rtol=1e-13)


@pytest.mark.parametrize("rare", [False, True], ids=["all-defined", "labels-undefined"])
@pytest.mark.parametrize(("how", "shared"), [("fold-mean", False), ("fold-mean", True), ("pooled", False)])
@pytest.mark.parametrize("metric", FAST, ids=lambda entry: entry.name)
def test_scores_and_delete_one_are_those_of_the_metric(
    metric: Metric, how: Aggregation, shared: bool, rare: bool
) -> None:
    folds = _folds(metric, rare=rare, shared=shared)
    fast, slow = Headline(folds, metric, how), Headline(folds, replace(metric, parts=None), how)
    weights = draw_weights(fast.strata, draws=300, seed=3)
    np.testing.assert_allclose(fast.scores(weights), slow.scores(weights), rtol=1e-12)
    drawn = weights > 0
    for found, expected in zip(fast.scores_and_rest(1.0 * drawn), slow.scores_and_rest(1.0 * drawn), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(fast.delete_one(weights)[drawn], slow.delete_one(weights)[drawn], rtol=1e-12)


def test_the_rare_folds_of_this_file_do_leave_labels_undefined() -> None:
    for metric in FAST:
        folds = _folds(metric, rare=True, shared=False)
        assert metric.parts is not None
        undefined = any((metric.parts(fold.total)[1] == 0).any() for fold in folds)
        assert undefined == (metric.name not in {"war", "accuracy"})
