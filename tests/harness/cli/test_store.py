import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auharness.runner import RunResult

Command = Callable[..., Any]


@pytest.fixture
def run(run_mini: Callable[..., RunResult]) -> Path:
    return run_mini(model="constant", settings={}, folds=["P1"]).path


def test_verify_finds_nothing_in_an_untouched_store(command: Command, run: Path, tmp_path: Path) -> None:
    answer = command("store", "verify", "--runs", tmp_path / "runs")
    assert answer.code == 0
    assert answer.out == f"1 runs below {tmp_path / 'runs'}: every file is what its unit says\n"


def test_verify_names_a_changed_file_and_a_missing_one_and_exits_7(command: Command, run: Path, tmp_path: Path) -> None:
    (unit,) = (run / "units").iterdir()
    (unit / "predictions.parquet").write_bytes(b"other")
    (unit / "metrics.json").unlink()
    answer = command("store", "verify", "--runs", tmp_path / "runs")
    assert answer.code == 7
    assert answer.err.splitlines() == [
        f"auharness: error: {unit / 'predictions.parquet'}: changed since the unit was finished; "
        "delete unit.json to run the unit again",
        f"auharness: error: {unit / 'metrics.json'}: missing; delete {unit.name}/unit.json to run the unit again",
    ]
    answer = command("store", "verify", "--runs", tmp_path / "runs", "--json")
    assert answer.code == 7 and len(json.loads(answer.out)["problems"]) == 2


def test_a_unit_whose_mark_was_deleted_is_run_again(
    command: Command, run: Path, run_mini: Callable[..., RunResult], tmp_path: Path
) -> None:
    (unit,) = (run / "units").iterdir()
    (unit / "predictions.parquet").write_bytes(b"other")
    (unit / "unit.json").unlink()
    assert run_mini(model="constant", settings={}, folds=["P1"]).done == 1
    assert command("store", "verify", "--runs", tmp_path / "runs").code == 0


def test_the_index_can_be_deleted_and_rebuilt(command: Command, run: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert command("store", "reindex", "--runs", runs).out == f"1 runs in {runs / 'index.sqlite'}\n"
    before = command("status", "--runs", runs, "--json").out
    for file in runs.glob("index.sqlite*"):
        file.unlink()
    assert command("status", "--runs", runs, "--json").out == before
