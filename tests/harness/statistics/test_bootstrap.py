import itertools
import time
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap

from auharness.errors import UsageError
from auharness.metrics import AGGREGATIONS, METRICS, Aggregation, FoldCounts, aggregate, grouped_counts, mean_defined
from auharness.statistics import Headline, bootstrap_interval
from auharness.statistics.bootstrap import draw_weights, jackknife_error

Published = Callable[[str], list[FoldCounts]]
F1 = METRICS["f1"]


def _random_folds(seed: int = 0, *, shared: bool = False, sizes: tuple[int, ...] = (6, 5, 4)) -> list[FoldCounts]:
    generator = np.random.default_rng(seed)
    names = [f"s{index:02d}" for index in range(sum(sizes))]
    folds, start = [], 0
    for number, size in enumerate(sizes):
        size, start = (sizes[0], 0) if shared else (size, start)
        counts = generator.integers(0, 50, size=(size, 3, 4))
        folds.append(FoldCounts(f"P{number}", tuple(names[start : start + size]), counts))
        start += size
    return folds


def _repeat(folds: list[FoldCounts], weights: dict[str, int]) -> list[FoldCounts]:
    """Resample by hand: each subject written out as often as it was drawn."""
    result = []
    for fold in folds:
        index = [i for i, name in enumerate(fold.clusters) for _ in range(weights[name])]
        names = tuple(f"{fold.clusters[i]}-{fold.name}-{copy}" for copy, i in enumerate(index))
        result.append(FoldCounts(fold.name, names, fold.counts[index]))
    return result


@pytest.mark.parametrize("how", AGGREGATIONS)
def test_weighted_score_equals_the_score_of_subjects_written_out(how: Aggregation) -> None:
    folds = _random_folds()
    headline = Headline(folds, F1, how)
    weights = draw_weights(headline.strata, draws=100, seed=1)[:5]
    for row, score in zip(weights, headline.scores(weights), strict=True):
        drawn = {name: int(weight) for name, weight in zip(headline.clusters, row, strict=True)}
        if all(any(drawn[name] for name in fold.clusters) for fold in folds):
            assert score == pytest.approx(aggregate(_repeat(folds, drawn), F1, how).mean, abs=1e-12)


@pytest.mark.parametrize(
    ("how", "shared"),
    [("fold-mean", False), ("pooled", False), ("subject-mean", False), ("fold-mean", True), ("subject-mean", True)],
)
def test_delete_one_equals_scoring_without_that_subject(how: Aggregation, shared: bool) -> None:
    headline = Headline(_random_folds(shared=shared), F1, how)
    weights = 1 + draw_weights(headline.strata, draws=100, seed=2)[:4]
    without = headline.delete_one(weights)
    for column in range(len(headline.clusters)):
        less = weights.copy()
        less[:, column] -= 1
        assert without[:, column] == pytest.approx(headline.scores(less), abs=1e-12)


def test_fold_mean_keeps_the_number_of_subjects_of_each_fold() -> None:
    headline = Headline(_random_folds(), F1, "fold-mean")
    weights = draw_weights(headline.strata, draws=200, seed=0)
    assert [set(weights[:, stratum].sum(axis=1)) for stratum in headline.strata] == [{6.0}, {5.0}, {4.0}]


def test_subjects_shared_by_folds_are_drawn_once_for_all_folds() -> None:
    folds = _random_folds(shared=True)
    headline = Headline(folds, F1, "fold-mean")
    assert len(headline.clusters) == 6
    assert len(headline.strata) == 1
    weights = np.array([[6, 0, 0, 0, 0, 0]])
    only_first = [float(mean_defined(F1.compute(fold.counts[0]))[0]) for fold in folds]
    assert headline.scores(weights)[0] == pytest.approx(np.mean(only_first))


def test_leave_one_subject_out_fold_mean_resamples_the_subjects() -> None:
    folds = _random_folds(sizes=(1,) * 8)
    one_fold = [FoldCounts("all", tuple(f.clusters[0] for f in folds), np.concatenate([f.counts for f in folds]))]
    assert bootstrap_interval(folds, F1, how="fold-mean") == bootstrap_interval(one_fold, F1, how="subject-mean")


def test_order_of_subjects_and_folds_changes_nothing() -> None:
    folds = _random_folds()
    turned = [FoldCounts(f.name, f.clusters[::-1], f.counts[::-1]) for f in reversed(folds)]
    for how in AGGREGATIONS:
        one, two = (bootstrap_interval(given, F1, how=how, draws=500) for given in (folds, turned))
        assert one is not None
        assert one == two


