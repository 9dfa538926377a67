import warnings

import numpy as np
import pytest
from sklearn.metrics import f1_score

from auharness.metrics import METRICS, FoldCounts, aggregate, binary_counts, macro_f1_binary


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("predicted_rate", [0.0, 0.3, 1.0])
def test_macro_f1_equals_sklearn_with_both_labels_even_where_a_class_is_missing(
    rate: float, predicted_rate: float
) -> None:
    generator = np.random.default_rng(0)
    target = (generator.random((200, 3)) < rate).astype(np.int8)
    predicted = generator.random((200, 3)) < predicted_rate
    found = macro_f1_binary(binary_counts(target, predicted))
    for au in range(3):
        said = predicted[:, au].astype(np.int8)
        expected = f1_score(target[:, au], said, labels=[0, 1], average="macro", zero_division=0)
        assert found[au] == pytest.approx(expected, abs=1e-12)


# P = 18 of N = 159: AU2 of SAMM, never predicted
def test_eighteen_missed_of_159_are_47_in_macro_f1_and_0_in_f1_of_the_present_class() -> None:
    target = np.repeat([1, 0], [18, 141])[:, None]
    counts = binary_counts(target, np.zeros((159, 1), bool))
    assert {name: round(float(METRICS[name].compute(counts)[0]), 4) for name in ("macro-f1-binary", "f1")} == {
        "macro-f1-binary": 0.4700,
        "f1": 0.0,
    }


@pytest.mark.parametrize(("present", "predicted"), [(0, False), (1, True)])
def test_a_fold_of_one_class_that_is_all_right_is_one_half_neither_nan_nor_one(present: int, predicted: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        counts = binary_counts(np.full((7, 1), present), np.full((7, 1), predicted))
        assert macro_f1_binary(counts).tolist() == [0.5]
    # what scikit-learn makes of it without `labels`
    assert f1_score(np.full(7, present), np.full(7, int(predicted)), average="macro") == 1.0


def test_a_fold_without_positives_keeps_its_counts_for_the_pool() -> None:
    empty = binary_counts(np.zeros((7, 1), int), np.zeros((7, 1), bool))
    assert empty.tolist() == [[0, 0, 0, 7]]
    other = np.array([[3, 1, 2, 4]])
    folds = [FoldCounts("01", ("01",), empty[None]), FoldCounts("02", ("02",), other[None])]
    pooled = aggregate(folds, METRICS["macro-f1-binary"], "pooled").mean
    assert pooled == pytest.approx(macro_f1_binary(np.array([[3, 1, 2, 11]]))[0])


def test_swapping_present_and_absent_changes_nothing() -> None:
    counts = np.array([[7, 2, 5, 30]])
    assert macro_f1_binary(counts) == macro_f1_binary(counts[:, ::-1])


def test_expected_counts_may_be_fractions() -> None:
    assert macro_f1_binary(np.array([[0.5, 0.5, 0.5, 0.5]])).tolist() == [0.5]


def test_nothing_coded_is_undefined() -> None:
    assert np.isnan(macro_f1_binary(np.zeros((1, 4), dtype=int))).all()
