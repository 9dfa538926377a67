import numpy as np
import pytest
from sklearn.metrics import f1_score

from auharness.scoring import best_f1_threshold, decision_values


@pytest.mark.parametrize(("kind", "value"), [("probability", 0.5), ("logit", 0.0), ("margin", 0.0)])
def test_the_fixed_decision_is_probability_one_half(kind: str, value: float) -> None:
    target = np.array([[1, 0], [0, 1]])
    assert decision_values(kind, ("AU1", "AU2"), train_target=target, train_scores=None) == (value, value)


@pytest.mark.parametrize("seed", range(5))
def test_the_tuned_threshold_gives_the_largest_f1_of_all_thresholds(seed: int) -> None:
    chance = np.random.default_rng(seed)
    target = chance.integers(-1, 2, 40)
    scores = (chance.normal(size=40) + target).round(1)
    coded = target >= 0
    best = max(f1_score(target[coded], scores[coded] >= cut) for cut in np.unique(scores[coded]))
    found = best_f1_threshold(target, scores, otherwise=0.0)
    assert f1_score(target[coded], scores[coded] >= found) == pytest.approx(best)
    assert found not in scores[coded] or found == scores[coded].min()


def test_the_threshold_lies_halfway_to_the_next_lower_score() -> None:
    assert best_f1_threshold(np.array([1, 1, 0]), np.array([3.0, 2.0, 1.0]), otherwise=9.0) == 1.5
    assert best_f1_threshold(np.array([1, 1]), np.array([3.0, 2.0]), otherwise=9.0) == 2.0


def test_without_a_positive_row_the_fixed_value_is_kept() -> None:
    assert best_f1_threshold(np.array([0, -1]), np.array([3.0, 2.0]), otherwise=0.5) == 0.5


def test_every_label_has_a_tuned_threshold_of_its_own() -> None:
    target, scores = np.array([[1, 0], [0, 1], [0, 0]]), np.array([[4.0, 0.0], [2.0, 6.0], [1.0, -2.0]])
    assert decision_values("logit", ("AU1", "AU2"), train_target=target, train_scores=scores) == (3.0, 3.0)
