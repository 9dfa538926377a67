import itertools

import numpy as np
import pytest
from scipy.stats import permutation_test

from auharness.errors import InconclusiveError, UsageError
from auharness.metrics import AGGREGATIONS, METRICS, Aggregation, FoldCounts, aggregate
from auharness.statistics import compare, compare_family

F1 = METRICS["f1"]


def _model(seed: int, *, size: int = 5, gain: float = 0.0, folds: tuple[str, ...] = ("P1", "P2")) -> list[FoldCounts]:
    """Folds of `size` subjects with 300 frames, 100 of them present, and recall 0.5 + gain."""
    generator = np.random.default_rng(seed)
    result = []
    for fold in folds:
        hits = generator.binomial(100, np.clip(generator.normal(0.5 + gain, 0.1, size=(size, 2)), 0, 1))
        false = generator.binomial(200, 0.1, size=(size, 2))
        counts = np.stack([hits, false, 100 - hits, 200 - false], axis=-1)
        result.append(FoldCounts(fold, tuple(f"{fold}-s{index}" for index in range(size)), counts))
    return result


def _exchanged(first: list[FoldCounts], second: list[FoldCounts], how: Aggregation) -> list[float]:
    """All differences over all exchanges of subjects, written out by hand."""
    differences = []
    for swaps in itertools.product([False, True], repeat=sum(len(fold.clusters) for fold in first)):
        swap = iter(swaps)
        one, two = [], []
        for a, b in zip(first, second, strict=True):
            mask = np.array([next(swap) for _ in a.clusters])[:, None, None]
            one.append(FoldCounts(a.name, a.clusters, np.where(mask, b.counts, a.counts)))
            two.append(FoldCounts(a.name, a.clusters, np.where(mask, a.counts, b.counts)))
        differences.append(aggregate(one, F1, how).mean - aggregate(two, F1, how).mean)
    return differences


@pytest.mark.parametrize("how", AGGREGATIONS)
def test_exact_p_value_equals_all_exchanges_written_out(how: Aggregation) -> None:
    first, second = _model(0, size=3, gain=0.05), _model(1, size=3)
    differences = np.array(_exchanged(first, second, how))
    found = compare(first, second, metric=F1, how=how, draws=200)
    assert found.permutations == 2**6
    assert found.difference == pytest.approx(differences[0])
    assert found.p_value == np.mean(np.abs(differences) >= abs(differences[0]) - 1e-12)


def test_random_p_value_agrees_with_scipy_on_a_mean() -> None:
    first, second = _model(2, size=20, gain=0.03, folds=("P1",)), _model(3, size=20, folds=("P1",))
    found = compare(first, second, metric=METRICS["accuracy"], how="subject-mean")
    own = [METRICS["accuracy"].compute(folds[0].counts).mean(axis=1) for folds in (first, second)]
    expected = permutation_test(
        own, lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples", n_resamples=20_000, rng=0
    )
    assert found.permutations == 10_000
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.015)


def test_a_model_equals_itself() -> None:
    found = compare(_model(0), _model(0), metric=F1, how="fold-mean")
    assert (found.difference, found.p_value) == (0.0, 1.0)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == (0.0, 0.0)


def test_a_clear_gain_is_found_and_its_sign_follows_the_order() -> None:
    better, worse = _model(0, size=10, gain=0.3), _model(1, size=10)
    up, down = (compare(a, b, metric=F1, how="fold-mean") for a, b in ((better, worse), (worse, better)))
    assert up.p_value < 0.001
    assert up.interval is not None
    assert down.interval is not None
    assert 0 < up.interval.low < up.difference < up.interval.high
    assert down.interval.high < 0
    assert up.p_value == down.p_value


def test_subjects_shared_by_folds_are_exchanged_in_all_folds_at_once() -> None:
    first, second = _model(0, size=4), _model(1, size=4)
    shared = [[FoldCounts(f.name, ("a", "b", "c", "d"), f.counts) for f in folds] for folds in (first, second)]
    found = compare(*shared, metric=F1, how="fold-mean")
    assert (found.n_clusters, found.permutations) == (4, 16)


def test_order_of_subjects_does_not_matter() -> None:
    first, second = _model(0), _model(1)
    turned = [FoldCounts(f.name, f.clusters[::-1], f.counts[::-1]) for f in reversed(second)]
    straight, mixed = (compare(first, other, metric=F1, how="fold-mean", draws=500) for other in (second, turned))
    assert straight == mixed


def test_different_subjects_cannot_be_compared() -> None:
    with pytest.raises(InconclusiveError, match="P2-s4"):
        compare(_model(0, size=5), [_model(1, size=5)[0], _model(1, size=4)[1]], metric=F1, how="fold-mean")
    with pytest.raises(InconclusiveError, match="folds differ"):
        compare(_model(0), _model(1, folds=("P1", "P3")), metric=F1, how="fold-mean")


def test_missing_frames_are_told() -> None:
    first, second = _model(0), _model(1)
    assert compare(first, second, metric=F1, how="fold-mean", draws=200).same_frames
    second[0].counts[0, 0, 3] -= 1
    assert not compare(first, second, metric=F1, how="fold-mean", draws=200).same_frames


def test_family_is_adjusted_by_holm() -> None:
    models = {"ours": _model(0, gain=0.1), "b": _model(1), "c": _model(2, gain=0.1)}
    found = compare_family(models, "ours", metric=F1, how="fold-mean", draws=2000)
    assert sorted(found) == ["b", "c"]
    low, high = sorted(found.values(), key=lambda comparison: comparison.p_value)
    assert low.p_adjusted == pytest.approx(2 * low.p_value)
    assert high.p_adjusted == max(high.p_value, low.p_adjusted)
    with pytest.raises(UsageError, match="no model 'theirs'"):
        compare_family(models, "theirs", metric=F1, how="fold-mean")
