"""AUROC and average precision over the predictions of all folds: a fold of one subject has too few for its own.

These metrics do not follow from counts, so they are computed from the predictions once a run is finished and kept in
its record; pages and boards read them there. The scores of all folds are ranked together although each comes from a
model of its own: a model that is sure in one fold and unsure in the next loses here, as it does at a fixed threshold.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from auharness.api import ProtocolPlugin
from auharness.errors import IntegrityError
from auharness.metrics import metric
from auharness.results.schema import UnitRecord
from auharness.results.store import RunFolder

__all__ = ["Pooled", "pool", "pooled_differences", "pooled_metrics", "read_final"]

Pooled = dict[str, dict[str, dict[str, float | None]]]
"""Seed -> metric -> label (and `mean`) -> value, None where undefined."""
TOLERANCE = 1e-9
"""Largest difference between a stored and a recomputed value: the same sums on another machine."""


def pooled_metrics(protocol: ProtocolPlugin, run: RunFolder) -> Pooled:
    """Return every metric of scores over the pooled predictions of each seed that has all planned folds.

    Empty where the protocol's headline is not pooled, or it names no such metric.

    Raises:
        IntegrityError: if predictions are not readable, or two folds predict the same sample.
    """
    names = [name for name in protocol.metrics if metric(name).needs == "scores"]
    if protocol.aggregation != "pooled" or not names:
        return {}
    planned = {ref.fold for ref in run.record.units}
    found: Pooled = {}
    for seed, units in sorted(_by_seed(run.finished()).items()):
        if {unit.fold for unit in units} == planned:
            frame = pool([read_final(run, unit) for unit in units])
            found[str(seed)] = {name: _values(name, frame, protocol.columns) for name in names}
    return found


def pool(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return predictions with their targets of several folds as one table, sorted by sample id.

    Score and target of a sample stand in one row, so neither the order of folds nor that of samples matters.

    Raises:
        IntegrityError: if a sample is predicted twice.
    """
    frame = pd.concat(frames, ignore_index=True)
    twice = frame["sample_id"][frame["sample_id"].duplicated()]
    if len(twice):
        raise IntegrityError(
            f"pooled predictions: sample {twice.iloc[0]} is predicted in two folds ({len(twice)} such samples); "
            "expected disjoint test parts"
        )
    return frame.sort_values("sample_id", ignore_index=True)


def read_final(run: RunFolder, unit: UnitRecord) -> pd.DataFrame:
    """Return the predictions of the scored model, without those of earlier epochs.

    Raises:
        IntegrityError: if they cannot be read.
    """
    frame = run.predictions(unit.unit_id)
    return frame[frame["epoch"].isna()] if "epoch" in frame.columns else frame


def pooled_differences(protocol: ProtocolPlugin, run: RunFolder) -> list[str]:
    """Return what the record of a run says about pooled scores and its predictions do not."""
    return list(_differences(run.record.pooled, pooled_metrics(protocol, run)))


def _by_seed(units: Sequence[UnitRecord]) -> dict[int, list[UnitRecord]]:
    found: dict[int, list[UnitRecord]] = {}
    for unit in units:
        found.setdefault(unit.seed, []).append(unit)
    return found


def _values(name: str, frame: pd.DataFrame, columns: Sequence[str]) -> dict[str, float | None]:
    target = frame[[f"{column}.target" for column in columns]].to_numpy(np.int8)
    values = metric(name).compute(target, frame[list(columns)].to_numpy(np.float64))
    found = {label: _finite(float(value)) for label, value in zip(columns, values, strict=True)}
    return found | {"mean": _finite(float(np.nanmean(values))) if np.isfinite(values).any() else None}


def _differences(
    stored: Mapping[str, Mapping[str, Mapping[str, float | None]]],
    again: Mapping[str, Mapping[str, Mapping[str, float | None]]],
) -> Iterator[str]:
    for seed, metrics in again.items():
        for name, values in metrics.items():
            for label, value in values.items():
                other = stored.get(seed, {}).get(name, {}).get(label)
                same = value is None if other is None else value is not None and abs(value - other) <= TOLERANCE
                if not same:
                    yield f"seed {seed}: pooled {name} of {label} is {other}, the predictions give {value}"


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
