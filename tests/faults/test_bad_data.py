"""Bad data, missing weights and failing units: one clear message, the exit code, and nothing finished is lost."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from auharness.api import Output
from auharness.records import Task
from auharness.results.store import RunFolder, iter_runs
from auharness.runner import RunResult
from auharness_plugins.models.small_cnn import SmallCNN

Command = Callable[..., Any]
FAST = ("--preset", "tiny", "--set", "widths=[8]", "--set", "recipe.epochs=1", "--jobs", 1, "--device", "cpu")


@pytest.fixture
def bp4d_copy(bp4d_mini: Path, tmp_path: Path) -> Path:
    """A root that a test may spoil."""
    return Path(shutil.copytree(bp4d_mini, tmp_path / "bp4d"))


@pytest.fixture
def run(command: Command, tmp_path: Path) -> Command:
    """`auharness run` with its runs in the test's folder."""

    def call(model: str, protocol: str, *words: object) -> Any:
        return command("run", "--model", model, "--protocol", protocol, "--runs", tmp_path / "runs", *words, "--quiet")

    return call


def test_a_unit_with_a_nan_loss_fails_alone_and_only_it_is_repeated(
    run: Command, bp4d_mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[Task] = []

    def lossy(self: SmallCNN, output: Output, batch: Any, task: Task) -> dict[str, torch.Tensor]:
        if task not in tasks:
            tasks.append(task)
        return {"bce": output.logits.mean() * (math.nan if tasks.index(task) == 1 else 1)}

    words = ("small-cnn", "bp4d-3fold", "--data-root", f"bp4d={bp4d_mini}", *FAST)
    monkeypatch.setattr(SmallCNN, "loss", lossy)
    failed = run(*words)
    assert failed.code == 4
    assert failed.err.startswith(
        "auharness: error: 1 of 3 units failed, the others are kept; fold P2, seed 0: small-cnn: the loss is not "
        "finite in epoch 1, step 1 (bce nan);"
    )
    assert failed.err.count("\n") == 1
    (folder,) = iter_runs(tmp_path / "runs")
    marks = {ref.fold: folder.unit_folder(ref.unit_id) / "unit.json" for ref in folder.record.units}
    assert [fold for fold, mark in marks.items() if mark.is_file()] == ["P1", "P3"]
    assert "NotFiniteError" in (marks["P2"].parent / "failed.txt").read_text()
    stamps = {fold: marks[fold].stat().st_mtime_ns for fold in ("P1", "P3")}

    monkeypatch.undo()
    monkeypatch.setenv("AUHARNESS_CACHE", str(tmp_path / "cache"))
    repeated = run(*words, "--json")
    assert repeated.code == 0
    assert '"kept": 2' in repeated.out and '"done": 1' in repeated.out
    assert {fold: marks[fold].stat().st_mtime_ns for fold in stamps} == stamps
    assert marks["P2"].is_file() and not (marks["P2"].parent / "failed.txt").exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 cut short"], ids=["empty", "truncated"])
def test_an_undecodable_image_stops_before_training_and_is_named(
    run: Command, bp4d_copy: Path, tmp_path: Path, content: bytes
) -> None:
    (bp4d_copy / "2D+3D" / "F003" / "T7" / "0002.jpg").write_bytes(content)
    answer = run("small-cnn", "bp4d-3fold", "--data-root", f"bp4d={bp4d_copy}", *FAST)
    assert answer.code == 3
    assert "F003/T7/0002.jpg" in answer.err and "--on-bad-frame drop" in answer.err
    assert "Traceback" not in answer.err
    assert list(iter_runs(tmp_path / "runs")) == []


def test_a_dropped_image_is_counted(run: Command, bp4d_copy: Path, tmp_path: Path) -> None:
    (bp4d_copy / "2D+3D" / "F003" / "T7" / "0002.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
    root = ("--data-root", f"bp4d={bp4d_copy}")
    assert run("small-cnn", "bp4d-3fold", *root, *FAST, "--on-bad-frame", "drop").code == 0
    (folder,) = iter_runs(tmp_path / "runs")
    units = {unit.fold: unit for unit in folder.finished()}
    assert {fold: unit.n_dropped for fold, unit in units.items()} == {fold: {"undecodable": 1} for fold in units}
    assert {fold: (unit.n_train, unit.n_frames) for fold, unit in units.items()} == {
        "P1": (23, 12),
        "P2": (24, 11),
        "P3": (23, 12),
    }


def test_a_label_value_of_7_is_named_with_file_and_row(run: Command, bp4d_copy: Path) -> None:
    sheet = bp4d_copy / "AUCoding" / "AU_OCC" / "F003_T7.csv"
    header, *rows = sheet.read_text().splitlines()
    place = header.split(",").index("12")
    cells = rows[3].split(",")
    cells[place] = "7"
    sheet.write_text("\n".join([header, *rows[:3], ",".join(cells), *rows[4:]]))
    answer = run("constant", "bp4d-3fold", "--data-root", f"bp4d={bp4d_copy}")
    assert answer.code == 3
    assert "AUCoding/AU_OCC/F003_T7.csv row 5: AU12 is 7, expected 0, 1 or 9 (not coded)" in answer.err


def test_a_video_without_content_is_named(run: Command, disfa_mini: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(disfa_mini, tmp_path / "disfa"))
    (video,) = root.glob("Video_LeftCamera/*SN003*.avi")
    video.write_bytes(b"")
    answer = run("constant", "disfa-3fold", "--data-root", f"disfa={root}", "--jobs", 1)
    assert answer.code == 3
    assert video.name in answer.err and "Traceback" not in answer.err


def test_an_empty_root_is_one_line_that_says_what_is_missing_and_where(run: Command, tmp_path: Path) -> None:
    root = tmp_path / "nothing"
    root.mkdir()
    answer = run("constant", "bp4d-3fold", "--data-root", f"bp4d={root}")
    assert answer.code == 3
    assert answer.err.startswith(f"auharness: error: bp4d: no AUCoding/AU_OCC/*.csv in {root}; expected ")
    assert answer.err.count("\n") == 1


def test_a_root_that_does_not_exist_is_one_line(run: Command, tmp_path: Path) -> None:
    answer = run("constant", "bp4d-3fold", "--data-root", f"bp4d={tmp_path / 'gone'}")
    assert (answer.code, answer.err.count("\n")) == (3, 1)
    assert "gone (given by --data-root) is not a folder" in answer.err


def test_licensed_and_synthetic_data_never_mix_and_no_stand_in_is_written_to_find_out(
    run: Command, bp4d_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUHARNESS_CACHE", str(tmp_path / "cache"))
    (bp4d_copy / "SYNTHETIC.json").unlink()
    answer = run("constant", "bp4d-to-disfa", "--data-root", f"bp4d={bp4d_copy}")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "licensed and synthetic data never mix in one run" in answer.err
    assert not (tmp_path / "cache").exists()


def test_paper_on_licensed_data_without_weights_names_the_three_ways_out(run: Command, bp4d_copy: Path) -> None:
    (bp4d_copy / "SYNTHETIC.json").unlink()
    answer = run("au-ttt", "bp4d-3fold", "--data-root", f"bp4d={bp4d_copy}")
    assert (answer.code, answer.err.count("\n")) == (3, 1)
    for way in ("auharness pretrain", "--weights", "--set init=none"):
        assert way in answer.err


def test_licensed_data_takes_the_preset_paper_and_says_that_it_is_not_verified(
    run_mini: Callable[..., RunResult], bp4d_copy: Path
) -> None:
    (bp4d_copy / "SYNTHETIC.json").unlink()
    small = {"preprocess": {"resize": 64, "crop": 56}, "recipe": {"epochs": 1}}
    result = run_mini(presets=(), settings=small, data_roots={"bp4d": str(bp4d_copy)}, folds=["P1"])
    (unit,) = RunFolder(result.path).finished()
    assert unit.preset == "paper"
    assert (unit.data.origin, unit.data.verified, unit.data.size) == ("licensed", False, "")


def test_a_weights_file_that_is_none_is_one_line(run: Command, bp4d_mini: Path, tmp_path: Path) -> None:
    bad = tmp_path / "w.safetensors"
    bad.write_bytes(b"pickle")
    words = ("small-cnn", "bp4d-3fold", "--data-root", f"bp4d={bp4d_mini}", *FAST, "--folds", "P1")
    assert run(*words, "--weights", tmp_path / "gone.safetensors").code == 2
    answer = run(*words, "--weights", bad)
    assert (answer.code, answer.err.count("\n")) == (3, 1)
    assert f"weights {bad}: expected a safetensors file" in answer.err
