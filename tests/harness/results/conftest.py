from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from auharness.results.schema import ClusterCounts, DataInfo, RunRecord, UnitRecord, UnitRef
from auharness.results.store import RunFolder

Write = Callable[..., RunFolder]


@pytest.fixture
def unit_record() -> Callable[..., UnitRecord]:
    """Return the record of a unit with one subject and one AU."""

    def make(unit_id: str = "u1", **more: Any) -> UnitRecord:
        values: dict[str, Any] = {
            "unit_id": unit_id,
            "run_id": "abc",
            "model": "m",
            "protocol": "p",
            "protocol_version": 1,
            "fold": "P1",
            "seed": 0,
            "preset": "tiny",
            "settings": {"lr": 0.1},
            "data": DataInfo(origin="synthetic", verified=None, manifests={"bp4d": "0"}),
            "kind": "binary",
            "columns": ("AU1",),
            "outputs": ("AU1",),
            "score_kind": "logit",
            "selection": "last",
            "threshold": "fixed-0.5",
            "thresholds": (0.0,),
            "aggregation": "fold-mean",
            "clusters": (ClusterCounts(name="S1", n_rows=4, counts=((1, 1, 1, 1),)),),
            "train_positives": (1,),
            "train_coded": (4,),
            "n_train": 4,
            "n_frames": 4,
            "n_subjects": 1,
            "n_dropped": {},
            "metrics": {"f1": {"AU1": 0.5, "mean": 0.5}},
            "files": {},
        }
        return UnitRecord(**(values | more))

    return make


@pytest.fixture
def write_run(tmp_path: Path, unit_record: Callable[..., UnitRecord]) -> Write:
    """Write a run of three planned units of which some are finished; returns its folder."""

    def write(name: str = "abc", *, attempt: int = 1, finished: int = 3, protocol: str = "p") -> RunFolder:
        run = RunFolder(tmp_path / "runs" / protocol / "m" / name)
        refs = tuple(UnitRef(unit_id=f"u{number}", fold=f"P{number}", seed=0) for number in (1, 2, 3))
        record = RunRecord(
            run_id="abc",
            attempt=attempt,
            request_hash="h",
            model="m",
            protocol=protocol,
            protocol_version=1,
            preset="tiny",
            data_origin="synthetic",
            units=refs,
            folds_total=3,
        )
        run.write_record(record)
        for ref in refs[:finished]:
            run.finish_unit(
                unit_record(ref.unit_id, fold=ref.fold),
                predictions=pd.DataFrame({"sample_id": ["a"], "AU1": [0.3]}),
                weights={"w": torch.ones(2)},
                log='{"event": "started"}\n',
            )
        return run

    return write
