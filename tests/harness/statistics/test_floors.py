from collections.abc import Callable

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import f1_score, recall_score

from auharness.metrics import METRICS, FoldCounts, binary_counts, confusion_matrix
from auharness.statistics import floors
from auharness.statistics.floors import constant_counts, random_counts

Published = Callable[[str], list[FoldCounts]]


# the published counts' all-positive F1 per test part; recomputed independently from the label lists
@pytest.mark.parametrize(
    ("dataset", "by_part", "fold_mean"),
    [("bp4d", [45.88, 47.98, 50.25], 48.04), ("disfa", [16.08, 18.30, 21.38], 18.59)],
)
def test_all_positive_floor_equals_the_published_one(
    published: Published, dataset: str, by_part: list[float], fold_mean: float
) -> None:
    floor = floors(published(dataset), METRICS["f1"], how="fold-mean")["constant-1"]
    assert [round(100 * value, 2) for value in floor.unit_means.values()] == by_part
    assert round(100 * floor.mean, 2) == fold_mean


def test_floors_do_not_depend_on_the_predictions(published: Published) -> None:
    folds = published("disfa")
    moved = [FoldCounts(fold.name, fold.clusters, fold.counts[..., [2, 3, 0, 1]]) for fold in folds]
    for name, floor in floors(folds, METRICS["f1"], how="fold-mean").items():
        assert floor.mean == floors(moved, METRICS["f1"], how="fold-mean")[name].mean


def test_constant_zero_scores_zero_f1_where_every_au_occurs(published: Published) -> None:
    assert floors(published("bp4d"), METRICS["f1"], how="fold-mean")["constant-0"].mean == 0


def test_random_floor_is_the_rate_itself_for_f1_at_the_test_rate() -> None:
    # with independent prediction at rate r = prevalence: precision = recall = r
    fold = FoldCounts("P1", ("a",), np.array([[[0, 0, 300, 700], [0, 0, 50, 950]]]))
    floor = floors([fold], METRICS["f1"], how="pooled")["random-prior"]
    assert floor.by_label == pytest.approx([0.3, 0.05])


def test_random_floor_takes_the_training_rate_when_given() -> None:
    fold = FoldCounts("P1", ("a",), np.array([[[0, 0, 300, 700]]]))
    floor = floors([fold], METRICS["f1"], how="pooled", rates={"P1": np.array([0.6])})["random-prior"]
    assert floor.mean == pytest.approx(2 * 0.3 * 0.6 / (0.3 + 0.6))  # harmonic mean of precision 0.3, recall 0.6


def test_random_counts_are_the_mean_of_simulated_predictions() -> None:
    generator = np.random.default_rng(0)
    target = (generator.random((2000, 2)) < [0.3, 0.1]).astype(np.int8)
    rates = np.array([0.4, 0.2])
    base = binary_counts(target, np.zeros(target.shape, dtype=bool))
    simulated = np.mean([binary_counts(target, generator.random(target.shape) < rates) for _ in range(400)], axis=0)
    assert np.allclose(random_counts(base, rates), simulated, atol=4)


def test_constant_one_equals_sklearn_on_frames() -> None:
    target = (np.random.default_rng(1).random((500, 1)) < 0.2).astype(np.int8)
    counts = constant_counts(binary_counts(target, target == 0), present=True)
    floor = METRICS["f1"].compute(counts)
    assert floor[0] == pytest.approx(f1_score(target[:, 0], np.ones(500)))


def test_majority_equals_sklearn_dummy() -> None:
    target = np.random.default_rng(2).choice(3, size=300, p=[0.2, 0.5, 0.3])
    dummy = DummyClassifier(strategy="most_frequent").fit(target[:, None], target).predict(target[:, None])
    fold = FoldCounts("fd1", ("all",), confusion_matrix(target, (target + 1) % 3, 3)[None])
    found = floors([fold], METRICS["uar"], how="pooled")
    assert list(found) == ["majority", "random-prior"]
    assert found["majority"].mean == pytest.approx(recall_score(target, dummy, average="macro"))
    assert found["random-prior"].mean == pytest.approx(1 / 3)  # recall of class c is its share; shares sum to 1


def test_majority_follows_the_training_shares() -> None:
    fold = FoldCounts("fd1", ("all",), np.array([[[90, 0], [10, 0]]]))
    floor = floors([fold], METRICS["war"], how="pooled", rates={"fd1": np.array([0.4, 0.6])})["majority"]
    assert floor.mean == pytest.approx(0.1)
