import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from auharness.results.index import index_path, query_runs, reindex
from auharness.results.store import RunFolder

Write = Callable[..., RunFolder]


def test_the_index_holds_every_run_and_every_value_of_its_units(write_run: Write, tmp_path: Path) -> None:
    write_run("abc", finished=2)
    write_run("abd", protocol="q")
    runs = tmp_path / "runs"
    assert reindex(runs) == (2, [])
    rows = query_runs(runs)
    assert [(row.path, row.units, row.finished) for row in rows] == [("p/m/abc", 3, 2), ("q/m/abd", 3, 3)]
    assert [row.path for row in query_runs(runs, protocol="q")] == ["q/m/abd"]
    with closing(sqlite3.connect(index_path(runs))) as database:
        found = database.execute("SELECT unit_id, metric, label, value FROM units WHERE run = 'p/m/abc'").fetchall()
    assert found == [
        ("u1", "f1", "AU1", 0.5),
        ("u1", "f1", "mean", 0.5),
        ("u2", "f1", "AU1", 0.5),
        ("u2", "f1", "mean", 0.5),
        ("u3", None, None, None),
    ]


def test_an_index_that_is_gone_or_old_is_made_from_the_files(write_run: Write, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write_run("abc")
    assert len(query_runs(runs)) == 1
    write_run("abd", protocol="q")
    reindex(runs)
    assert len(query_runs(runs)) == 2


def test_an_unreadable_record_is_reported_and_the_others_are_indexed(write_run: Write, tmp_path: Path) -> None:
    run = write_run("abc")
    write_run("abd", protocol="q")
    (run.unit_folder("u2") / "unit.json").write_text("{")
    count, problems = reindex(tmp_path / "runs")
    assert count == 1
    assert len(problems) == 1 and problems[0].startswith(f"{run.unit_folder('u2') / 'unit.json'}: ")


def test_readers_and_a_writer_do_not_wait_for_each_other(write_run: Write, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write_run("abc")
    reindex(runs)
    with closing(sqlite3.connect(index_path(runs), isolation_level=None)) as reader:
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM runs").fetchone() == (1,)
        write_run("abd", protocol="q")
        reindex(runs)
        assert reader.execute("SELECT count(*) FROM runs").fetchone() == (1,)
        reader.execute("COMMIT")
        assert reader.execute("SELECT count(*) FROM runs").fetchone() == (2,)
