"""Curves and confusion matrix that `auharness run` leaves in the run folder, as numbers and as pictures."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from auharness.explain import run_pictures
from auharness.results.store import RunFolder, iter_runs

Command = Callable[..., Any]
FAST = ("--set", "widths=[8]", "--set", "recipe.epochs=3", "--folds", "P1,P2", "--jobs", 1, "--device", "cpu")


@pytest.fixture
def run(command: Command, bp4d_mini: Path, tmp_path: Path) -> Command:
    """Train a small network on two folds."""

    def call(*words: object) -> Any:
        where = ("--data-root", f"bp4d={bp4d_mini}", "--runs", tmp_path / "runs", "--quiet")
        return command("run", "--model", "small-cnn", "--protocol", "bp4d-3fold", *where, *FAST, *words)

    return call


def the_run(tmp_path: Path) -> RunFolder:
    (folder,) = iter_runs(tmp_path / "runs")
    return folder


def is_drawn(path: Path) -> bool:
    return np.std(np.asarray(cv2.imread(str(path)))) > 5


def test_the_curves_of_a_run_are_what_its_epochs_logged(run: Command, tmp_path: Path) -> None:
    answer = run()
    assert answer.code == 0 and "in it: curves.csv, curves.png" in answer.out.splitlines()
    folder = the_run(tmp_path).path
    table = pd.read_csv(folder / "curves.csv")
    assert list(table) == ["quantity", "fold", "seed", "epoch", "value"]
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    logged = {
        (name, event["fold"], event["seed"], event["epoch"], event[name])
        for event in events
        if event["event"] == "epoch"
        for name in ("bce", "train_score")
    }
    assert {*table.itertuples(index=False, name=None)} == logged and len(logged) == 12
    assert is_drawn(folder / "curves.png")


def test_without_matplotlib_the_numbers_are_written_and_the_picture_follows_once_it_is_there(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    answer = run()
    assert (answer.code, answer.err) == (0, "") and "in it: curves.csv" in answer.out.splitlines()
    folder = the_run(tmp_path).path
    assert not (folder / "curves.png").exists()
    monkeypatch.undo()
    (answered,) = json.loads(run("--json").out)
    assert (answered["kept"], answered["done"]) == (2, 0)
    assert answered["drawn"] == [str(folder / "curves.csv"), str(folder / "curves.png")]


def test_a_picture_is_drawn_again_only_when_its_numbers_change(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    picture = the_run(tmp_path).path / "curves.png"
    before = picture.stat().st_mtime_ns
    with monkeypatch.context() as patch:
        # a run that is answered from disk does not even look for matplotlib
        patch.delattr(run_pictures, "has_matplotlib")
        assert run().code == 0
    assert picture.stat().st_mtime_ns == before
    assert run("--seeds", 2).code == 0
    assert picture.stat().st_mtime_ns > before
    assert set(pd.read_csv(picture.with_suffix(".csv"))["seed"]) == {0, 1}


def test_a_run_over_classes_draws_its_confusion_matrix_and_one_without_epochs_no_curves(
    command: Command, dfew_tiny: Path, tmp_path: Path
) -> None:
    words = ("--model", "constant", "--protocol", "dfew-fold1", "--data-root", f"dfew={dfew_tiny}")
    answer = command("run", *words, "--runs", tmp_path / "runs", "--quiet")
    assert "in it: confusion/, confusion.png" in answer.out.splitlines()
    assert is_drawn(the_run(tmp_path).path / "confusion.png")
