"""The command on runs of AUs: clips through a filter that drops a frame, two models beside each other, and frames."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

import auharness
from auharness.runner import RunResult

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def micro_runs(casme2_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunResult]:
    """One fold of AU-LLM and of the baseline 3D-CNN, two steps each."""
    runs = tmp_path_factory.mktemp("micro-runs")
    given: dict[str, Any] = {"data_size": "tiny", "runs": runs, "device": "cpu", "jobs": 1, "max_steps": 2}
    return {name: auharness.run(name, "casme2-loso", folds=["01"], **given) for name in ("au-llm", "cnn3d")}


def test_a_clip_is_mapped_layer_by_layer_and_the_frame_that_led_drops_is_not(
    command: Command, micro_runs: dict[str, RunResult], tmp_path: Path
) -> None:
    words = ["--sample", "casme2/01/EP06_01f", "--output", "AU12", "--out", tmp_path, "--device", "cpu", "--json"]
    run = micro_runs["au-llm"]
    answer = command("explain", run.path.name[:6], "--runs", run.path.parents[2], *words)
    assert answer.code == 0, answer.err
    strip, traces = json.loads(answer.out)
    assert (strip["kind"], traces["kind"], strip["fold"]) == ("strip", "traces", "01")
    assert strip["score"] == pytest.approx(strip["recorded_score"], abs=1e-4)
    places = {name: layer["frame_places"] for name, layer in strip["layers"].items()}
    assert places == {"block1": [1, 2, 3, 4, 5], **{key: [1.125, 2.375, 3.625, 4.875] for key in ("block2", "se")}}
    folder = tmp_path / "casme2" / "01" / "EP06_01f"
    assert {path.name for path in folder.iterdir()} == {
        "AU12.png",
        *(f"AU12.{name}.{kind}" for name in places for kind in ("png", "npz")),
        "traces.png",
        "traces.npz",
    }
    arrays = np.load(folder / "AU12.block2.npz")
    assert arrays["cells"].shape == (4, 12, 12) and (arrays["cells"] >= 0).all()
    assert np.isnan(arrays["maps"][0]).all() and not np.isnan(arrays["maps"][1:]).any()
    weights = np.load(folder / "traces.npz")
    assert weights["channel_weights"].shape == (16, 4)
    assert ((weights["channel_weights"] > 0) & (weights["channel_weights"] < 1)).all()
    assert weights["channel_weights.frame_places"].tolist() == places["block2"]


def test_two_runs_stand_below_each_other_with_their_deepest_layers(
    command: Command, micro_runs: dict[str, RunResult], tmp_path: Path
) -> None:
    paths = [run.path for run in micro_runs.values()]
    words = ["--sample", "01/EP06_01f", "--output", "AU12", "--out", tmp_path, "--device", "cpu", "--json"]
    answer = command("explain", *paths, *words)
    assert answer.code == 0, answer.err
    (made,) = json.loads(answer.out)
    assert made["kind"] == "comparison"
    assert [(one["run"], list(one["layers"])) for one in made["runs"]] == [
        (str(paths[0]), ["se"]),
        (str(paths[1]), ["block2"]),
    ]
    assert made["runs"][0]["true"] == made["runs"][1]["true"]
    alone = json.loads(command("explain", *paths[:1], *words, "--layer", "se").out)[0]["path"]
    assert cv2.imread(made["path"]).shape[0] > cv2.imread(alone).shape[0]


def test_pictures_go_into_the_run_folder_and_do_not_disturb_it(
    command: Command, micro_runs: dict[str, RunResult]
) -> None:
    run = micro_runs["cnn3d"]
    answer = command("explain", run.path, "--sample", "01/EP06_01f", "--layer", "block2", "--output", "AU1", "--quiet")
    assert (answer.code, answer.err) == (0, "")
    assert (run.path / "explain" / "casme2" / "01" / "EP06_01f" / "AU1.block2.png").is_file()
    assert command("store", "verify", "--runs", run.path.parents[2]).code == 0


def test_frames_have_landmarks_so_that_the_shares_of_their_regions_are_known(
    command: Command, run_mini: Callable[..., RunResult], bp4d_mini: Path
) -> None:
    run = run_mini(folds=["P1"])
    words = ["--data-root", f"bp4d={bp4d_mini}", "--device", "cpu", "--mean-of", "3", "--output", "AU12", "--json"]
    answer = command("explain", run.path, *words)
    assert answer.code == 0, answer.err
    made = json.loads(answer.out)
    (means,) = (item for item in made if item["kind"] == "mean maps")
    (row,) = means["regions"]
    parts = ("brows", "eyes", "nose", "mouth", "cheeks", "rest")
    assert sum(row[f"{part} area %"] for part in parts) == pytest.approx(100, abs=0.05)
    if row["n_landmarks"]:
        assert sum(row[f"{part} %"] for part in parts) == pytest.approx(100, abs=0.05)
    strips = [item for item in made if item["kind"] == "strip"]
    assert strips and all(
        item["output"] == "AU12" and len(item["layers"]["last-conv"]["cells"]) == 3 for item in strips
    )


def test_a_model_without_convolutions_still_has_its_curves_and_says_so(
    command: Command, run_mini: Callable[..., RunResult], bp4d_mini: Path
) -> None:
    run = run_mini(model="constant", settings={}, folds=["P1"])
    where = ["--data-root", f"bp4d={bp4d_mini}", "--device", "cpu"]
    answer = command("explain", run.path, *where)
    assert answer.code == 0
    assert answer.err.splitlines()[-2:] == [
        "constant logged no epochs, so there are no training curves",
        "constant has no layer that can be mapped: no 2D or 3D convolution",
    ]
    table = pd.concat(pd.read_parquet(path) for path in run.path.glob("units/*/predictions.parquet"))
    asked = command("explain", run.path, *where, "--sample", table["sample_id"].iloc[0])
    assert asked.code == 2 and "no layer that can be mapped" in asked.err
