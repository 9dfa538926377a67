"""`index.sqlite`: a derived table of all runs and units; it can be deleted at any time."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from auharness.errors import IntegrityError, StorageError
from auharness.results.store import RunFolder, iter_runs

__all__ = ["RunRow", "index_path", "query_runs", "reindex"]

BUSY_TIMEOUT_S = 30.0
SCHEMA = """
CREATE TABLE runs (
    path TEXT PRIMARY KEY, run_id TEXT, attempt INTEGER, model TEXT, protocol TEXT, preset TEXT, data_origin TEXT,
    units INTEGER, finished INTEGER, folds_total INTEGER, smoke INTEGER, headline TEXT
) STRICT;
CREATE TABLE units (
    run TEXT, unit_id TEXT, fold TEXT, seed INTEGER, finished INTEGER, metric TEXT, label TEXT, value REAL
) STRICT;
CREATE INDEX units_run ON units (run);
"""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as the index shows it."""

    path: str
    run_id: str
    attempt: int
    model: str
    protocol: str
    preset: str
    data_origin: str
    units: int
    finished: int
    folds_total: int
    smoke: int
    headline: str


def index_path(runs: Path) -> Path:
    """Return where the index of a runs folder lies."""
    return runs / "index.sqlite"


def reindex(runs: Path) -> tuple[int, list[str]]:
    """Rebuild the index from the files.

    Returns:
        The number of runs, and a line for every record that could not be read.
    """
    problems: list[str] = []
    count = 0
    runs.mkdir(parents=True, exist_ok=True)
    _drop_if_damaged(index_path(runs))
    with _open(index_path(runs)) as database:
        database.executescript("BEGIN IMMEDIATE; DROP TABLE IF EXISTS runs; DROP TABLE IF EXISTS units;" + SCHEMA)
        for run in iter_runs(runs):
            try:
                _insert(database, runs, run)
                count += 1
            except IntegrityError as error:
                problems.append(str(error))
        database.commit()
    return count, problems


def query_runs(runs: Path, *, protocol: str | None = None, model: str | None = None) -> list[RunRow]:
    """Return the runs of the index, newest attempts last; an absent index is built first."""
    if not index_path(runs).is_file():
        reindex(runs)
    with _open(index_path(runs)) as database:
        found = database.execute(
            "SELECT * FROM runs WHERE protocol LIKE ? AND model LIKE ? ORDER BY protocol, model, run_id, attempt",
            (protocol or "%", model or "%"),
        )
        return [RunRow(*row) for row in found]


def _drop_if_damaged(path: Path) -> None:
    """Delete an index that is no database any more; whatever was in it stands in the files."""
    try:
        with _open(path) as database:
            sound = database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.DatabaseError:
        sound = False
    if not sound:
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            path.with_name(name).unlink(missing_ok=True)


def _insert(database: sqlite3.Connection, runs: Path, run: RunFolder) -> None:
    record = run.record
    path = run.path.relative_to(runs).as_posix()
    rows: list[tuple[object, ...]] = []
    finished = 0
    for ref in record.units:
        if not run.is_finished(ref.unit_id):
            rows.append((path, ref.unit_id, ref.fold, ref.seed, 0, None, None, None))
            continue
        finished += 1
        unit = run.unit(ref.unit_id)
        rows += [
            (path, ref.unit_id, ref.fold, ref.seed, 1, metric, label, value)
            for metric, values in unit.metrics.items()
            for label, value in values.items()
        ]
    database.execute(
        "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            path,
            record.run_id,
            record.attempt,
            record.model,
            record.protocol,
            record.preset,
            record.data_origin,
            len(record.units),
            finished,
            record.folds_total,
            int(record.smoke),
            record.headline,
        ),
    )
    database.executemany("INSERT INTO units VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    """Open with a write-ahead log and a long busy timeout, so that parallel writers wait instead of failing.

    Raises:
        StorageError: if the disk takes no more, or the index is still locked after the timeout.
    """
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            yield database
    except sqlite3.OperationalError as error:
        raise StorageError(f"{path}: {error}; make room or mend the disk, then run the same command again") from error
