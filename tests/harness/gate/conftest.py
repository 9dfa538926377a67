"""Records of a run, times of processes and files of benchmarks, made up with known differences; and git."""

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auharness import registry
from auharness.results.schema import ClusterCounts, DataInfo, RunRecord, UnitRecord, UnitRef
from auharness.results.store import RunFolder

Times = tuple[np.ndarray, np.ndarray]
MACHINE = {
    "node": "a",
    "system": "Linux",
    "machine": "x86_64",
    "python_implementation": "CPython",
    "python_version": "3.12.1",
    "cpu": {"brand_raw": "X", "count": 2},
}


@pytest.fixture(scope="session")
def process_times() -> Callable[..., Times]:
    """Make the times of base, head, head, base; see `_process_times`."""
    return _process_times


def _process_times(
    rng: np.random.Generator, *, slowdown: float = 0.0, rounds: int = 10, spread: float = 0.018
) -> Times:
    """Return `[rounds, 2]` seconds of base and of head.

    Log-normal: every process has an offset of its own (1.8 % between processes for least times, as measured on a shared
    machine), the machine drifts by up to 10 % over the job and wanders by 0.3 % a process, and one process in twenty is
    disturbed, by 30 % on average.
    """
    count = 4 * rounds
    logs = np.linspace(0, rng.uniform(-0.1, 0.1), count) + np.cumsum(rng.normal(0, 0.003, count))
    logs += rng.normal(0, spread, count) + (rng.random(count) < 0.05) * rng.exponential(0.3, count)
    times = 0.01 * np.exp(logs).reshape(rounds, 4)
    return times[:, [0, 3]], times[:, [1, 2]] * (1 + slowdown)


@pytest.fixture(scope="session")
def write_session() -> Callable[..., Path]:
    """Write a file of pytest-benchmark with one benchmark; see `_write_session`."""
    return _write_session


def _write_session(
    path: Path, data: list[object], *, name: str = "scan", machine: Mapping[str, object] | None = None, **stats: object
) -> Path:
    """Write single times, and other statistics beside them; `machine` says how the machine differs from `MACHINE`."""
    benchmark = {"name": name, "fullname": f"bench.py::{name}", "stats": {"data": data, **stats}}
    path.write_text(json.dumps({"machine_info": {**MACHINE, **(machine or {})}, "benchmarks": [benchmark]}))
    return path


@pytest.fixture(scope="session")
def git() -> Callable[..., str]:
    """Run git in a folder as somebody; returns what it says."""

    def run(folder: Path, *words: str) -> str:
        who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
        done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    return run


@pytest.fixture(scope="session")
def write_record() -> Callable[..., RunFolder]:
    """Write a finished run of `bp4d-3fold` from counts; see `_write_record`."""
    return _write_record


def _write_record(
    root: Path,
    folds: dict[str, dict[str, list[list[int]]]],
    *,
    model: str = "my-net",
    run_id: str = "one",
    manifest: str = "aa" * 32,
    planned: int | None = None,
    **fields: object,
) -> RunFolder:
    """Write `run.json` and every `unit.json`.

    Args:
        root: folder of records.
        folds: fold -> subject -> (TP, FP, FN, TN) per AU.
        model: name on the board.
        run_id: folder.
        manifest: of the data.
        planned: units that the run was to have; more than the folds leave some unfinished.
        fields: other fields of the unit records.
    """
    protocol = registry.load("protocol", "bp4d-3fold")()
    folder = RunFolder(root / "bp4d-3fold" / model / run_id)
    refs = [UnitRef(unit_id=f"{run_id}-{fold}", fold=fold, seed=0) for fold in folds]
    data = DataInfo(origin="synthetic", verified=None, size="tiny", manifests={"bp4d": manifest})
    for ref in refs:
        record = _unit(protocol, ref, folds[ref.fold], data, fields)
        path = folder.unit_folder(ref.unit_id) / "unit.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        # the standard library writes NaN as it is, which is what a careless writer leaves
        path.write_text(json.dumps(record.model_dump()))
    refs += [
        UnitRef(unit_id=f"{run_id}-more{n}", fold="P1", seed=1 + n) for n in range((planned or len(refs)) - len(refs))
    ]
    run = RunRecord(
        run_id=run_id,
        request_hash="x",
        model=model,
        protocol=protocol.name,
        protocol_version=protocol.version,
        preset="tiny",
        data_origin="synthetic",
        units=tuple(refs),
        folds_total=3,
    )
    (folder.path / "run.json").write_text(run.model_dump_json())
    return folder


def _unit(
    protocol: Any, ref: UnitRef, subjects: Mapping[str, Any], data: DataInfo, fields: Mapping[str, object]
) -> UnitRecord:
    clusters = [ClusterCounts(name=name, n_rows=sum(counts[0]), counts=counts) for name, counts in subjects.items()]
    count = len(protocol.columns)
    given: dict[str, Any] = {
        "unit_id": ref.unit_id,
        "run_id": "x",
        "model": "my-net",
        "protocol": protocol.name,
        "protocol_version": protocol.version,
        "fold": ref.fold,
        "seed": ref.seed,
        "preset": "tiny",
        "settings": {},
        "data": data,
        "kind": "binary",
        "columns": protocol.columns,
        "outputs": protocol.columns,
        "score_kind": "logit",
        "selection": "last",
        "threshold": "fixed-0.5",
        "thresholds": (0.0,) * count,
        "aggregation": protocol.aggregation,
        "clusters": tuple(clusters),
        "train_positives": (1,) * count,
        "train_coded": (2,) * count,
        "n_train": 2,
        "n_frames": sum(cluster.n_rows for cluster in clusters),
        "n_subjects": len(clusters),
        "n_dropped": {},
        "metrics": {"f1": {"mean": 0.5}},
        "files": {},
    }
    return UnitRecord(**{**given, **fields})