def test_jackknife_error_of_a_mean_is_the_standard_error() -> None:
    # accuracy of subjects with equal frames is a plain mean
    hits = np.random.default_rng(3).integers(0, 100, size=20)
    counts = np.stack([hits, 100 - hits, 0 * hits, 0 * hits], axis=-1)[:, None]
    headline = Headline([FoldCounts("all", tuple(map(str, range(20))), counts)], METRICS["accuracy"], "pooled")
    error = jackknife_error(headline.delete_one, np.ones((1, 20)), strata=headline.strata)[0]
    assert error == pytest.approx(np.std(hits / 100, ddof=1) / np.sqrt(20))


def test_percentile_interval_agrees_with_scipy() -> None:
    fold = _random_folds(sizes=(30,))[0]
    found = bootstrap_interval([fold], F1, how="pooled", method="percentile", seed=4)

    def score(index: np.ndarray) -> float:
        return float(np.mean(F1.compute(fold.counts[index].sum(axis=0))))

    expected = scipy_bootstrap(
        (np.arange(30),), score, n_resamples=4000, method="percentile", vectorized=False, rng=5
    ).confidence_interval
    assert found is not None
    width = found.high - found.low
    assert found.low == pytest.approx(expected.low, abs=0.05 * width)
    assert found.high == pytest.approx(expected.high, abs=0.05 * width)


def test_studentised_interval_of_normal_means_is_close_to_student_t() -> None:
    generator = np.random.default_rng(6)
    hits = np.clip(generator.normal(5000, 500, size=25).round(), 0, 10_000).astype(int)
    counts = np.stack([hits, 10_000 - hits, 0 * hits, 0 * hits], axis=-1)[:, None]
    found = bootstrap_interval(
        [FoldCounts("all", tuple(map(str, range(25))), counts)], METRICS["accuracy"], how="pooled"
    )
    assert found is not None
    half = 2.064 * np.std(hits / 1e4, ddof=1) / 5  # quantile 0.975 of t with 24 degrees of freedom
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


def test_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    folds = _random_folds()
    first, again, other = (bootstrap_interval(folds, F1, how="fold-mean", draws=500, seed=s) for s in (0, 0, 1))
    assert first == again != other


def test_interval_stays_inside_the_bounds_of_the_metric() -> None:
    counts = np.array([[[99, 1, 0, 9]], [[2, 30, 10, 9]], [[99, 0, 1, 0]]])
    found = bootstrap_interval([FoldCounts("all", ("a", "b", "c"), counts)], F1, how="pooled")
    assert found is not None
    assert 0 <= found.low < aggregate([FoldCounts("all", ("a", "b", "c"), counts)], F1, "pooled").mean < found.high <= 1


def test_predictor_that_never_scores_has_a_point_interval(published: Published) -> None:
    found = bootstrap_interval(published("disfa"), F1, how="fold-mean", draws=200)
    assert found is not None
    assert (found.low, found.high, found.n_clusters) == (0.0, 0.0, 27)


def test_no_interval_for_scores_or_for_a_single_subject() -> None:
    folds = _random_folds()
    assert bootstrap_interval(folds, METRICS["auroc"], how="fold-mean") is None
    assert bootstrap_interval(_random_folds(sizes=(1,)), F1, how="pooled") is None
    assert bootstrap_interval(_random_folds(sizes=(5, 1)), F1, how="fold-mean") is None


def test_pooling_folds_that_share_subjects_is_refused() -> None:
    with pytest.raises(UsageError, match="same subjects"):
        bootstrap_interval(_random_folds(shared=True), F1, how="pooled")


@pytest.mark.parametrize("wrong", [{"level": 95.0}, {"draws": 10}, {"method": "bca"}])
def test_senseless_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="expected 0"):
        bootstrap_interval(_random_folds(), F1, how="fold-mean", **wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_rescoring_150000_frames_of_12_aus_with_10000_draws_takes_less_than_five_seconds() -> None:
    generator = np.random.default_rng(7)
    target = (generator.random((150_000, 12)) < 0.3).astype(np.int8)
    predicted = generator.random(target.shape) < 0.1 + 0.6 * target
    subject = np.repeat([f"F{index:03d}" for index in range(41)], 3659)[:150_000]
    start = time.process_time()
    names, counts = grouped_counts(target, predicted, subject)
    edges = [0, 14, 28, 41]
    folds = [FoldCounts(f"P{a}", names[a:b], counts[a:b]) for a, b in itertools.pairwise(edges)]
    assert all(bootstrap_interval(folds, F1, how=how) is not None for how in AGGREGATIONS)
    assert time.process_time() - start < 5
