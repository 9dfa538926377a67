import numpy as np
import pytest

from auharness.errors import UsageError
from auharness.metrics import METRICS, FoldCounts
from auharness.statistics import clip_interval


def test_spread_of_war_is_the_binomial_one() -> None:
    confusion = np.array([[80, 20], [30, 70]])
    found = clip_interval([FoldCounts("fd1", ("all",), confusion[None])], METRICS["war"], how="fold-mean")
    # strata of 100 clips with shares 0.8 and 0.7
    error = np.sqrt(100 * 0.8 * 0.2 + 100 * 0.7 * 0.3) / 200
    assert found.standard_error == pytest.approx(error, rel=0.03)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.05)
    assert found.n_clusters is None
    assert "clusters unknown" in found.method


def test_spread_of_uar_averages_over_folds() -> None:
    confusion = np.array([[160, 40], [5, 15]])
    folds = [FoldCounts(name, ("all",), confusion[None]) for name in ("fd1", "fd2")]
    found = clip_interval(folds, METRICS["uar"], how="fold-mean")
    one_fold = np.sqrt(0.8 * 0.2 / 200 + 0.75 * 0.25 / 20) / 2
    assert found.standard_error == pytest.approx(one_fold / np.sqrt(2), rel=0.03)


def test_empty_class_is_left_out() -> None:
    fold = FoldCounts("fd1", ("all",), np.array([[[8, 2, 0], [1, 9, 0], [0, 0, 0]]]))
    found = clip_interval([fold], METRICS["uar"], how="pooled", draws=500)
    assert 0.6 < found.low < 0.85 < found.high <= 1


def test_binary_counts_are_refused() -> None:
    with pytest.raises(UsageError, match="expected UAR or WAR"):
        clip_interval([FoldCounts("P1", ("a",), np.ones((1, 2, 4)))], METRICS["f1"], how="pooled")
