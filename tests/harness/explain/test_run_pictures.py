"""Whole runs of classes: which fold explains a sample, what the pictures show, and the numbers beside them."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.metrics import confusion_matrix, recall_score

from auharness.data.landmarks.mean_shape import MEAN_SHAPE
from auharness.explain.confusion import confusion_table, draw_confusion, total_confusion
from auharness.explain.loaded import LoadedRun
from auharness.explain.regions import REGIONS, region_shares
from auharness.results.store import RunFolder
from auharness.runner import RunResult
from auharness.scoring.curves import curve_table, epoch_scores

Command = Callable[..., Any]
CLASSES = ("Happy", "Sad", "Surprise")
ONSET = 6
"""First frame with the patch that makes the class."""


@pytest.fixture
def explain(patch_run: RunResult, patch_package: Path, command: Command, tmp_path: Path) -> Command:
    """Explain the run of patches into `tmp_path / "out"`."""

    def run(*words: object, run: Path | None = None) -> Any:
        where = ["--data-root", f"patch-set={patch_package}", "--device", "cpu", "--out", tmp_path / "out"]
        return command("explain", run or patch_run.path, *where, *words)

    return run


def labels_of(root: Path) -> dict[str, str]:
    lines = (root / "labels.csv").read_text().splitlines()
    return dict(line.split(",") for line in lines)


def test_without_a_sample_the_whole_run_and_its_surest_answers_are_drawn(
    explain: Command, patch_run: RunResult, tmp_path: Path
) -> None:
    answer = explain("--layer", "late", "--mean-of", "5", "--json")
    assert answer.code == 0, answer.err
    made = json.loads(answer.out)
    assert [item["kind"] for item in made[:3]] == ["curves", "confusion", "mean maps"]
    for item in made:
        picture = cv2.imread(item["path"])
        assert picture is not None and picture.std() > 5
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files >= {"curves.csv", "confusion.csv", "classes.npz", "regions.csv"}
    scores = final_scores(patch_run)
    sure = scores["first"] - scores["second"]
    wanted = []
    for right in (True, False):
        wanted += sure[scores["right"] == right].nlargest(2).index.tolist()
    assert len(wanted) == 4
    strips = [item for item in made if item["kind"] == "strip"]
    assert list(dict.fromkeys(item["sample"] for item in strips)) == wanted
    # a right answer has one strip, a wrong one has a second for the true class
    assert [item["output"] == item["true"] for item in strips] == [True, True, False, True, False, True]
    arrays = np.load(tmp_path / "out" / "classes.npz")
    assert arrays["outputs"].tolist() == list(CLASSES) and arrays["layers"].tolist() == ["late"]
    assert arrays["n"].tolist() == [5, 5, 5]
    assert arrays["maps"].shape == (3, 1, 32, 32) and 0 < arrays["maps"].max() <= 1
    np.testing.assert_allclose(arrays["frame_shares"].sum(axis=2), 1, rtol=1e-5)
    assert [row["output"] for row in made[2]["regions"]] == list(CLASSES)
    # the landmark source of the plugin is the mean shape
    assert all(row["n_landmarks"] == 0 and row["mouth %"] == "no landmarks" for row in made[2]["regions"])


def final_scores(run: RunResult) -> pd.DataFrame:
    """By sample: highest and second highest score, and whether the first is right."""
    folder = RunFolder(run.path)
    frames = [pd.read_parquet(folder.unit_folder(u.unit_id) / "predictions.parquet") for u in folder.finished()]
    table = pd.concat(frames)
    table = table[table["epoch"].isna()].set_index("sample_id")
    scores, truth = table[list(CLASSES)].to_numpy(), table[[f"{name}.target" for name in CLASSES]].to_numpy()
    ordered = np.sort(scores, axis=1)
    right = scores.argmax(axis=1) == truth.argmax(axis=1)
    return pd.DataFrame({"first": ordered[:, -1], "second": ordered[:, -2], "right": right}, index=table.index)


def test_a_sample_is_explained_by_the_fold_that_tests_it_and_its_patch_lights_up(
    explain: Command, patch_run: RunResult, patch_package: Path, tmp_path: Path
) -> None:
    right = final_scores(patch_run).query("right").index
    chosen = [next(name for name in right if int(name[-2:]) % 2 == odd) for odd in (0, 1)]
    made = json.loads(explain("--sample", chosen[0], "--sample", chosen[1].partition("/")[2], "--json").out)
    strips = [item for item in made if item["kind"] == "strip"]
    assert [(item["sample"], item["fold"]) for item in strips] == list(zip(chosen, ("even", "odd"), strict=True))
    for item, name in zip(strips, (name.partition("/")[2] for name in chosen), strict=True):
        label = labels_of(patch_package)[name]
        assert (item["true"], item["predicted"], item["output"]) == (label, label, label)
        assert item["score"] == pytest.approx(item["recorded_score"], abs=1e-4)
        assert not item["training_sample"]
        assert item["layers"]["late"] == {"cells": [12, 8, 8], "frame_places": list(range(12))}
        folder = tmp_path / "out" / "patch-set" / name
        wanted = {f"{label}{part}" for part in (".png", ".early.png", ".early.npz", ".late.png", ".late.npz")}
        assert {path.name for path in folder.iterdir()} == wanted | {"traces.png", "traces.npz"}
        arrays = np.load(folder / f"{label}.late.npz")
        assert arrays["frames"].shape == (12, 32, 32, 3) and arrays["maps"].shape == (12, 32, 32)
        patch = arrays["frames"][-1].max(axis=2) == 230
        assert patch.sum() == 64
        inside = arrays["maps"][:, patch].mean(axis=1)
        assert inside[ONSET:].min() > 3 * inside[:ONSET].max()
        assert arrays["maps"][ONSET:, patch].mean() > 3 * arrays["maps"][ONSET:, ~patch].mean()
        assert np.load(folder / "traces.npz")["pooled"].shape == (3, 12)


def test_with_landmarks_the_shares_of_regions_are_those_of_the_maps(
    explain: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_of = LoadedRun.batch
    face = (32 * MEAN_SHAPE).astype(np.float32)

    def seen(self: LoadedRun, *args: Any) -> Any:
        batch = batch_of(self, *args)
        points = torch.from_numpy(face).expand_as(batch["landmarks"])
        return {**batch, "landmarks": points, "landmarks_valid": torch.ones_like(batch["landmarks_valid"])}

    monkeypatch.setattr(LoadedRun, "batch", seen)
    made = json.loads(explain("--mean-of", "1", "--output", "Sad", "--layer", "late", "--json").out)
    (row,) = next(item["regions"] for item in made if item["kind"] == "mean maps")
    assert (row["output"], row["layer"], row["n"], row["n_landmarks"]) == ("Sad", "late", 1, 1)
    table = pd.read_csv(tmp_path / "out" / "regions.csv")
    assert table.to_dict(orient="records") == [row]
    # the first test clip of the class
    explain("--sample", "patch-set/02", "--output", "Sad", "--layer", "late")
    maps = np.load(tmp_path / "out" / "patch-set" / "02" / "Sad.late.npz")["maps"]
    shares, areas = region_shares(maps, np.stack([face] * len(maps)))
    assert [row[f"{name} %"] for name in REGIONS] == pytest.approx((100 * shares).tolist(), abs=0.006)
    assert [row[f"{name} area %"] for name in REGIONS] == pytest.approx((100 * areas).tolist(), abs=0.006)


def test_a_training_sample_is_only_explained_when_asked_for_and_then_marked(explain: Command) -> None:
    made = json.loads(explain("--sample", "patch-set/04", "--training", "--output", "Sad", "--json").out)
    assert (made[0]["fold"], made[0]["training_sample"], made[0]["recorded_score"]) == ("odd", True, None)
    assert made[0]["output"] == "Sad"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sample", "patch-set/44"], "tests no sample 'patch-set/44'; did you mean 'patch-set/14'?"),
        (["--sample", "x", "--training"], "no sample 'x' in the data"),
        (
            ["--sample", "04", "--output", "Hapy"],
            "no output 'Hapy'; did you mean 'Happy'? (outputs: Happy, Sad, Surprise)",
        ),
        (["--sample", "04", "--layer", "lat"], "no layer 'lat'; did you mean 'late'? (layers: early, late)"),
        (["--set", "width=3"], "--set width: the model is the one of the run"),
        (["--mean-of", "-1"], "--mean-of -1: expected 0 or more"),
    ],
)
def test_a_wrong_name_is_one_line_with_the_nearest(explain: Command, words: list[str], message: str) -> None:
    answer = explain(*words)
    assert answer.code == 2 and message in answer.err
    assert answer.err.count("\n") == 1


def test_pictures_never_go_beside_a_leaderboard(
    command: Command, patch_run: RunResult, patch_package: Path, tmp_path: Path
) -> None:
    for name in ("leaderboards", "leaderboard"):
        answer = command("explain", patch_run.path, "--out", tmp_path / name / "x")
        assert answer.code == 2 and "never go beside a leaderboard" in answer.err
        assert not (tmp_path / name).exists()


def test_other_data_and_missing_data_are_refused(command: Command, patch_run: RunResult, tmp_path: Path) -> None:
    answer = command("explain", patch_run.path, "--sample", "04", "--out", tmp_path)
    assert answer.code == 3 and "--data-root patch-set=PATH" in answer.err
    (tmp_path / "labels.csv").write_text("04,Happy\n05,Sad\n")
    for clip in ("04", "05"):
        (tmp_path / "clips" / clip).mkdir(parents=True)
        for frame in range(12):
            cv2.imwrite(str(tmp_path / "clips" / clip / f"{frame}.png"), np.zeros((8, 8, 3), np.uint8))
    other = command("explain", patch_run.path, "--data-root", f"patch-set={tmp_path}", "--sample", "04")
    assert other.code == 3 and "is not what the run was made on" in other.err


def copied(run: RunResult, folder: Path) -> RunFolder:
    shutil.copytree(run.path, folder)
    return RunFolder(folder)


def test_a_network_that_does_not_give_the_score_on_record_is_not_explained(
    explain: Command, patch_run: RunResult, tmp_path: Path
) -> None:
    run = copied(patch_run, tmp_path / "copy")
    unit = next(unit for unit in run.finished() if unit.fold == "even")
    path = run.unit_folder(unit.unit_id) / "weights.safetensors"
    weights = load_file(path)
    weights["head.bias"] += 1
    save_file(weights, path)
    answer = explain("--sample", "04", run=run.path)
    assert answer.code == 7 and "changed since the unit was finished" in answer.err
    predictions = path.with_name("predictions.parquet")
    path.write_bytes((RunFolder(patch_run.path).unit_folder(unit.unit_id) / path.name).read_bytes())
    frame = pd.read_parquet(predictions)
    frame[list(CLASSES)] += 5
    frame.to_parquet(predictions)
    answer = explain("--sample", "04", run=run.path)
    assert answer.code == 7 and "on record is" in answer.err


def test_without_matplotlib_it_is_one_line_and_exit_3(explain: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    answer = explain("--sample", "04")
    assert answer.code == 3 and "pip install 'auharness[viz]'" in answer.err


def test_curves_are_what_the_loop_logged_and_their_test_scores_end_at_the_records(patch_run: RunResult) -> None:
    run = RunFolder(patch_run.path)
    table = curve_table(run)
    assert {"cross_entropy", "train_score"} <= set(table["quantity"])
    loss = table[(table["quantity"] == "cross_entropy") & (table["fold"] == "odd")]
    assert loss["epoch"].tolist() == list(range(1, 11)) and loss["value"].iloc[-1] < loss["value"].iloc[0]
    events = [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]
    logged = [event["cross_entropy"] for event in events if event["event"] == "epoch" and event["fold"] == "odd"]
    assert loss["value"].tolist() == logged
    scores = epoch_scores(run)
    assert set(scores["quantity"]) == {"test uar", "test war"}
    for unit in run.finished():
        own = scores[(scores["fold"] == unit.fold) & (scores["quantity"] == "test uar")]
        assert own["value"].iloc[-1] == unit.metrics["uar"]["mean"]
        frame = pd.read_parquet(run.unit_folder(unit.unit_id) / "predictions.parquet")
        second = frame[frame["epoch"] == 2].merge(
            frame[frame["epoch"].isna()][["sample_id", *(f"{name}.target" for name in CLASSES)]],
            on="sample_id",
            suffixes=("", ".final"),
        )
        said = second[list(CLASSES)].to_numpy().argmax(axis=1)
        true = second[[name for name in second if name.endswith(".target.final")]].to_numpy().argmax(axis=1)
        assert own["value"].iloc[1] == pytest.approx(recall_score(true, said, average="macro"))


def test_an_epoch_that_was_repeated_counts_once(patch_run: RunResult, tmp_path: Path) -> None:
    run = copied(patch_run, tmp_path / "copy")
    unit = run.finished()[0]
    log = run.unit_folder(unit.unit_id) / "log.txt"
    again = json.dumps({"event": "epoch", "epoch": 1, "epochs": 14, "s": 0.1, "cross_entropy": 9.0, "stage": ""})
    teacher = json.dumps({"event": "epoch", "epoch": 1, "s": 0.1, "bce": 0.5, "stage": "teacher"})
    log.write_text(f"{log.read_text()}{again}\n{teacher}\n")
    table = curve_table(run)
    first = table[(table["quantity"] == "cross_entropy") & (table["fold"] == unit.fold) & (table["epoch"] == 1)]
    assert first["value"].tolist() == [9.0]
    assert table[table["quantity"] == "teacher: bce"]["value"].tolist() == [0.5]


def test_the_confusion_table_agrees_with_scikit_learn(patch_run: RunResult, tmp_path: Path) -> None:
    units = RunFolder(patch_run.path).finished()
    random = np.random.default_rng(1)
    made, answers = [], []
    for unit in units:
        true, said = random.integers(0, 3, (2, len(unit.clusters)))
        rows = zip(unit.clusters, true, said, strict=True)
        clusters = tuple(item.model_copy(update={"counts": one_hot(t, s)}) for item, t, s in rows)
        made.append(unit.model_copy(update={"clusters": clusters}))
        answers.append((true, said))
    true, said = (np.concatenate(column) for column in zip(*answers, strict=True))
    wanted = confusion_matrix(true, said, labels=range(3))
    assert (total_confusion(made) == wanted).all()
    table = confusion_table(made)
    whole = table[table["fold"] == "all"]
    assert (whole[list(CLASSES)].to_numpy() == wanted).all()
    np.testing.assert_allclose(whole["recall"], 100 * recall_score(true, said, average=None), atol=0.005)
    assert table["fold"].tolist() == ["all"] * 3 + ["even"] * 3 + ["odd"] * 3
    assert draw_confusion(wanted, CLASSES, tmp_path / "c.png", title="t").is_file()


def one_hot(true: int, said: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int((row, column) == (true, said)) for column in range(3)) for row in range(3))
