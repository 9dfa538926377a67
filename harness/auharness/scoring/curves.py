"""Training curves of a run: every quantity that its units logged after each epoch, and test scores where kept."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from auharness import registry
from auharness.api import ProtocolPlugin
from auharness.errors import IntegrityError
from auharness.results.atomic import write_bytes
from auharness.results.schema import UnitRecord
from auharness.results.store import LOG, RunFolder
from auharness.scoring.predictions import cluster_counts, unit_metrics

__all__ = ["CURVES", "TEST", "all_curves", "curve_table", "epoch_scores", "write_curves"]

CURVES = "curves.csv"
"""File of the curves in a run folder."""
TEST = "test "
"""Begins the name of a quantity of the test part."""
_NO_CURVES: Final = ("epoch", "epochs", "s")
_COLUMNS: Final = ["quantity", "fold", "seed", "epoch", "value"]


def write_curves(run: RunFolder, folder: Path | None = None) -> Path | None:
    """Write `curves.csv` and return its path; None if no epoch was logged.

    Args:
        run: its finished units are read.
        folder: gets the file; default that of the run.

    Raises:
        IntegrityError: if a log is not one.
    """
    table = all_curves(run)
    if table.empty:
        return None
    path = (folder or run.path) / CURVES
    write_bytes(path, table.to_csv(index=False).encode())
    return path


def all_curves(run: RunFolder) -> pd.DataFrame:
    """Return `curve_table` and, behind it, `epoch_scores`; without rows if no epoch was logged.

    Raises:
        IntegrityError: if a log is not one.
    """
    parts = [part for part in (curve_table(run), epoch_scores(run)) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_COLUMNS)


def curve_table(run: RunFolder) -> pd.DataFrame:
    """Return `quantity, fold, seed, epoch, value` of all finished units, from their logs.

    A stage in front of the last (a teacher) is a quantity of its own, `teacher: bce`. Of an epoch that was repeated
    after an interruption the last counts.

    Raises:
        IntegrityError: if a log is not one.
    """
    rows = [
        (name, unit.fold, unit.seed, epoch, value)
        for unit in run.finished()
        for epoch, name, value in _logged(run.unit_folder(unit.unit_id) / LOG)
    ]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    return table.drop_duplicates(["quantity", "fold", "seed", "epoch"], keep="last").reset_index(drop=True)


def epoch_scores(run: RunFolder) -> pd.DataFrame:
    """Return the protocol's metrics on the test part after each epoch, columns as in `curve_table`.

    They exist where the recipe kept the predictions of every epoch; no choice was made by them.
    """
    protocol = registry.load("protocol", run.record.protocol)()
    rows = []
    for unit in run.finished():
        frame = run.predictions(unit.unit_id)
        if "epoch" not in frame:
            continue
        targets = [f"{name}.target" for name in unit.columns]
        final = frame.loc[frame["epoch"].isna(), ["sample_id", *targets]]
        kept = frame[frame["epoch"].notna()].drop(columns=targets)
        for epoch in sorted(kept["epoch"].unique()):
            scores = kept[kept["epoch"] == epoch]
            found = _metrics(protocol, unit, scores.merge(final, on="sample_id", how="inner", validate="one_to_one"))
            rows += [(f"{TEST}{name}", unit.fold, unit.seed, int(epoch), value) for name, value in found]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _logged(path: Path) -> Iterator[tuple[int, str, float]]:
    """Yield epoch, quantity and value."""
    try:
        events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path}: expected one JSON object per line ({error})") from None
    for event in events:
        if event.get("event") != "epoch":
            continue
        stage = f"{event['stage']}: " if event.get("stage") else ""
        for name, value in event.items():
            if name not in _NO_CURVES and isinstance(value, int | float) and not isinstance(value, bool):
                yield int(event["epoch"]), f"{stage}{name}", float(value)


def _metrics(protocol: ProtocolPlugin, unit: UnitRecord, frame: pd.DataFrame) -> list[tuple[str, float]]:
    multiclass = unit.kind == "classes"
    clusters = cluster_counts(
        frame,
        unit.columns,
        thresholds=unit.thresholds,
        multiclass=multiclass,
        cluster=protocol.cluster,
        datasets=protocol.test_on,
    )
    found = unit_metrics(protocol, frame, unit.columns, clusters=clusters, multiclass=multiclass)
    means = [(name, values["mean"]) for name, values in found.items()]
    return [(name, np.nan if value is None else value) for name, value in means]
