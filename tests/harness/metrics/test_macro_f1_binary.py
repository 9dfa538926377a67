import numpy as np
import pytest
from sklearn.metrics import f1_score

from auharness.metrics import binary_counts, macro_f1_binary


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("predicted_rate", [0.0, 0.3, 1.0])
def test_macro_f1_equals_sklearn_even_where_a_class_is_missing(rate: float, predicted_rate: float) -> None:
    generator = np.random.default_rng(0)
    target = (generator.random((200, 1)) < rate).astype(np.int8)
    predicted = generator.random((200, 1)) < predicted_rate
    expected = f1_score(target[:, 0], predicted[:, 0], average="macro")
    assert macro_f1_binary(binary_counts(target, predicted))[0] == pytest.approx(expected, abs=1e-12)


def test_swapping_present_and_absent_changes_nothing() -> None:
    counts = np.array([[7, 2, 5, 30]])
    assert macro_f1_binary(counts) == macro_f1_binary(counts[:, ::-1])


def test_nothing_coded_is_undefined() -> None:
    assert np.isnan(macro_f1_binary(np.zeros((1, 4), dtype=int))).all()
