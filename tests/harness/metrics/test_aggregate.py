import numpy as np
import pytest

from auharness.errors import UsageError
from auharness.metrics import METRICS, FoldCounts, aggregate, all_aggregations, are_disjoint, mean_defined

F1 = METRICS["f1"]

# tp, fp, fn, tn; F1 of the rows: P1 a (0.5, n/a), b (1, 0); P2 c (2/3, 1)
P1 = FoldCounts("P1", ("a", "b"), np.array([[[1, 1, 1, 7], [0, 0, 0, 10]], [[4, 0, 0, 6], [0, 0, 2, 8]]]))
P2 = FoldCounts("P2", ("c",), np.array([[[1, 0, 1, 8], [3, 0, 0, 7]]]))


def test_fold_mean_is_the_mean_over_folds_of_the_mean_over_aus() -> None:
    found = aggregate([P1, P2], F1, "fold-mean")
    # P1 sums: (5, 1, 1) and (0, 0, 2) -> 10/12 and 0; P2: 2/3 and 1
    assert found.unit_means == pytest.approx({"P1": 5 / 12, "P2": 5 / 6})
    assert found.mean == pytest.approx(0.625)
    assert found.by_label == pytest.approx([0.75, 0.5])


def test_pooled_sums_all_subjects_first() -> None:
    found = aggregate([P1, P2], F1, "pooled")
    # sums: (6, 1, 2) and (3, 0, 2)
    assert found.by_label == pytest.approx([12 / 15, 6 / 8])
    assert found.mean == pytest.approx(0.775)
    assert found.n_units == 1


def test_subject_mean_leaves_out_what_is_undefined_and_says_so() -> None:
    found = aggregate([P1, P2], F1, "subject-mean")
    assert found.unit_means == pytest.approx({"a": 0.5, "b": 0.5, "c": 5 / 6})
    assert found.mean == pytest.approx(11 / 18)
    assert found.n_defined.tolist() == [3, 2]
    assert found.by_label == pytest.approx([(0.5 + 1 + 2 / 3) / 3, 0.5])


def test_confusion_matrices_have_one_value_per_unit() -> None:
    folds = [
        FoldCounts("fd1", ("x",), np.array([[[8, 2], [1, 1]]])),
        FoldCounts("fd2", ("y",), np.array([[[1, 0], [0, 1]]])),
    ]
    found = aggregate(folds, METRICS["uar"], "fold-mean")
    assert found.mean == pytest.approx((0.65 + 1) / 2)
    assert found.by_label.shape == (1,)


def test_folds_that_share_subjects_are_not_pooled() -> None:
    shared = [P1, FoldCounts("P1-again", P1.clusters, P1.counts)]
    assert are_disjoint([P1, P2])
    assert not are_disjoint(shared)
    with pytest.raises(UsageError, match="pooling counts them twice"):
        aggregate(shared, F1, "pooled")
    found = all_aggregations(shared, F1)
    assert found["pooled"] is None
    assert found["subject-mean"] is not None
    assert found["subject-mean"].n_units == 4


@pytest.mark.parametrize(
    ("folds", "metric", "how", "message"),
    [
        ([], "f1", "pooled", "no fold"),
        ([P1, P1], "f1", "fold-mean", "different names"),
        ([P1], "auroc", "fold-mean", "not a function of counts"),
        ([P1], "f1", "median", "unknown aggregation 'median'"),
    ],
)
def test_meaningless_requests_are_refused(folds: list[FoldCounts], metric: str, how: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        aggregate(folds, METRICS[metric], how)  # type: ignore[arg-type]  # wrong on purpose


def test_fold_with_a_subject_twice_or_without_subjects_is_refused() -> None:
    with pytest.raises(UsageError, match="each once"):
        FoldCounts("P1", ("a", "a"), np.zeros((2, 1, 4)))
    with pytest.raises(UsageError, match="each once"):
        FoldCounts("P1", (), np.zeros((0, 1, 4)))
    with pytest.raises(UsageError, match="expected"):
        FoldCounts("P1", ("a",), np.zeros((2, 1, 4)))


def test_mean_defined_counts_its_members() -> None:
    mean, n_defined = mean_defined(np.array([[1.0, np.nan], [np.nan, np.nan], [0.0, 1.0]]))
    assert np.allclose(mean, [1.0, np.nan, 0.5], equal_nan=True)
    assert n_defined.tolist() == [1, 0, 2]
