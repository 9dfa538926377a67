"""Many processes that finish units at the same time, in the same runs."""

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from auharness.results.index import index_path, reindex
from auharness.results.schema import RunRecord, UnitRecord, UnitRef
from auharness.results.store import RunFolder, iter_runs
from auharness.results.verify import verify_runs

RUNS = 4
CONTESTED = "contested"
SCRIPT = """
import os, sys, traceback
from pathlib import Path

import pandas as pd

from auharness.results.index import reindex
from auharness.results.schema import UnitRecord
from auharness.results.store import RunFolder

root, writers, each = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
template = UnitRecord.model_validate_json((root / "template.json").read_text())
runs = sorted(path.parent for path in root.glob("*/*/*/run.json"))


def write(writer):
    for number in range(each + 1):
        # every writer finishes the last one
        name = f"u{writer:02d}-{number:03d}" if number < each else "contested"
        run = RunFolder(runs[number % len(runs)] if number < each else runs[0])
        frame = pd.DataFrame({"sample_id": [name] * 8, "AU1": [0.5] * 8})
        record = template.model_copy(update={"unit_id": name, "fold": name})
        run.finish_unit(record, predictions=frame, weights={}, log="{}")
        run.event("unit_finished", unit=name)
        if number == each // 2 and writer < 2:
            reindex(root)


children = []
for writer in range(writers):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            write(writer)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    children.append(child)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


@pytest.mark.parametrize(
    ("writers", "each"), [(6, 8), pytest.param(32, 500, marks=pytest.mark.nightly)], ids=["small", "full"]
)
def test_no_record_of_many_writers_is_lost_or_doubled(
    unit_record: Callable[..., UnitRecord], tmp_path: Path, writers: int, each: int
) -> None:
    root = tmp_path / "runs"
    units = [
        [f"u{writer:02d}-{number:03d}" for writer in range(writers) for number in range(n, each, RUNS)]
        for n in range(RUNS)
    ]
    units[0].append(CONTESTED)
    for number, names in enumerate(units):
        RunFolder(root / "p" / "m" / f"r{number}").write_record(_run(f"r{number}", names))
    (root / "template.json").write_text(unit_record().model_dump_json())
    (tmp_path / "script.py").write_text(SCRIPT)
    words = [sys.executable, str(tmp_path / "script.py"), str(root), str(writers), str(each)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    assert verify_runs(root) == (RUNS, [])
    assert sum(map(len, units)) == writers * each + 1
    for run, names in zip(iter_runs(root), units, strict=True):
        assert run.is_complete
        assert sorted(path.name for path in run.path.glob("units/*")) == sorted(names)
        assert [unit.unit_id for unit in run.finished()] == names
        told = Counter(json.loads(line)["unit"] for line in (run.path / "events.jsonl").read_text().splitlines())
        assert told == {name: writers if name == CONTESTED else 1 for name in names}
        assert list(run.path.glob("units/*/.*")) == []  # no half-written file is left

    assert reindex(root) == (RUNS, [])
    content = _content(root)
    assert len(content) == 2 * (writers * each + 1)  # two labels of each unit
    assert len({row[:2] for row in content}) == writers * each + 1
    for path in root.glob("index.sqlite*"):
        path.unlink()
    reindex(root)
    assert _content(root) == content


def _run(run_id: str, names: list[str]) -> RunRecord:
    return RunRecord(
        run_id=run_id,
        request_hash="h",
        model="m",
        protocol="p",
        protocol_version=1,
        preset="tiny",
        data_origin="synthetic",
        units=tuple(UnitRef(unit_id=name, fold=name, seed=0) for name in names),
        folds_total=len(names),
    )


def _content(root: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(index_path(root))) as database:
        return database.execute("SELECT * FROM units ORDER BY run, unit_id, metric, label").fetchall()


def test_of_two_equal_ends_of_a_unit_the_first_stays_and_another_end_replaces_it(
    unit_record: Callable[..., UnitRecord], tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    frame = pd.DataFrame({"sample_id": ["a"], "AU1": [0.3]})

    def finish(log: str, **more: object) -> UnitRecord:
        return run.finish_unit(unit_record(**more), predictions=frame, weights={}, log=log)

    first = finish("first", wall_s=1.0)
    assert finish("second", wall_s=2.0) == first == run.unit("u1")
    assert (run.unit_folder("u1") / "log.txt").read_text() == "first"
    other = finish("third", metrics={"f1": {"AU1": 0.75, "mean": 0.75}})
    assert run.unit("u1") == other != first
    assert (run.unit_folder("u1") / "log.txt").read_text() == "third"
