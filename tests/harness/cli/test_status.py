import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auharness.runner import RunResult
from auharness_plugins.models.small_cnn import SmallCNN

Command = Callable[..., Any]


def test_status_without_runs_says_how_to_start_one(command: Command, tmp_path: Path) -> None:
    answer = command("status", "--runs", tmp_path / "runs")
    assert answer.code == 0
    assert answer.out.startswith(f"no runs below {tmp_path / 'runs'}; start one: auharness run ")
    assert not (tmp_path / "runs").exists()


def test_status_lists_runs_with_units_and_result(
    command: Command, run_mini: Callable[..., RunResult], tmp_path: Path
) -> None:
    result = run_mini(model="constant", settings={}, folds=["P1", "P2"])
    run_mini(model="pixel-probe", settings={}, folds=["P1"], max_steps=1)
    answer = command("status", "--runs", tmp_path / "runs")
    lines = answer.out.splitlines()
    assert len(lines) == 3
    assert lines[1].split()[:3] == [f"bp4d-3fold/constant/{result.path.name}", "2/2", "synthetic"]
    assert lines[1].endswith(result.headline)
    rows = json.loads(command("status", "--runs", tmp_path / "runs", "--model", "constant", "--json").out)
    assert [(row["model"], row["finished"], row["folds_total"]) for row in rows] == [("constant", 2, 3)]


def test_status_of_a_run_tells_finished_failed_and_waiting_units_apart(
    command: Command, run_mini: Callable[..., RunResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = 0
    build = SmallCNN.build

    def breaking(self: SmallCNN, task: Any) -> Any:
        nonlocal built
        built += 1
        # the first one is a trial before the units start
        if built == 3:
            raise ValueError("no such layer")
        if built == 4:
            raise KeyboardInterrupt
        return build(self, task)

    monkeypatch.setattr(SmallCNN, "build", breaking)
    with pytest.raises(KeyboardInterrupt):
        run_mini(seeds=[0, 1])
    (run,) = (tmp_path / "runs").glob("*/*/*/run.json")
    answer = command("status", run.parent.name[:6], "--runs", tmp_path / "runs", "--json")
    units = json.loads(answer.out)
    assert [(unit["fold"], unit["seed"], unit["state"]) for unit in units] == [
        ("P1", 0, "finished"),
        ("P2", 0, "failed"),
        ("P3", 0, "started"),
        ("P1", 1, "to do"),
        ("P2", 1, "to do"),
        ("P3", 1, "to do"),
    ]
    assert units[0]["note"].startswith("f1 ")
    assert units[1]["note"] == "ValueError: no such layer"


def test_a_record_that_cannot_be_read_is_named_and_the_others_are_listed(
    command: Command, run_mini: Callable[..., RunResult], tmp_path: Path
) -> None:
    run_mini(model="constant", settings={}, folds=["P1"])
    broken = tmp_path / "runs" / "bp4d-3fold" / "constant" / "broken" / "run.json"
    broken.parent.mkdir()
    broken.write_text('{"schema_version": 1}')
    answer = command("status", "--runs", tmp_path / "runs")
    assert answer.code == 0 and len(answer.out.splitlines()) == 2
    assert f"{broken}: run_id: Field required; the file does not fit schema version 1" in answer.err


def test_an_unknown_run_is_one_line(command: Command, tmp_path: Path) -> None:
    answer = command("status", "abc", "--runs", tmp_path)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "run 'abc': no run of that name" in answer.err
