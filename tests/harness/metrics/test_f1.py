import numpy as np
import pytest
from sklearn.metrics import f1_score

from auharness.metrics import binary_counts, f1


def test_f1_equals_sklearn() -> None:
    generator = np.random.default_rng(0)
    target = (generator.random((400, 3)) < [0.5, 0.2, 0.05]).astype(np.int8)
    predicted = generator.random((400, 3)) < 0.3
    expected = [f1_score(target[:, au], predicted[:, au]) for au in range(3)]
    assert f1(binary_counts(target, predicted)) == pytest.approx(expected, abs=1e-12)


def test_present_and_never_predicted_is_zero() -> None:
    assert f1(np.array([[0, 0, 3, 97]])).tolist() == [0.0]


def test_absent_and_predicted_is_zero() -> None:
    assert f1(np.array([[0, 3, 0, 97]])).tolist() == [0.0]


def test_f1_is_undefined_only_where_nothing_is_present_and_nothing_predicted() -> None:
    counts = np.array([[tp, fp, fn, 5] for tp in (0, 1) for fp in (0, 1) for fn in (0, 1)])
    assert np.isnan(f1(counts)).tolist() == [True] + [False] * 7


def test_leading_axes_are_kept() -> None:
    counts = np.random.default_rng(1).integers(1, 9, size=(2, 3, 5, 4))
    assert f1(counts).shape == (2, 3, 5)
    assert f1(counts)[1, 2].tolist() == f1(counts[1, 2]).tolist()
