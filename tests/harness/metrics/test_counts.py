import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as sklearn_confusion

from auharness.errors import UsageError
from auharness.metrics import binary_counts, confusion_matrix, grouped_confusion, grouped_counts


def _frames(seed: int = 0, n: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    target = generator.integers(-1, 2, size=(n, 3)).astype(np.int8)
    return target, generator.random((n, 3)) < 0.4, generator.choice(["F002", "F001", "M010"], size=n)


def test_counts_equal_sklearn_over_the_coded_frames() -> None:
    target, predicted, _ = _frames()
    for au, (tp, fp, fn, tn) in enumerate(binary_counts(target, predicted)):
        coded = target[:, au] >= 0
        expected = sklearn_confusion(target[coded, au], predicted[coded, au])
        assert [[tn, fp], [fn, tp]] == expected.tolist()


def test_groups_are_sorted_and_each_equals_its_own_frames() -> None:
    target, predicted, group = _frames()
    names, counts = grouped_counts(target, predicted, group)
    assert names == ("F001", "F002", "M010")
    for name, own in zip(names, counts, strict=True):
        assert own.tolist() == binary_counts(target[group == name], predicted[group == name]).tolist()


def test_subject_without_a_coded_frame_keeps_a_row_of_zeros() -> None:
    names, counts = grouped_counts(np.array([[-1], [1]]), np.array([[True], [True]]), ["b", "a"])
    assert (names, counts.tolist()) == (("a", "b"), [[[1, 0, 0, 0]], [[0, 0, 0, 0]]])


def test_empty_input_counts_nothing() -> None:
    assert binary_counts(np.zeros((0, 2), np.int8), np.zeros((0, 2), bool)).tolist() == [[0] * 4, [0] * 4]


def test_confusion_equals_sklearn_over_the_coded_samples() -> None:
    generator = np.random.default_rng(1)
    target, predicted = generator.integers(-1, 4, size=300), generator.integers(0, 4, size=300)
    coded = target >= 0
    expected = sklearn_confusion(target[coded], predicted[coded], labels=range(5))
    assert confusion_matrix(target, predicted, 5).tolist() == expected.tolist()
    group = generator.choice(["x", "y"], size=300)
    names, grouped = grouped_confusion(target, predicted, group, n_classes=5)
    assert names == ("x", "y")
    assert grouped[0].tolist() == confusion_matrix(target[group == "x"], predicted[group == "x"], 5).tolist()


@pytest.mark.parametrize(
    ("target", "predicted", "message"),
    [
        (np.array([[0], [7]]), np.array([[True], [True]]), "target row 1 holds 7, expected integers from -1 to 1"),
        (np.array([[0.5]]), np.array([[True]]), "target row 0 holds 0.5"),
        (np.array([[np.nan]]), np.array([[True]]), "target row 0 holds nan"),
        (np.array([[1]]), np.array([[0.7]]), "predicted is float64, expected bool"),
        (np.array([[1]]), np.array([[True, False]]), "expected two equal"),
    ],
)
def test_wrong_input_is_named(target: np.ndarray, predicted: np.ndarray, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        binary_counts(target, predicted)


def test_wrong_classes_and_groups_are_named() -> None:
    with pytest.raises(UsageError, match="predicted row 0 holds -1"):
        confusion_matrix(np.array([0]), np.array([-1]), 2)
    with pytest.raises(UsageError, match="target row 0 holds 2"):
        confusion_matrix(np.array([2]), np.array([0]), 2)
    with pytest.raises(UsageError, match="expected two equal"):
        confusion_matrix(np.array([0, 1]), np.array([0]), 2)
    with pytest.raises(UsageError, match="one name for each of the 1 rows"):
        grouped_counts(np.array([[1]]), np.array([[True]]), ["a", "b"])
