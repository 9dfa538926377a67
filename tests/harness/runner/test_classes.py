"""A run over classes on the stand-in of DFEW: splits of the vendor in, a row with its confusion matrices out."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import auharness
from auharness.runner import RunResult, make_request
from auharness.runner.inputs import gather
from auharness.runner.plan import Plan, make_plan


@pytest.fixture
def run(dfew_tiny: Path, tmp_path: Path) -> Any:
    """Run the constant predictor under a protocol of DFEW."""

    def start(protocol: str, **options: Any) -> RunResult:
        given = {"data_roots": {"dfew": str(dfew_tiny)}, "runs": tmp_path / "runs", "device": "cpu", "jobs": 1}
        return auharness.run("constant", protocol, **(given | options))

    return start


def test_a_run_writes_its_matrices_and_its_row(run: Any) -> None:
    found = run("dfew-fold1")
    assert found.headline.startswith("constant on dfew-fold1: UAR 14.29 [14.29, 14.29], WAR ")
    assert ", 1 of 5 folds, 1 seed (fold-mean, 1 fold, " in found.headline
    (path,) = sorted((found.path / "confusion").rglob("*.csv"))
    lines = [line.split(",") for line in path.read_text().splitlines()[1:]]
    counts = np.array([line[1:9] for line in lines], int)
    assert path.relative_to(found.path).as_posix() == "confusion/seed0/fold1.csv"
    assert (counts[:, 0] == counts[:, 7]).all() and counts[:, 1:7].sum() == 0
    assert counts[:, 7].sum() == found.score.n_frames
    assert "**14.29** (1 of 5 folds) (1 seed)" in found.page.read_text()


def test_another_split_file_is_another_run(dfew_tiny: Path, tmp_path: Path) -> None:
    def plan(root: Path) -> Plan:
        given = {"model": "constant", "protocol": "dfew-fold1", "data_roots": {"dfew": str(root)}, "device": "cpu"}
        return make_plan(gather(make_request(runs=tmp_path / "runs", **given)))

    copy = shutil.copytree(dfew_tiny, tmp_path / "copy")
    first, same = plan(dfew_tiny), plan(copy)
    assert (same.run_id, same.units) == (first.run_id, first.units)
    train, test = (copy / "EmoLabel_DataSplit" / f"{part}(single-labeled)" / "set_1.csv" for part in ("train", "test"))
    head, moved, *kept = train.read_text().splitlines()
    train.write_text("\n".join([head, *kept]) + "\n")
    test.write_text(test.read_text() + f"{moved}\n")
    other = plan(copy)
    assert other.run_id != first.run_id and not {*other.units} & {*first.units}
    assert len(other.folds[0].test_ids) == len(first.folds[0].test_ids) + 1


def test_one_of_five_folds_is_no_row_of_the_board(run: Any) -> None:
    text = run("dfew-5fold", folds=("fold1",)).page.read_text()
    left = text[text.index("#### Incomplete, not ranked") : text.index("## Reported")]
    assert "1 of 5 folds" in left
