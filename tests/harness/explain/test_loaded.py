"""A run opened again: its data are read as its record says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import auharness
from auharness.errors import DataError
from auharness.explain.loaded import Data, LoadedRun
from auharness.results.atomic import write_json
from auharness.results.store import UNIT, RunFolder
from auharness.runner import RunResult


@pytest.fixture
def run(samm_tiny: Path, tmp_path: Path) -> RunResult:
    """One fold on the clips that show one of the four AUs."""
    given: dict[str, Any] = {
        "data_roots": {"samm": str(samm_tiny)},
        "settings": {"data": {"samm": {"drop_empty": True}}},
    }
    given |= {"folds": ["006"], "runs": tmp_path / "runs", "device": "cpu", "jobs": 1}
    return auharness.run("constant", "samm-loso", **given)


def test_a_record_holds_every_setting_of_its_readers_and_no_root(run: RunResult) -> None:
    (unit,) = RunFolder(run.path).finished()
    assert unit.data.settings == {
        "samm": {
            "images": "cropped",
            "or_policy": "meb",
            "ref_policy": "keep",
            "sheet": "",
            "accept_sheet": "",
            "drop_empty": True,
        }
    }


def test_the_data_of_a_run_are_read_as_it_read_them_without_being_told(run: RunResult, samm_tiny: Path) -> None:
    roots = {"samm": str(samm_tiny)}
    index = LoadedRun(RunFolder(run.path), Data(roots)).index
    (unit,) = RunFolder(run.path).finished()
    assert index.manifests == unit.data.manifests
    assert (index.labels() == 1).any(axis=1).all()
    # what is given stands above the record
    with pytest.raises(DataError, match="is not what the run was made on"):
        assert LoadedRun(RunFolder(run.path), Data(roots, settings={"data": {"samm": {"drop_empty": False}}})).index


def test_an_old_record_is_read_with_the_settings_that_are_given(run: RunResult, samm_tiny: Path) -> None:
    folder, roots = RunFolder(run.path), {"samm": str(samm_tiny)}
    (unit,) = folder.finished()
    old = unit.model_dump(mode="json")
    del old["data"]["settings"]
    write_json(folder.unit_folder(unit.unit_id) / UNIT, old)
    assert folder.finished()[0].data.settings == {}
    with pytest.raises(DataError, match="is not what the run was made on"):
        assert LoadedRun(folder, Data(roots)).index
    given = {"data": {"samm": {"drop_empty": True}}}
    assert LoadedRun(folder, Data(roots, settings=given)).index.manifests == unit.data.manifests


def test_page_and_score_say_how_the_data_were_read(run: RunResult, command: Callable[..., Any]) -> None:
    assert "Settings of the data: samm.drop_empty=True." in run.page.read_text()
    answer = command("score", run.path)
    assert answer.code == 0, answer.err
    assert "\nsettings of the data: samm.drop_empty=True\n" in answer.out
