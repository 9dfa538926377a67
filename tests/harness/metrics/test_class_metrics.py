"""UAR, WAR, macro-F1 and the confusion matrix against scikit-learn on the same samples."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score
from sklearn.metrics import confusion_matrix as sklearn_confusion

from auharness.metrics import class_f1, confusion_matrix, macro_f1, normalise_rows, recall, uar, war, weighted_f1


@pytest.fixture(params=[0, 1, 2])
def samples(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(request.param)
    target = generator.choice(7, size=400, p=[0.4, 0.2, 0.2, 0.1, 0.05, 0.04, 0.01])
    predicted = np.where(generator.random(400) < 0.6, target, generator.integers(0, 7, size=400))
    return target, predicted


def test_all_equal_sklearn(samples: tuple[np.ndarray, np.ndarray]) -> None:
    confusion = confusion_matrix(*samples, 7)
    assert uar(confusion) == pytest.approx(balanced_accuracy_score(*samples))
    assert war(confusion) == pytest.approx(accuracy_score(*samples))
    assert macro_f1(confusion) == pytest.approx(f1_score(*samples, average="macro"))
    assert weighted_f1(confusion) == pytest.approx(f1_score(*samples, average="weighted"))
    assert recall(confusion) == pytest.approx(recall_score(*samples, average=None))
    assert class_f1(confusion) == pytest.approx(f1_score(*samples, average=None))
    assert normalise_rows(confusion) == pytest.approx(sklearn_confusion(*samples, normalize="true"))


def test_class_that_does_not_occur_leaves_the_mean() -> None:
    target, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    confusion = confusion_matrix(target, predicted, 3)
    assert uar(confusion) == pytest.approx(balanced_accuracy_score(target, predicted))
    assert macro_f1(confusion) == pytest.approx(f1_score(target, predicted, average="macro"))
    assert np.isnan(recall(confusion)).tolist() == [False, False, True]


def test_class_that_is_only_predicted_counts_in_f1_but_not_in_uar() -> None:
    target, predicted = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    confusion = confusion_matrix(target, predicted, 3)
    assert class_f1(confusion).tolist() == pytest.approx([2 / 3, 1.0, 0.0])
    assert uar(confusion) == 0.75


def test_nothing_coded_is_undefined() -> None:
    empty = np.zeros((3, 3), dtype=int)
    assert all(np.isnan(metric(empty)) for metric in (uar, war, macro_f1, weighted_f1))


def test_leading_axes_are_kept() -> None:
    stack = np.random.default_rng(0).integers(0, 9, size=(4, 2, 3, 3))
    for metric in (uar, war, macro_f1, weighted_f1):
        assert metric(stack).shape == (4, 2)
        assert metric(stack)[3, 1] == metric(stack[3, 1])


# MAE-DFER on the test part of DFEW's fold 1, counts as released with its code; rows are true classes in label order
MAE_DFER = np.array(
    [
        [454, 7, 10, 14, 2, 1, 1],
        [5, 292, 49, 15, 11, 1, 6],
        [19, 30, 403, 38, 33, 5, 6],
        [9, 9, 49, 336, 22, 3, 7],
        [4, 11, 58, 9, 194, 0, 18],
        [0, 0, 16, 4, 3, 3, 3],
        [1, 20, 23, 17, 48, 1, 71],
    ]
)


def test_a_published_confusion_matrix_gives_the_scores_printed_with_it() -> None:
    assert MAE_DFER.sum(axis=1).tolist() == [489, 379, 534, 435, 294, 29, 181]
    assert [round(100 * float(metric(MAE_DFER)), 2) for metric in (uar, war)] == [62.59, 74.88]
    assert [round(float(metric(MAE_DFER)), 4) for metric in (weighted_f1, macro_f1)] == [0.7441, 0.6357]
