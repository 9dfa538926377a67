"""A store of 10,000 records: the index and the boards are made from the files in seconds, whatever their number."""

import shutil
import sqlite3
import time
from contextlib import closing

import pytest

from auharness.leaderboard import build_boards, check_boards
from auharness.results.index import index_path, reindex

RUNS, SEEDS, FOLDS = 334, 10, 3
LIMIT_S = 10.0


@pytest.fixture(scope="module")
def large_store(tmp_path_factory, make_run):
    """Write 334 runs of 30 units, each a row of its own with the counts of one run of 41 subjects and 12 AUs."""
    root = tmp_path_factory.mktemp("large") / "data"
    first = make_run(root, run_id="r000", model="net0", seeds=tuple(range(SEEDS)), settings={"recipe": {"lr": 0}})
    texts = {path.relative_to(first.path): path.read_text() for path in first.path.rglob("*.json")}
    for number in range(1, RUNS):
        run, model = f"r{number:03}", f"net{number % 20}"
        for place, text in texts.items():
            path = root / "bp4d-3fold" / model / run / str(place).replace("r000", run)
            path.parent.mkdir(parents=True, exist_ok=True)
            own = text.replace('"r000', f'"{run}').replace('"net0"', f'"{model}"')
            path.write_text(own.replace('"lr":0', f'"lr":{number}'))
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
    # the rows have the same counts, so all intervals but one are remembered: as where a run is added to a board.
    # Each new row costs its interval and its tests, 0.1 s, once
    boards = large_store.parent
    spent = min(_seconds(lambda: build_boards(boards)) for _ in range(2))
    record_property("measured", f"boards of {RUNS * SEEDS * FOLDS} records: {spent:.1f} s of CPU")
    page = (boards / "bp4d-3fold.csv").read_text()
    assert all(page.count(f"r{number:03}") >= 1 for number in range(RUNS))
    assert check_boards(boards) > RUNS // 100
    assert spent < LIMIT_S


def _seconds(call):
    start = time.process_time()
    call()
    return time.process_time() - start
