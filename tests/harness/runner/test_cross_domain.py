"""Training on one dataset and testing on another: what is trained, what is scored, and where the counts come from."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from auharness.api import Predictor, Unit
from auharness.records import Task
from auharness.results.store import RunFolder
from auharness.runner import RunResult
from auharness_plugins.models.small_cnn import SmallCNN

SOURCE = ("AU1", "AU2", "AU4", "AU6", "AU7", "AU10", "AU12", "AU14", "AU15", "AU17", "AU23", "AU24")
SCORED = ("AU1", "AU2", "AU4", "AU6", "AU12")
PAIRS = {
    "P1+P2": ("F001", "F002", "F003", "F005"),
    "P1+P3": ("F001", "F002", "F004", "F006"),
    "P2+P3": ("F003", "F005", "F004", "F006"),
}


@pytest.fixture
def crossed(
    run_mini: Callable[..., RunResult], bp4d_mini: Path, disfa_mini: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[RunResult, list[Task]]:
    tasks: list[Task] = []
    fit = SmallCNN.fit

    def noted(self: SmallCNN, unit: Unit) -> Predictor:
        tasks.append(unit.task)
        return fit(self, unit)

    monkeypatch.setattr(SmallCNN, "fit", noted)
    roots = {"bp4d": str(bp4d_mini), "disfa": str(disfa_mini)}
    return run_mini(protocol="bp4d-to-disfa", data_roots=roots, max_steps=2), tasks


def test_all_source_outputs_are_trained_and_five_are_scored_on_the_whole_target(
    crossed: tuple[RunResult, list[Task]], bp4d_mini: Path
) -> None:
    result, tasks = crossed
    run = RunFolder(result.path)
    units = run.finished()
    assert [unit.fold for unit in units] == list(PAIRS)
    for unit, task in zip(units, tasks, strict=True):
        assert task.outputs == unit.outputs == SOURCE
        assert unit.columns == SCORED
        assert (unit.n_train, unit.n_frames, unit.n_subjects) == (24, 24, 6)
        frame = pd.read_parquet(run.unit_folder(unit.unit_id) / "predictions.parquet")
        assert set(frame["subject"]) == {"SN001", "SN002", "SN003", "SN004", "SN006", "SN011"}
        assert set(SOURCE) < set(frame.columns)
        assert [name for name in frame if str(name).endswith(".target")] == [f"{name}.target" for name in SCORED]
    assert result.score.n_frames == 24 and result.score.n_subjects == 6
    assert list(result.score.by_fold) == list(PAIRS)


def test_class_counts_are_those_of_the_source_rows_that_train(
    crossed: tuple[RunResult, list[Task]], bp4d_mini: Path
) -> None:
    result, tasks = crossed
    sheets = {path.stem[:4]: pd.read_csv(path) for path in bp4d_mini.glob("AUCoding/AU_OCC/*.csv")}
    for task, subjects in zip(tasks, PAIRS.values(), strict=True):
        rows = pd.concat([sheets[subject] for subject in subjects])
        assert task.dataset == "bp4d"
        assert task.coded == (24,) * 12
        assert task.positives == tuple(int((rows[name.removeprefix("AU")] == 1).sum()) for name in SOURCE)
    for unit, task in zip(RunFolder(result.path).finished(), tasks, strict=True):
        assert unit.train_positives == tuple(task.positives[SOURCE.index(name)] for name in SCORED)


def test_the_right_labels_of_the_target_stand_beside_the_scores(
    crossed: tuple[RunResult, list[Task]], disfa_mini: Path
) -> None:
    run = RunFolder(crossed[0].path)
    unit = run.finished()[0]
    frame = pd.read_parquet(run.unit_folder(unit.unit_id) / "predictions.parquet").set_index("sample_id")
    for subject in ("SN001", "SN004"):
        for name in SCORED:
            file = disfa_mini / "ActionUnit_Labels" / subject / f"{subject}_au{name.removeprefix('AU')}.txt"
            for line in file.read_text().split():
                number, intensity = map(int, line.split(","))
                assert frame.loc[f"disfa/{subject}/{number}", f"{name}.target"] == int(intensity >= 2)
