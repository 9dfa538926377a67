"""A finished run scored again from its predictions alone, and what it would have scored with the test labels known."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from auharness.api import ProtocolPlugin
from auharness.errors import IntegrityError
from auharness.metrics import metric, objective
from auharness.results.schema import UnitRecord
from auharness.results.store import PREDICTIONS, RunFolder
from auharness.scoring.pooled import pool
from auharness.scoring.predictions import cluster_counts, count_scored, unit_metrics
from auharness.scoring.thresholds import best_of_grid, best_threshold
from auharness.statistics import ORACLE_GRID

__all__ = ["Rescored", "oracle_units", "recount", "rescore"]

TOLERANCE = 1e-9
"""Largest difference between a stored and a recomputed metric: the same sums on another machine."""


@dataclass(frozen=True)
class Rescored:
    """A unit as its predictions make it."""

    unit: UnitRecord
    differences: tuple[str, ...]
    """What the stored record says otherwise; empty if it holds."""


def rescore(protocol: ProtocolPlugin, run: RunFolder) -> list[Rescored]:
    """Recompute counts, metrics and denominators of every finished unit; only the thresholds come from the record.

    Raises:
        IntegrityError: if a unit has no readable predictions.
    """
    found = []
    for unit in run.finished():
        frame, _ = _read(run, unit)
        again = recount(protocol, unit, frame, thresholds=unit.thresholds)
        found.append(Rescored(again, tuple(_differences(unit, again))))
    return found


def oracle_units(protocol: ProtocolPlugin, run: RunFolder) -> dict[str, list[UnitRecord]]:
    """Return units whose epoch, thresholds or both were chosen on the test part: numbers that nobody can reach.

    They tell how much a published number may owe to such a choice, and are never a headline. Epochs have the best
    headline, thresholds the best `objective` of the headline for their label.

    Where the headline is pooled the thresholds are too: one for each label and seed, chosen on the predictions of all
    folds as the script released with AU-LLM does, from the 16 values of `ORACLE_GRID`.

    Returns:
        `epoch` where every unit has saved epochs, `threshold` for binary labels, and both at once where the headline is
        not pooled; each unit is marked `test-oracle`.
    """
    found: dict[str, list[UnitRecord]] = {}
    units = run.finished()
    pooled = protocol.aggregation == "pooled"
    if pooled and all(unit.kind == "binary" for unit in units):
        found["threshold"] = _pooled_thresholds(protocol, run, units)
    for unit in units:
        frame, epochs = _read(run, unit)
        tuned = unit.kind == "binary" and not pooled
        plain = [recount(protocol, unit, item, thresholds=unit.thresholds) for item in epochs.values()]
        if plain:
            chosen = _best(protocol, plain, tuple(epochs))
            found.setdefault("epoch", []).append(chosen.model_copy(update={"selection": "test-oracle"}))
        if tuned:
            both = [
                recount(protocol, unit, item, thresholds=_tuned(protocol, unit, item))
                for item in (frame, *epochs.values())
            ]
            mark = {"threshold": "test-oracle"}
            found.setdefault("threshold", []).append(both[0].model_copy(update=mark))
            if plain:
                chosen = _best(protocol, both[1:], tuple(epochs))
                mark = {"threshold": "test-oracle", "selection": "test-oracle"}
                found.setdefault("epoch and threshold", []).append(chosen.model_copy(update=mark))
    return {name: members for name, members in found.items() if len(members) == len(units)}


def _pooled_thresholds(protocol: ProtocolPlugin, run: RunFolder, units: list[UnitRecord]) -> list[UnitRecord]:
    """Return the units counted at thresholds that are best on the test predictions of all folds of their seed."""
    frames = {unit.unit_id: _read(run, unit)[0] for unit in units}
    best = {
        seed: _best_thresholds(protocol, [unit for unit in units if unit.seed == seed], frames)
        for seed in {unit.seed for unit in units}
    }
    counted = [recount(protocol, unit, frames[unit.unit_id], thresholds=best[unit.seed]) for unit in units]
    return [unit.model_copy(update={"threshold": "test-oracle"}) for unit in counted]


def _best_thresholds(
    protocol: ProtocolPlugin, units: list[UnitRecord], frames: Mapping[str, pd.DataFrame]
) -> tuple[float, ...]:
    frame, first = pool([frames[unit.unit_id] for unit in units]), units[0]
    if first.score_kind == "margin":
        # the grid is one of probabilities
        return _tuned(protocol, first, frame)
    grid = [math.log(value / (1 - value)) if first.score_kind == "logit" else value for value in ORACLE_GRID]
    return tuple(
        best_of_grid(
            frame[f"{name}.target"].to_numpy(np.int8),
            frame[name].to_numpy(np.float64),
            grid=grid,
            metric=objective(protocol.headline),
        )
        for name in first.columns
    )


def _read(run: RunFolder, unit: UnitRecord) -> tuple[pd.DataFrame, dict[int, pd.DataFrame]]:
    """Return the final predictions, and those of each saved epoch with the targets of the final ones."""
    frame = run.predictions(unit.unit_id)
    needed = ["sample_id", "subject", *unit.columns, *(f"{name}.target" for name in unit.columns)]
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        path = run.unit_folder(unit.unit_id) / PREDICTIONS
        raise IntegrityError(f"{path}: column {missing[0]!r} is missing ({len(missing)} such columns)")
    if "epoch" not in frame.columns:
        return frame, {}
    final = frame[frame["epoch"].isna()]
    targets = final[["sample_id", *(f"{name}.target" for name in unit.columns)]]
    scores = frame.loc[frame["epoch"].notna(), ["sample_id", "subject", "epoch", *unit.columns]]
    return final, {
        int(epoch): scores[scores["epoch"] == epoch].merge(targets, on="sample_id", how="left", validate="one_to_one")
        for epoch in sorted(scores["epoch"].unique())
    }


def recount(
    protocol: ProtocolPlugin, unit: UnitRecord, frame: pd.DataFrame, *, thresholds: tuple[float, ...]
) -> UnitRecord:
    """Return a unit as some predictions make it.

    Args:
        protocol: names metrics and clusters.
        unit: says which labels are scored.
        frame: predictions with their targets.
        thresholds: decision value of each label on their scale.
    """
    multiclass = unit.kind == "classes"
    clusters = cluster_counts(
        frame,
        unit.columns,
        thresholds=thresholds,
        multiclass=multiclass,
        cluster=protocol.cluster,
        datasets=protocol.test_on,
    )
    return unit.model_copy(
        update={
            "thresholds": thresholds,
            "clusters": clusters,
            "n_frames": len(frame),
            "n_scored": count_scored(frame, unit.columns),
            "n_subjects": int(frame["subject"].nunique()),
            "metrics": unit_metrics(protocol, frame, unit.columns, clusters=clusters, multiclass=multiclass),
        }
    )


def _tuned(protocol: ProtocolPlugin, unit: UnitRecord, frame: pd.DataFrame) -> tuple[float, ...]:
    return tuple(
        best_threshold(
            frame[f"{name}.target"].to_numpy(np.int8),
            frame[name].to_numpy(np.float64),
            metric=objective(protocol.headline),
            otherwise=threshold,
        )
        for name, threshold in zip(unit.columns, unit.thresholds, strict=True)
    )


def _best(protocol: ProtocolPlugin, units: list[UnitRecord], epochs: tuple[int, ...]) -> UnitRecord:
    """Return the epoch with the best headline on the whole test part; of equal ones the first."""
    entry = metric(protocol.headline)
    sign = 1 if entry.higher_is_better else -1

    def score(place: int) -> float:
        mean = units[place].metrics[protocol.headline]["mean"]
        return -math.inf if mean is None else sign * mean

    place = max(range(len(units)), key=score)
    return units[place].model_copy(update={"chosen_epoch": epochs[place]})


def _differences(stored: UnitRecord, again: UnitRecord) -> Iterator[str]:
    where = f"fold {stored.fold}, seed {stored.seed}"
    fields = ("n_frames", "n_subjects") if stored.n_scored is None else ("n_frames", "n_scored", "n_subjects")
    for field in fields:
        if getattr(stored, field) != getattr(again, field):
            yield f"{where}: {field} is {getattr(stored, field)}, the predictions give {getattr(again, field)}"
    if stored.clusters != again.clusters:
        before = {item.name: item for item in stored.clusters}
        now = {item.name: item for item in again.clusters}
        odd = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        yield f"{where}: counts of {', '.join(odd[:5])} differ ({len(odd)} of {len(now)})"
    yield from (f"{where}: {text}" for text in _metric_differences(stored.metrics, again.metrics))


def _metric_differences(
    stored: Mapping[str, Mapping[str, float | None]], again: Mapping[str, Mapping[str, float | None]]
) -> Iterator[str]:
    for name in again:
        for label, value in again[name].items():
            other = stored.get(name, {}).get(label)
            if (value is None) != (other is None) or (
                value is not None and other is not None and abs(value - other) > TOLERANCE
            ):
                yield f"{name} of {label} is {other}, the predictions give {value}"
