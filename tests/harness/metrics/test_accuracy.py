import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from auharness.metrics import accuracy, binary_counts


def test_accuracy_equals_sklearn_over_the_coded_frames() -> None:
    generator = np.random.default_rng(0)
    target, predicted = generator.integers(-1, 2, size=(300, 1)), generator.random((300, 1)) < 0.5
    coded = target[:, 0] >= 0
    expected = accuracy_score(target[coded, 0], predicted[coded, 0])
    assert accuracy(binary_counts(target, predicted))[0] == pytest.approx(expected)


def test_nothing_coded_is_undefined() -> None:
    assert np.isnan(accuracy(np.zeros((1, 4), dtype=int))).all()
