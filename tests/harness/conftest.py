"""Fixtures that packages of the core share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auharness import registry
from auharness.results.schema import ClusterCounts, DataInfo, RunRecord, UnitRecord, UnitRef
from auharness.results.store import RunFolder
from auharness.scaling.case import Case
from auharness.scaling.point import Point, make_point
from auharness.scaling.records import Machine

CPU = Machine(kind="cpu", device="test processor", threads=1, versions={"torch": "2.13"})


@pytest.fixture
def point():
    """Make a point of an operator; time grows with the given power of the length."""

    def make(mixer="ttt", length=1024, *, power=1.0, machine=CPU, status="ok", phase="forward", **fields) -> Point:
        case = replace(Case("op", mixer, "length", length), **{k: fields.pop(k) for k in list(fields) if k in CASE})
        time = (length / 1024) ** power
        measured = {"best_ms": time, "p50_ms": 1.1 * time, "p95_ms": 2 * time, "floor_ms": time / 4, "samples": 5}
        measured |= {"peak_bytes": 2**20 * length, "saved_bytes": 2048 * length, "backend": {"op": "torch"}}
        if status != "ok":
            measured = {}
        given = {"phase": phase, "mode": "eager", "machine": machine, "status": status}
        return make_point(case, **given, **{**measured, **fields})

    return make


@pytest.fixture
def edited_plugin(monkeypatch, tmp_path) -> Callable[[str], None]:
    """Let the digest of a model be that of a copy of its file with one more line."""
    find = registry.source_file

    def edit(name: str) -> None:
        copy = tmp_path / find("model", name).name
        copy.write_text(find("model", name).read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")
        monkeypatch.setattr(
            "auharness.registry.source.source_file", lambda kind, asked: copy if asked == name else find(kind, asked)
        )

    return edit


# subjects, clips, and positives of AUs, as published; who shows them is made up, 15 (11) subjects show a given AU not
MICRO = {
    "casme2": (26, 256, (26, 22, 130, 39, 34, 27, 16, 25), 15),
    "samm": (29, 159, (18, 23, 46, 28), 11),
}


@pytest.fixture(scope="session")
def micro_labels() -> Callable[..., dict[str, np.ndarray]]:
    """Make labels with the published totals of a micro-expression data set: subject -> `[clips, AUs]` of 0 and 1."""

    def make(dataset: str = "casme2") -> dict[str, np.ndarray]:
        n_subjects, n_clips, positives, n_without = MICRO[dataset]
        sizes = [n_clips // n_subjects + (place < n_clips % n_subjects) for place in range(n_subjects)]
        labels = [np.zeros((size, len(positives)), np.int8) for size in sizes]
        for au, count in enumerate(positives):
            # an AU in half of the clips cannot be missing from most subjects
            n_with = n_subjects - (2 if 3 * count > n_clips else n_without)
            having = [(5 * au + place) % n_subjects for place in range(n_with)]
            free = [(who, clip) for clip in range(max(sizes)) for who in having if clip < sizes[who]]
            for who, clip in free[:count]:
                labels[who][clip, au] = 1
        return {f"{number:02}": values for number, values in enumerate(labels, start=1)}

    return make


@pytest.fixture(scope="session")
def class_run() -> Callable[..., RunFolder]:
    """Write a finished run of clips from the confusion matrices of its folds; see `_class_run`."""
    return _class_run


def _class_run(
    root: Path,
    matrices: Mapping[str, Sequence[np.ndarray]],
    *,
    protocol: str = "dfew-5fold",
    model: str = "my-net",
    folds_total: int = 5,
    **fields: Any,
) -> RunFolder:
    """Write `run.json` and every `unit.json`.

    Args:
        root: folder of runs.
        matrices: fold -> one `[C, C]` matrix of counts per seed, rows true classes; all with equal row sums, so that
            the seeds answer the same clips.
        protocol: a protocol of classes.
        model: name on the board.
        folds_total: folds that the protocol has.
        fields: other fields of the unit records.
    """
    plugin = registry.load("protocol", protocol)()
    folder = RunFolder(root / protocol / model / f"{model}-1")
    refs = []
    for fold, seeds in matrices.items():
        for seed, matrix in enumerate(seeds):
            refs.append(UnitRef(unit_id=f"{model}-{fold}-{seed}", fold=fold, seed=seed))
            record = _class_unit(plugin, refs[-1], matrix, model=model, fields=fields)
            path = folder.unit_folder(record.unit_id) / "unit.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(record.model_dump_json())
    data = fields.get("data", CLASS_DATA)
    run = RunRecord(
        run_id=f"{model}-1",
        request_hash="x",
        model=model,
        protocol=protocol,
        protocol_version=plugin.version,
        preset="paper",
        data_origin=data.origin,
        units=tuple(refs),
        folds_total=folds_total,
        headline="done",
    )
    (folder.path / "run.json").write_text(run.model_dump_json())
    return folder


def _class_unit(plugin: Any, ref: UnitRef, matrix: np.ndarray, *, model: str, fields: Mapping[str, Any]) -> UnitRecord:
    true, predicted = np.divmod(np.repeat(np.arange(matrix.size), matrix.ravel()), len(matrix))
    clips = []
    for number, (row, column) in enumerate(zip(true, predicted, strict=True)):
        counts = np.zeros(matrix.shape, int)
        counts[row, column] = 1
        name = f"dfew/{ref.fold[-1]}{number:04}"
        clips.append(ClusterCounts.model_construct(name=name, n_rows=1, counts=tuple(map(tuple, counts.tolist()))))
    sizes = tuple(int(size) for size in matrix.sum(axis=1))
    given = {
        "settings": {},
        "data": CLASS_DATA,
        "metrics": {},
        "n_dropped": {},
        "files": {},
        "selection": "last",
        "parameters": 1234,
    }
    return UnitRecord.model_construct(
        unit_id=ref.unit_id,
        run_id=f"{model}-1",
        model=model,
        protocol=plugin.name,
        protocol_version=plugin.version,
        fold=ref.fold,
        seed=ref.seed,
        preset="paper",
        kind="classes",
        columns=plugin.columns,
        outputs=plugin.columns,
        score_kind="logit",
        threshold="fixed-0.5",
        thresholds=(),
        aggregation=plugin.aggregation,
        clusters=tuple(clips),
        train_positives=tuple(4 * size for size in sizes),
        train_coded=(4 * sum(sizes),) * len(sizes),
        n_train=4 * sum(sizes),
        n_frames=len(clips),
        n_subjects=len(clips),
        **{**given, **fields},
    )


CLASS_DATA = DataInfo(origin="licensed", verified=True, manifests={"dfew": "aa" * 32})
CASE = Case.__dataclass_fields__
