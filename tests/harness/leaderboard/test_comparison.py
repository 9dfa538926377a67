from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from auharness.errors import InconclusiveError, UsageError
from auharness.leaderboard.comparison import compare_runs, resolve_run
from auharness.results.schema import DataInfo
from auharness.results.store import RunFolder
from auharness.statistics import holm

MakeRun = Callable[..., RunFolder]


def f1_of(run: RunFolder) -> float:
    """Mean over folds of the mean over AUs, by hand."""
    means = []
    for unit in run.finished():
        tp, fp, fn, _ = np.sum([item.counts for item in unit.clusters], axis=0).T
        means.append(np.mean(2 * tp / (2 * tp + fp + fn)))
    return float(np.mean(means))


def test_the_difference_is_that_of_the_two_scores(tmp_path: Path, make_run: MakeRun) -> None:
    a = make_run(tmp_path, model="a", hit=0.6, noise=1)
    b = make_run(tmp_path, model="b", hit=0.8, noise=2)
    (row,) = compare_runs([a, b])
    assert (row.name, row.reference) == ("b (paper)", "a (paper)")
    assert row.result.difference == pytest.approx(f1_of(b) - f1_of(a))
    assert row.result.interval is not None
    assert row.result.interval.low < row.result.difference < row.result.interval.high
    assert row.result.p_value < 0.001
    assert row.result.same_frames


def test_several_comparisons_are_adjusted_by_holm(tmp_path: Path, make_run: MakeRun) -> None:
    runs = [make_run(tmp_path, model=f"m{n}", hit=0.7 + 0.004 * n, noise=n) for n in range(3)]
    found = compare_runs(runs)
    raw = {row.name: row.result.p_value for row in found}
    assert {row.name: row.result.p_adjusted for row in found} == holm(raw)


def test_seeds_do_not_change_the_scale(tmp_path: Path, make_run: MakeRun) -> None:
    a = make_run(tmp_path, model="a", seeds=(0,), noise=1)
    b = make_run(tmp_path, model="b", seeds=(0, 1), noise=2)
    assert compare_runs([a, b])[0].result.same_frames


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"protocol": "disfa-3fold"}, "protocol"),
        ({"folds": ("P1", "P2")}, "folds"),
        ({"data": DataInfo(origin="licensed", verified=True, manifests={"bp4d": "dd" * 32})}, "data"),
        ({"data": DataInfo(origin="synthetic", verified=None, manifests={"bp4d": "aa" * 32})}, "data"),
    ],
)
def test_runs_on_other_ground_cannot_be_compared(
    tmp_path: Path, make_run: MakeRun, other: dict[str, object], what: str
) -> None:
    with pytest.raises(InconclusiveError, match=f"cannot be compared: {what}"):
        compare_runs([make_run(tmp_path, model="a"), make_run(tmp_path, model="b", **other)])


def test_an_unfinished_run_cannot_be_compared(tmp_path: Path, make_run: MakeRun) -> None:
    a, b = make_run(tmp_path, model="a"), make_run(tmp_path, model="b")
    next(b.path.glob("units/*/unit.json")).unlink()
    with pytest.raises(InconclusiveError, match="units are missing"):
        compare_runs([a, b])


def test_a_run_is_found_by_folder_model_or_preset(tmp_path: Path, make_run: MakeRun) -> None:
    a = make_run(tmp_path, model="net", preset="tiny", run_id="abc")
    b = make_run(tmp_path, model="net", preset="paper", run_id="def")
    c = make_run(tmp_path, model="other", run_id="ghi")
    assert resolve_run(tmp_path, "ab").path == a.path
    assert resolve_run(tmp_path, "net:paper").path == b.path
    assert resolve_run(tmp_path, "other").path == c.path
    with pytest.raises(UsageError, match=r"2 rows have that name.*def.*abc"):
        resolve_run(tmp_path, "net")
    with pytest.raises(UsageError, match="did you mean 'other'"):
        resolve_run(tmp_path, "othr")


def test_a_run_is_not_compared_with_itself(tmp_path: Path, make_run: MakeRun) -> None:
    a = make_run(tmp_path)
    with pytest.raises(UsageError, match="two different runs"):
        compare_runs([a, a])
