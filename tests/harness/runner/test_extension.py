import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auharness.errors import UnitsFailedError, UsageError
from auharness.leaderboard import write_page
from auharness.runner import execute as execute_module


def rows(page: Path) -> list[dict[str, Any]]:
    board = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    return [row for table in board["tables"] for row in table["rows"]]


def test_a_failed_extension_keeps_the_row_that_stood(
    run_mini: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_mini(model="constant", settings={})
    before = first.page.read_bytes()

    def fail(self: object) -> None:
        raise RuntimeError("made up")

    monkeypatch.setattr(execute_module._Work, "finish", fail)
    with pytest.raises(UnitsFailedError, match="made up"):
        run_mini(model="constant", settings={}, seeds=(0, 7))
    assert write_page(first.page.parent.parent, first.page.stem).read_bytes() == before


def test_a_file_in_the_place_of_the_runs_folder_is_named(run_mini: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"--runs .*file: expected a folder that can be written"):
        run_mini(runs=tmp_path / "file")


def test_a_run_cut_short_by_a_setting_is_a_smoke_run(run_mini: Callable[..., Any]) -> None:
    result = run_mini(model="small-cnn", settings={"recipe": {"max_steps": 1}}, limit=None)
    units = sorted(result.path.glob("units/*/unit.json"))
    assert units and all(json.loads(unit.read_text())["smoke"] for unit in units)
    assert json.loads((result.path / "run.json").read_text())["smoke"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "foo"}, "--device foo: expected auto, cpu, cuda or cuda:N"),
        ({"device": "cuda:99"}, "--device cuda:99: this machine has"),
        ({"presets": ("paper", "tiny")}, "paper and tiny are both sizes"),
        ({"settings": {"preprocess": {"crop": 80}}}, "crop is 80, expected at most resize"),
        ({"jobs": "two"}, "jobs is 'two', expected a whole number"),
        ({"settings": {"preprocess": {"frames": 8}}}, "preprocess.frames is 8, expected 1"),
        ({"runs": 3}, "runs is 3, expected a path"),
    ],
)
def test_what_would_fail_every_unit_stops_before_training(
    run_mini: Callable[..., Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run_mini(model="small-cnn", **options)
