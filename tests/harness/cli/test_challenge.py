"""A run on the Aff-Wild2 stand-in answers the vendor's list, with the weights and decisions of its record."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import auharness
from auharness.explain.loaded import Data, LoadedRun
from auharness.explain.unlabelled import predict_split
from auharness.results.store import PREDICTIONS, RunFolder
from auharness.runner import RunResult

Command = Callable[..., Any]
LIST = "CVPR_6th_ABAW_AU_test_set_example.txt"


@pytest.fixture(scope="module")
def probe(affwild2_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A trained pixel-probe. Not to be changed."""
    return auharness.run(
        "pixel-probe",
        "affwild2-val",
        data_roots={"affwild2": str(affwild2_tiny)},
        runs=tmp_path_factory.mktemp("probe-runs"),
        device="cpu",
        jobs=1,
    )


def loaded(run: RunResult, root: Path) -> LoadedRun:
    return LoadedRun(RunFolder(run.path), Data({"affwild2": str(root)}, device="cpu", more=True))


def test_a_split_is_answered_as_the_run_answered_it(probe: RunResult, affwild2_tiny: Path) -> None:
    run = loaded(probe, affwild2_tiny)
    again = predict_split(run, run.units[0], dataset="affwild2", split="validation")
    stored = pd.read_parquet(next(probe.path.glob(f"units/*/{PREDICTIONS}")))
    assert len(again) == probe.score.n_scored == 120
    pd.testing.assert_frame_equal(again, stored[list(again.columns)], check_exact=True)


def test_a_list_is_answered_at_the_thresholds_of_the_record(
    probe: RunResult, affwild2_tiny: Path, command: Command, tmp_path: Path
) -> None:
    given = ("--list", affwild2_tiny / LIST, "--data-root", f"affwild2={affwild2_tiny}", "--device", "cpu")
    answer = command("challenge", probe.path, *given, "--out", tmp_path / "out.csv", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out) | {"file": ""} == {"file": "", "rows": 40, "videos": 1, "nearest": 0, "seed": 0}
    written, listed = pd.read_csv(tmp_path / "out.csv"), pd.read_csv(affwild2_tiny / LIST)
    assert list(written.columns) == list(listed.columns)
    assert (written["image_location"] == listed["image_location"]).all()
    run = loaded(probe, affwild2_tiny)
    scores = predict_split(run, run.units[0], dataset="affwild2", split="test")
    columns = list(run.columns)
    np.testing.assert_array_equal(written[columns], (scores[columns] >= list(run.units[0].thresholds)).astype(int))
    assert 0 < written[columns].to_numpy().mean() < 1


def test_a_list_that_came_after_the_training_is_answered_with_a_remark(
    probe: RunResult, affwild2_tiny: Path, command: Command, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    for path in affwild2_tiny.iterdir():
        (root / path.name).symlink_to(path)
    (root / LIST).unlink()
    first, *rows = (affwild2_tiny / LIST).read_text().splitlines()
    (root / LIST).write_text("\n".join([first, *rows[:7]]) + "\n")
    given = ("--list", root / LIST, "--data-root", f"affwild2={root}", "--device", "cpu", "--out", tmp_path / "out.csv")
    answer = command("challenge", probe.path, *given)
    assert answer.code == 0, answer.err
    assert "7 rows of 1 videos" in answer.out and "added or changed since the run was made" in answer.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--split", "train"), 2, "was trained on 240 of 240 rows of affwild2 train"),
        (("--split", "validation"), 3, "1 of 1 listed videos have no prediction"),
        (("--split", "tset"), 3, "no split 'tset'; did you mean 'test'"),
        (("--seed", "7"), 2, "--seed 7: finished seeds are 0"),
        (("--set", "dim=3"), 2, "--set dim: the model is the one of the run"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    words: tuple[str, ...],
    code: int,
    message: str,
    probe: RunResult,
    affwild2_tiny: Path,
    command: Command,
    tmp_path: Path,
) -> None:
    given = ("--list", affwild2_tiny / LIST, "--data-root", f"affwild2={affwild2_tiny}", "--device", "cpu")
    answer = command("challenge", probe.path, *given, "--out", tmp_path / "out.csv", *words)
    assert (answer.code, (tmp_path / "out.csv").exists()) == (code, False)
    assert message in answer.err


def test_smoothing_is_an_extra_row_that_is_never_a_headline(probe: RunResult, command: Command) -> None:
    plain, smoothed = command("score", probe.path).out, command("score", probe.path, "--smooth", 3).out
    (extra,) = [line for line in smoothed.splitlines() if line not in plain.splitlines()]
    assert extra.startswith("smoothed +-3 ") and extra.endswith("never a headline")
    content = json.loads(command("score", probe.path, "--smooth", 3, "--json").out)
    assert content["headline"] == probe.score.headline != content["smoothed +-3"]["headline"]
