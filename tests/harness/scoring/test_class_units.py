"""Rows of classes: both averages, recalls, confusion matrices and marks, from runs made of confusion matrices."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from auharness import registry
from auharness.metrics import macro_f1, normalise_rows, recall, uar, war, weighted_f1
from auharness.results.store import RunFolder
from auharness.runner.finish import one_line
from auharness.scoring import score_units
from auharness.scoring.confusion import confusion_csv, confusions, write_confusions

MakeRun = Callable[..., RunFolder]
# MAE-DFER on the test part of DFEW's fold 1, counts as released with its code
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
FIVE, ONE = (registry.load("protocol", name)() for name in ("dfew-5fold", "dfew-fold1"))


def worse(matrix: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """Move a share of each class to the next one."""
    moved = np.random.default_rng(seed).binomial(matrix.diagonal(), share)
    found = matrix - np.diag(moved)
    found[np.arange(7), (np.arange(7) + 1) % 7] += moved
    return found


def small(matrix: np.ndarray, by: int) -> np.ndarray:
    return matrix // by


@pytest.fixture
def golden(class_run: MakeRun, tmp_path: Path) -> RunFolder:
    return class_run(tmp_path, {"fold1": [MAE_DFER]}, protocol="dfew-fold1", model="mae-dfer", folds_total=1)


def test_the_row_of_a_published_confusion_matrix_holds_its_printed_scores(golden: RunFolder) -> None:
    score = score_units(ONE, golden.finished(), interval=False)
    assert round(100 * score.headline, 2) == 62.59
    found = {name: round(100 * value, 2) for name, value in score.metrics.items()}
    assert found == {"war": 74.88, "macro-f1": 63.57, "weighted-f1": 74.41}
    printed = (92.84, 77.04, 75.47, 77.24, 65.99, 10.34, 39.23)
    assert {name: round(100 * value, 2) for name, value in score.label_scores.items()} == dict(
        zip(FIVE.columns, printed, strict=True)
    )
    assert score.confusion == {"fold1": tuple(map(tuple, MAE_DFER.tolist()))}
    assert score.marks == ("1 of 5 folds", "1 seed")
    text = one_line(score)
    assert text.startswith("UAR 62.59, WAR 74.88, 1 of 5 folds, 1 seed (fold-mean, 1 fold, 2341 clips; floor ")


def test_the_interval_is_that_of_clips_within_classes(golden: RunFolder) -> None:
    found = score_units(ONE, golden.finished()).interval
    assert found is not None and found.n_clusters is None and "films) are unknown" in found.method
    # the standard error of UAR by hand: seven independent binomial shares
    shares, sizes = recall(MAE_DFER), MAE_DFER.sum(axis=1)
    assert found.standard_error == pytest.approx(np.sqrt((shares * (1 - shares) / sizes).sum()) / 7, rel=0.03)


def test_both_averages_stand_side_by_side(class_run: MakeRun, tmp_path: Path) -> None:
    folds = [worse(small(MAE_DFER, 4 + fold), 0.1 * fold, fold) for fold in range(5)]
    run = class_run(tmp_path, {f"fold{number + 1}": [matrix] for number, matrix in enumerate(folds)})
    score = score_units(FIVE, run.finished(), interval=False)
    total = np.sum(folds, axis=0)
    assert score.headline == pytest.approx(np.mean([uar(matrix) for matrix in folds]))
    assert score.metrics["war"] == pytest.approx(np.mean([war(matrix) for matrix in folds]))
    assert score.others == {"pooled": pytest.approx(float(uar(total)))}
    names = {"uar": uar, "war": war, "macro-f1": macro_f1, "weighted-f1": weighted_f1}
    assert score.metrics_pooled == pytest.approx({name: float(metric(total)) for name, metric in names.items()})
    assert abs(score.headline - score.metrics_pooled["uar"]) > 1e-4
    assert list(score.label_scores.values()) == pytest.approx(np.mean([recall(matrix) for matrix in folds], axis=0))
    assert score.marks == ("1 seed",)
    assert score.by_fold == pytest.approx({f"fold{k + 1}": float(uar(matrix)) for k, matrix in enumerate(folds)})


def test_floors_of_classes_are_the_majority_and_the_training_shares(golden: RunFolder) -> None:
    score = score_units(ONE, golden.finished(), interval=False)
    assert score.floors == pytest.approx({"majority": 1 / 7, "random-prior": 1 / 7})


def matrix_of(path: Path) -> tuple[list[str], np.ndarray]:
    head, *lines = path.read_text().splitlines()
    return head.split(","), np.array([[float(cell or "nan") for cell in line.split(",")[1:]] for line in lines])


def test_the_run_folder_gets_each_matrix_and_the_pooled_one(class_run: MakeRun, tmp_path: Path) -> None:
    base = small(MAE_DFER, 4)
    seeds = [[worse(base, 0.1 * fold + 0.05 * seed, 10 * fold + seed) for seed in range(2)] for fold in range(5)]
    run = class_run(tmp_path, {f"fold{number + 1}": matrices for number, matrices in enumerate(seeds)})
    written = write_confusions(run)
    names = [f"fold{number}" for number in range(1, 6)] + ["pooled"]
    expected = [f"confusion/seed{seed}/{name}.csv" for seed in (0, 1) for name in names]
    assert [path.relative_to(run.path).as_posix() for path in written] == expected
    for seed in (0, 1):
        own = [matrices[seed] for matrices in seeds]
        for name, matrix in zip(names, [*own, np.sum(own, axis=0)], strict=True):
            head, cells = matrix_of(run.path / "confusion" / f"seed{seed}" / f"{name}.csv")
            assert head == ["true", *FIVE.columns, "clips", *(f"{label} %" for label in FIVE.columns)]
            assert (cells[:, :7] == matrix).all() and (cells[:, 7] == matrix.sum(axis=1)).all()
            assert cells[:, 8:] == pytest.approx(100 * normalise_rows(matrix), abs=0.005)
    before = [path.read_bytes() for path in written]
    assert [path.read_bytes() for path in write_confusions(run)] == before


def test_a_single_fold_has_no_pooled_matrix(golden: RunFolder) -> None:
    assert [path.name for path in write_confusions(golden)] == ["fold1.csv"]
    assert list(confusions(golden.finished())) == ["fold1"]


def test_the_csv_of_the_published_matrix_is_the_golden_one() -> None:
    first, last = confusion_csv(MAE_DFER, FIVE.columns).splitlines()[1::6]
    assert first == "Happy,454,7,10,14,2,1,1,489,92.84,1.43,2.04,2.86,0.41,0.20,0.20"
    assert last == "Fear,1,20,23,17,48,1,71,181,0.55,11.05,12.71,9.39,26.52,0.55,39.23"
