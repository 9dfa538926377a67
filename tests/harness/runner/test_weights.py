"""From `auharness pretrain` to a run that starts from its file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from auharness.errors import DataError
from auharness.results.atomic import file_digest
from auharness.results.store import RunFolder, iter_runs
from auharness.runner import RunResult
from auharness.runner.weights import read_weights, weights_origin

SIZES = ("--preset", "tiny", "--set", "dim=16", "--set", "depth=1", "--device", "cpu")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    chance = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for index in range(2):
            path = tmp_path / "cats-and-dogs" / "train" / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), chance.integers(0, 256, (60, 60, 3), dtype=np.uint8))
    return tmp_path / "cats-and-dogs" / "train"


def test_a_run_from_pre_trained_weights_says_what_they_were_trained_on(
    command: Callable[..., Any], pictures: Path, bp4d_mini: Path, tmp_path: Path
) -> None:
    out = tmp_path / "w.safetensors"
    words = ("--model", "vit-s16", *SIZES)
    assert command("pretrain", *words, "--data", pictures, "--out", out, "--epochs", 1).code == 0
    run: tuple[object, ...] = (
        "run",
        *words,
        "--protocol",
        "bp4d-3fold",
        "--data-root",
        f"bp4d={bp4d_mini}",
        "--folds",
        "P1",
    )
    run += ("--max-steps", 1, "--jobs", 1, "--runs", tmp_path / "runs")
    started, scratch = command(*run, "--weights", out), command(*run)
    assert (started.code, scratch.code) == (0, 0), started.err + scratch.err
    units = {unit.weights_sha256: unit for folder in iter_runs(tmp_path / "runs") for unit in folder.finished()}
    assert set(units) == {"", file_digest(out)}
    unit = units[file_digest(out)]
    assert unit.pretrained_on == weights_origin(out)
    assert unit.pretrained_on.startswith("cats-and-dogs (4 images, 2 classes, sha256 ")
    assert unit.settings["init"] == "weights"
    assert units[""].pretrained_on == ""


def test_the_given_weights_are_where_training_starts(run_mini: Callable[..., RunResult], tmp_path: Path) -> None:
    settings = {"widths": [8], "recipe": {"epochs": 1}}
    first = run_mini(folds=["P1"], settings=settings)
    (unit,) = RunFolder(first.path).finished()
    weights = RunFolder(first.path).unit_folder(unit.unit_id) / "weights.safetensors"
    still = {**settings, "recipe": {"epochs": 1, "lr": 1e-12, "weight_decay": 0.0}}
    second = run_mini(folds=["P2"], settings=still, weights=weights)
    (other,) = RunFolder(second.path).finished()
    kept = read_weights(RunFolder(second.path).unit_folder(other.unit_id) / "weights.safetensors")
    for name, tensor in read_weights(weights).items():
        torch.testing.assert_close(kept[name], tensor, rtol=0, atol=1e-9)
    assert other.pretrained_on == "unknown"


def test_weights_of_another_path_but_the_same_content_are_the_same_run(
    run_mini: Callable[..., RunResult], tmp_path: Path
) -> None:
    save_file({"0.bias": torch.zeros(8)}, tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes())
    first = run_mini(folds=["P1"], weights=tmp_path / "a.safetensors", max_steps=1)
    second = run_mini(folds=["P1"], weights=tmp_path / "b.safetensors", max_steps=1)
    assert second.path == first.path and second.done == 0


def test_a_file_that_is_no_safetensors_is_refused_and_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    torch.save({"a": torch.zeros(1)}, path)
    for read in (read_weights, weights_origin):
        with pytest.raises(DataError, match=r"w\.safetensors: expected a safetensors file"):
            read(path)
