"""Speed of the record store: write units, rebuild the index, build the boards.

`README.md` says how to run it. A finished unit is five files, each flushed to the disk before it has its name; the peer
is a row of sqlite with a commit, which is flushed too.
"""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from auharness.leaderboard import build_boards
from auharness.results.index import index_path, reindex
from auharness.results.schema import ClusterCounts, DataInfo, RunRecord, UnitRecord, UnitRef
from auharness.results.store import RunFolder

SUBJECTS, AUS = 14, (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
RUNS, SEEDS, FOLDS = 20, 5, 3


def unit_record(run: int, fold: int, seed: int) -> UnitRecord:
    """A record as of a fold of BP4D: 14 subjects, 12 AUs."""
    random = np.random.default_rng([run, fold, seed])
    columns = tuple(f"AU{au}" for au in AUS)
    counts = random.integers(1, 500, (SUBJECTS, len(AUS), 4)).tolist()
    clusters = tuple(
        ClusterCounts(name=f"F{3 * number + fold:03}", n_rows=2000, counts=tuple(map(tuple, rows)))
        for number, rows in enumerate(counts)
    )
    return UnitRecord(
        unit_id=f"u{run:03}-{fold}-{seed}",
        run_id=f"r{run:03}",
        model=f"net{run}",
        protocol="bp4d-3fold",
        protocol_version=1,
        fold=f"P{fold + 1}",
        seed=seed,
        preset="paper",
        settings={"lr": run},
        data=DataInfo(origin="licensed", verified=True, manifests={"bp4d": "aa" * 32}),
        kind="binary",
        columns=columns,
        outputs=columns,
        score_kind="logit",
        selection="last",
        threshold="fixed-0.5",
        thresholds=(0.0,) * len(AUS),
        aggregation="fold-mean",
        clusters=clusters,
        train_positives=(300,) * len(AUS),
        train_coded=(1000,) * len(AUS),
        n_train=1000,
        n_frames=2000 * SUBJECTS,
        n_subjects=SUBJECTS,
        n_dropped={},
        metrics={"f1": {"mean": 0.5}},
        files={},
    )


def write_store(root: Path) -> Path:
    """Write 20 runs of 15 units without what a board does not read."""
    for run in range(RUNS):
        folder = RunFolder(root / "bp4d-3fold" / f"net{run}" / f"r{run:03}")
        units = [unit_record(run, fold, seed) for seed in range(SEEDS) for fold in range(FOLDS)]
        for unit in units:
            path = folder.unit_folder(unit.unit_id) / "unit.json"
            path.parent.mkdir(parents=True)
            path.write_text(unit.model_dump_json())
        record = RunRecord(
            run_id=f"r{run:03}",
            request_hash="x",
            model=f"net{run}",
            protocol="bp4d-3fold",
            protocol_version=1,
            preset="paper",
            data_origin="licensed",
            units=tuple(UnitRef(unit_id=unit.unit_id, fold=unit.fold, seed=unit.seed) for unit in units),
            folds_total=FOLDS,
        )
        (folder.path / "run.json").write_text(record.model_dump_json())
    return root


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = write_store(tmp_path_factory.mktemp("store") / "data")
    yield root
    shutil.rmtree(root)


@pytest.mark.benchmark(group="write the record of a unit")
@pytest.mark.parametrize("who", ["auharness", "sqlite"])
def test_write_unit(benchmark: Any, tmp_path: Path, who: str) -> None:
    rounds = iter(range(1000))
    record, folder = unit_record(0, 0, 0), RunFolder(tmp_path / "run")
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(2000, len(AUS))), columns=list(record.columns))
    weights, text = {"w": torch.zeros(1000)}, record.model_dump_json()
    with closing(sqlite3.connect(tmp_path / "peer.sqlite", isolation_level=None)) as database:
        database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE u (id TEXT, j TEXT)")

        def write() -> None:
            name = str(next(rounds))
            if who == "sqlite":
                database.execute("INSERT INTO u VALUES (?, ?)", (name, text))
                return
            unit = record.model_copy(update={"unit_id": name})
            folder.finish_unit(unit, predictions=frame, weights=weights, log="")

        benchmark.pedantic(write, rounds=30, warmup_rounds=3)


@pytest.mark.benchmark(group="read 300 records")
@pytest.mark.parametrize("who", ["auharness", "json"])
def test_rebuild_index(benchmark: Any, store: Path, who: str) -> None:
    """Read, check and index every record; the peer only parses the files."""

    def parse() -> int:
        return len([json.loads(path.read_bytes()) for path in sorted(store.rglob("unit.json"))]) // (SEEDS * FOLDS)

    found = benchmark((lambda: reindex(store)[0]) if who == "auharness" else parse)
    index_path(store).unlink(missing_ok=True)
    assert found == RUNS


@pytest.mark.benchmark(group="boards of 300 records")
def test_build_boards(benchmark: Any, store: Path) -> None:
    """With remembered intervals, as after one more run."""
    build_boards(store.parent)
    assert benchmark.pedantic(build_boards, args=(store.parent,), rounds=5)
