"""What is asked for, and when an answer on disk is an answer to it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auharness.errors import UsageError
from auharness.runner import RunResult, make_request
from auharness.runner.inputs import gather

ASKED: dict[str, Any] = {"model": "constant", "protocol": "bp4d-3fold"}


@pytest.fixture
def hash_of(bp4d_mini: Path) -> Callable[..., str]:
    """Return the request hash of the constant on the mini root."""

    def ask(**options: Any) -> str:
        given: dict[str, Any] = {**ASKED, "data_roots": {"bp4d": str(bp4d_mini)}, **options}
        return gather(make_request(**given)).request_hash

    return ask


@pytest.mark.parametrize(
    "options",
    [
        {"presets": "tiny"},
        {"seeds": [0, 1]},
        {"folds": ["P1"]},
        {"settings": {"value": "zero"}},
        {"limit": 3},
        {"max_steps": 3},
        {"model": "pixel-probe"},
    ],
    ids=lambda options: "-".join(options),
)
def test_whatever_changes_the_result_changes_the_hash(hash_of: Callable[..., str], options: dict[str, Any]) -> None:
    assert hash_of(**options) != hash_of()


def test_where_and_how_fast_does_not_change_the_hash(hash_of: Callable[..., str], tmp_path: Path) -> None:
    assert hash_of(jobs=1, device="cpu", runs=tmp_path, fresh=True) == hash_of(jobs=4, device="auto")


def test_the_environment_the_file_and_the_data_change_the_hash(
    hash_of: Callable[..., str], bp4d_mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = hash_of()
    monkeypatch.setenv("AUHARNESS_SET__VALUE", "zero")
    assert hash_of() != plain
    monkeypatch.delenv("AUHARNESS_SET__VALUE")
    config = tmp_path / "settings.toml"
    config.write_text('[model]\nvalue = "zero"\n')
    assert hash_of(config=config) != plain
    config.write_text("")
    assert hash_of(config=config) == plain

    root = Path(shutil.copytree(bp4d_mini, tmp_path / "bp4d"))
    before = hash_of(data_roots={"bp4d": str(root)})
    sheet = next(root.glob("AUCoding/AU_OCC/*.csv"))
    sheet.write_text(sheet.read_text() + "\n")
    assert hash_of(data_roots={"bp4d": str(root)}) != before


def test_corrected_labels_are_another_run(run_mini: Callable[..., RunResult], bp4d_mini: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(bp4d_mini, tmp_path / "bp4d"))
    options: dict[str, Any] = {"model": "constant", "settings": {}, "folds": ["P1"], "data_roots": {"bp4d": str(root)}}
    first = run_mini(**options)
    sheet = next(root.glob("AUCoding/AU_OCC/F001*.csv"))
    header, row, *rows = sheet.read_text().splitlines()
    frame, labels = row.split(",", 1)
    sheet.write_text("\n".join([header, f"{frame},{labels.translate(str.maketrans('01', '10'))}", *rows]))
    second = run_mini(**options)
    assert second.done == 1 and second.path != first.path


def test_the_file_gives_what_the_call_leaves_open(tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text('[run]\nmodel = "constant"\nprotocol = "bp4d-3fold"\nseeds = [4, 5]\nlimit = 9\nruns = "r"\n')
    request = make_request(config=config, limit=3)
    assert (request.model, request.seeds, request.limit, request.runs) == ("constant", (4, 5), 3, Path("r"))
    assert make_request(**ASKED, seeds=3).seeds == (0, 1, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": None}, "run: no protocol given; name one with --protocol"),
        ({"jobs": 0}, "jobs: expected at least 1, got 0"),
        ({"max_steps": -1}, "max_steps: expected at least 1, got -1"),
        ({"data_size": "huge"}, "data_size: expected one of tiny, small, full, got 'huge'"),
        ({"seeds": []}, r"seeds: expected distinct numbers, got \[\]"),
        ({"wieghts": "w"}, "run: no option 'wieghts'; did you mean 'weights'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_request_that_has_no_meaning_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_request(**{**ASKED, **options})
