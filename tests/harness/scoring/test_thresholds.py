from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from auharness.metrics import METRICS
from auharness.scoring import best_threshold, decision_values

F1, MACRO = METRICS["f1"], METRICS["macro-f1-binary"]
Truth = Callable[[np.ndarray, np.ndarray], float]


def macro(target: np.ndarray, present: np.ndarray) -> float:
    return float(f1_score(target, present, labels=[0, 1], average="macro", zero_division=0))


TRUTHS: dict[str, Truth] = {"f1": f1_score, "macro-f1-binary": macro, "accuracy": accuracy_score}


@pytest.mark.parametrize(("kind", "value"), [("probability", 0.5), ("logit", 0.0), ("margin", 0.0)])
def test_the_fixed_decision_is_probability_one_half(kind: str, value: float) -> None:
    target = np.array([[1, 0], [0, 1]])
    assert decision_values(kind, ("AU1", "AU2"), metric=F1, train_target=target, train_scores=None) == (value, value)


@pytest.mark.parametrize("name", TRUTHS)
@pytest.mark.parametrize("seed", range(5))
def test_the_tuned_threshold_gives_the_largest_value_of_all_thresholds(seed: int, name: str) -> None:
    chance = np.random.default_rng(seed)
    target = chance.integers(-1, 2, 40)
    scores = (chance.normal(size=40) + target).round(1)
    coded, truth = target >= 0, TRUTHS[name]
    cuts = [*np.unique(scores[coded]), np.inf]
    best = max(truth(target[coded], scores[coded] >= cut) for cut in cuts)
    found = best_threshold(target, scores, metric=METRICS[name], otherwise=0.0)
    assert truth(target[coded], scores[coded] >= found) == pytest.approx(best)
    assert found not in scores[coded] or found == scores[coded].min()


def test_another_metric_has_another_threshold() -> None:
    target, scores = np.array([1, 0, 0, 0, 0, 1]), np.array([6.0, 5.0, 4.0, 3.0, 2.0, 5.5])
    low = np.array([1, 0, 0, 0, 1, 1, 0]), np.array([7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    assert best_threshold(target, scores, metric=F1, otherwise=0.0) == 5.25
    assert [best_threshold(*low, metric=metric, otherwise=0.0) for metric in (F1, MACRO)] == [1.5, 6.5]


def test_never_saying_present_is_a_threshold_where_the_metric_rewards_it() -> None:
    target, scores = np.array([0, 0, 0, 0, 0, 0, 0, 0, 1]), np.arange(9.0)[::-1]
    assert best_threshold(target, scores, metric=F1, otherwise=0.5) == 0.0
    assert 8.0 < best_threshold(target, scores, metric=MACRO, otherwise=0.5) < 8.001


def test_the_threshold_lies_halfway_to_the_next_lower_score() -> None:
    assert best_threshold(np.array([1, 1, 0]), np.array([3.0, 2.0, 1.0]), metric=F1, otherwise=9.0) == 1.5
    assert best_threshold(np.array([1, 1]), np.array([3.0, 2.0]), metric=F1, otherwise=9.0) == 2.0


def test_without_a_positive_row_the_fixed_value_is_kept() -> None:
    assert best_threshold(np.array([0, -1]), np.array([3.0, 2.0]), metric=F1, otherwise=0.5) == 0.5


def test_every_label_has_a_tuned_threshold_of_its_own() -> None:
    target, scores = np.array([[1, 0], [0, 1], [0, 0]]), np.array([[4.0, 0.0], [2.0, 6.0], [1.0, -2.0]])
    found = decision_values("logit", ("AU1", "AU2"), metric=F1, train_target=target, train_scores=scores)
    assert found == (3.0, 3.0)
