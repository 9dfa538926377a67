"""Finished runs held against each other, subject by subject."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auharness import registry
from auharness.errors import InconclusiveError, UsageError, near
from auharness.leaderboard.entries import Entry, newest, read_entries, read_entry
from auharness.leaderboard.rows import CLIPS_SUMMED
from auharness.metrics import FoldCounts, metric
from auharness.results.store import RunFolder, find_run
from auharness.scoring import fold_counts
from auharness.statistics import Comparison, compare_family, resamples_clips

__all__ = ["ComparedRun", "compare_runs", "resolve_run"]


@dataclass(frozen=True)
class ComparedRun:
    """One run minus the reference."""

    name: str
    reference: str
    metric: str
    aggregation: str
    result: Comparison
    unit: str = "subjects"
    """What was exchanged: `subjects`, `videos`, or `clips` of unknown origin."""


def resolve_run(runs: Path, name: str, *, protocol: str | None = None) -> RunFolder:
    """Return a run by its folder, the beginning of its id, or `model` or `model:preset` where one row has that name.

    Raises:
        UsageError: if no run, or more than one, has the name.
    """
    try:
        return find_run(runs, name)
    except UsageError:
        model, _, preset = name.partition(":")
        entries, _ = read_entries(runs, protocol=protocol)
        rows = [entry for entry in newest(entries) if entry.run.model == model]
        found = [entry for entry in rows if not preset or entry.run.preset == preset]
        if len(found) == 1:
            entry = found[0]
            return RunFolder(runs / entry.run.protocol / entry.run.model / entry.folder)
        if not found:
            known = {entry.run.model for entry in newest(entries)}
            raise UsageError(
                f"'{name}': no complete run or model of that name below {runs}{near(name, known)}"
            ) from None
    listed = ", ".join(f"{entry.run.protocol}/{entry.run.preset} {entry.folder}" for entry in found)
    raise UsageError(f"'{name}': {len(found)} rows have that name, name one by its folder: {listed}")


def compare_runs(runs: Sequence[RunFolder]) -> list[ComparedRun]:
    """Return every other run minus the first, p-values adjusted by Holm over all of them.

    Raises:
        UsageError: fewer than two different runs.
        InconclusiveError: a run is not complete, or protocol, data, folds or subjects differ.
    """
    if len({run.path.resolve() for run in runs}) != len(runs) or len(runs) < 2:
        raise UsageError("compare: expected at least two different runs")
    entries = [_complete(run) for run in runs]
    for entry in entries:
        if entry.clips_summed:
            raise InconclusiveError(f"{entry.folder} cannot be compared: {CLIPS_SUMMED}; compare the runs themselves")
    for entry in entries[1:]:
        _refuse_other_ground(entries[0], entry)
    protocol = registry.load("protocol", entries[0].run.protocol)()
    score, how = metric(protocol.headline), protocol.aggregation
    common = math.lcm(*(len(item.seeds) for item in entries))
    names = _names(entries)
    models = {
        name: _scaled(fold_counts(item.units), common // len(item.seeds))
        for name, item in zip(names, entries, strict=True)
    }
    aggregation: Any = how  # `aggregate` refuses an unknown one
    found = compare_family(models, names[0], metric=score, how=aggregation, cluster=protocol.cluster)
    drawn = {"video": "videos"}.get(protocol.cluster, "subjects")
    unit = "clips" if resamples_clips(score, protocol.cluster) else drawn
    return [ComparedRun(name, names[0], score.name, how, result, unit) for name, result in found.items()]


def _complete(run: RunFolder) -> Entry:
    entry = read_entry(run)
    if entry is None:
        raise InconclusiveError(f"{run.path}: units are missing; finish the run with the same 'auharness run' command")
    return entry


def _refuse_other_ground(first: Entry, other: Entry) -> None:
    """Two numbers can be compared where they stand on the same protocol, data and folds."""
    one, two = first.first, other.first
    for what, a, b in (
        (
            "protocol",
            f"{one.protocol} version {one.protocol_version}",
            f"{two.protocol} version {two.protocol_version}",
        ),
        ("data", _data(one.data.origin, first), _data(two.data.origin, other)),
        ("labels", ", ".join(one.columns), ", ".join(two.columns)),
        ("folds", ", ".join(sorted(first.folds)), ", ".join(sorted(other.folds))),
    ):
        if a != b:
            raise InconclusiveError(
                f"{first.folder} and {other.folder} cannot be compared: {what} {a} and {b}; run both on the same {what}"
            )


def _data(origin: str, entry: Entry) -> str:
    return f"{origin} {entry.data_key[2]}"


def _names(entries: Sequence[Entry]) -> list[str]:
    short = [f"{entry.run.model} ({entry.run.preset})" for entry in entries]
    return [
        name if short.count(name) == 1 else f"{name} {entry.folder}" for name, entry in zip(short, entries, strict=True)
    ]


def _scaled(folds: Sequence[FoldCounts], factor: int) -> list[FoldCounts]:
    """Counts of a run with fewer seeds, multiplied so that all runs weigh the same."""
    return [FoldCounts(fold.name, fold.clusters, fold.counts * factor) for fold in folds]
