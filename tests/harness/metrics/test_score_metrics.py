"""AUROC, average precision and the F1 of the best threshold against scikit-learn, ties included."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from auharness.errors import UsageError
from auharness.metrics import auroc, average_precision, f1_max


@pytest.mark.parametrize("levels", [2, 5, 100_000])
@pytest.mark.parametrize("seed", [0, 1])
def test_both_equal_sklearn_with_many_and_few_ties(levels: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    target = generator.integers(-1, 2, size=(300, 2))
    score = (generator.integers(0, levels, size=(300, 2)) + levels // 2 * (target == 1)) / levels
    for au in range(2):
        coded = target[:, au] >= 0
        assert auroc(target, score)[au] == pytest.approx(roc_auc_score(target[coded, au], score[coded, au]), abs=1e-12)
        expected = average_precision_score(target[coded, au], score[coded, au])
        assert average_precision(target, score)[au] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("levels", [2, 7])
def test_f1_max_is_the_best_of_all_thresholds(levels: int) -> None:
    generator = np.random.default_rng(levels)
    target = generator.integers(-1, 2, size=(200, 2))
    score = generator.integers(0, levels, size=(200, 2)) + (target == 1)
    for au in range(2):
        coded = target[:, au] >= 0
        true, values = target[coded, au], score[coded, au]
        best = max(f1_score(true, values >= value) for value in np.unique(values))
        assert f1_max(target, score)[au] == pytest.approx(best, abs=1e-12)


def test_f1_max_of_a_constant_is_that_of_always_saying_present() -> None:
    target = np.array([1, 0, 0, 0])
    assert f1_max(target, np.zeros(4)) == f1_score(target, np.ones(4))


def test_constant_score_gives_one_half_and_the_rate() -> None:
    target = np.array([1, 0, 0, 0])
    assert auroc(target, np.zeros(4)) == 0.5
    assert average_precision(target, np.zeros(4)) == 0.25


@pytest.mark.parametrize("value", [0, 1, -1])
def test_one_class_is_undefined(value: int) -> None:
    target, score = np.full((5, 1), value), np.arange(5.0)[:, None]
    assert np.isnan(auroc(target, score)).all()
    assert np.isnan(average_precision(target, score)).all()
    assert np.isnan(f1_max(target, score)).all()


def test_order_of_frames_changes_nothing() -> None:
    generator = np.random.default_rng(2)
    target, score = generator.integers(0, 2, size=200), generator.integers(0, 4, size=200) / 4
    turn = generator.permutation(200)
    assert auroc(target, score) == auroc(target[turn], score[turn])
    assert average_precision(target, score) == average_precision(target[turn], score[turn])


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(UsageError, match="1 of 2 are NaN or infinite"):
        auroc(np.array([0, 1]), np.array([np.nan, 1.0]))
    with pytest.raises(UsageError, match="expected equal shapes"):
        average_precision(np.array([0, 1]), np.array([1.0]))
