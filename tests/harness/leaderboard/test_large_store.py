"""A store of 10,000 records: the index and the boards are made from the files in seconds, whatever their number."""

import json
import shutil
import sqlite3
import time
from contextlib import closing

import pytest

from auharness.leaderboard import build_boards, check_boards
from auharness.leaderboard.board import MEMORY
from auharness.results.index import index_path, reindex

RUNS, SEEDS, FOLDS = 334, 10, 3
LIMIT_S = 10.0


@pytest.fixture(scope="module")
def large_store(tmp_path_factory, make_run):
    """Write 334 runs of 30 units, each a row of its own with its own counts of 41 subjects and 12 AUs."""
    root = tmp_path_factory.mktemp("large") / "data"
    for number in range(RUNS):
        settings = {"recipe": {"lr": number}}
        make_run(
            root,
            run_id=f"r{number:03}",
            model=f"net{number % 20}",
            seeds=tuple(range(SEEDS)),
            noise=number,
            settings=settings,
        )
    yield root
    shutil.rmtree(root)


@pytest.mark.nightly
def test_the_index_of_10000_records_is_rebuilt_in_less_than_ten_seconds(large_store, record_property):
    spent = min(_seconds(lambda: reindex(large_store)) for _ in range(2))
    record_property("measured", f"index of {RUNS * SEEDS * FOLDS} records: {spent:.1f} s of CPU")
    assert reindex(large_store) == (RUNS, [])
    with closing(sqlite3.connect(index_path(large_store))) as database:
        assert database.execute("SELECT count(DISTINCT unit_id) FROM units").fetchone() == (RUNS * SEEDS * FOLDS,)
    index_path(large_store).unlink()
    assert spent < LIMIT_S


@pytest.mark.nightly
def test_the_boards_of_10000_records_are_built_in_less_than_ten_seconds(large_store, record_property):
    # nothing is remembered: every row gets its interval from 10,000 resamples and its test from 10,000 exchanges
    boards, spent = large_store.parent, []
    for _ in range(2):
        shutil.rmtree(large_store / MEMORY, ignore_errors=True)
        start = time.perf_counter()
        build_boards(boards)
        spent.append(time.perf_counter() - start)
    record_property("measured", f"boards of {RUNS * SEEDS * FOLDS} records, nothing remembered: {min(spent):.1f} s")
    page = (boards / "bp4d-3fold.csv").read_text()
    assert all(page.count(f"r{number:03}") >= 1 for number in range(RUNS))
    remembered = json.loads((large_store / MEMORY / "bp4d-3fold.json").read_text())
    assert len([value for value in remembered.values() if isinstance(value, dict)]) == RUNS
    assert check_boards(boards) > RUNS // 100
    assert min(spent) < LIMIT_S


def _seconds(call):
    start = time.process_time()
    call()
    return time.process_time() - start
