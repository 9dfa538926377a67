"""Records of clips for others to see: one confusion matrix per fold, no clip by itself.

Where the sampling unit is a clip, the counts of one unit are the label and the answer of one clip of licensed data.
They stay in the run folder. What is given away are sums that no clip can be read from: the confusion matrix of each
fold and seed, and with several seeds how many clips of each class 0, 1, ... of the seeds named right. UAR and WAR are
linear in these, so their interval follows exactly; a paired test of two models does not.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from auharness.api import ProtocolPlugin
from auharness.errors import InconclusiveError, IntegrityError
from auharness.metrics import FoldCounts, Metric, are_disjoint, metric
from auharness.results.schema import ClusterCounts, UnitRecord
from auharness.scoring.units import fold_counts
from auharness.statistics import RECALL_MEANS, resamples_clips

__all__ = ["Hits", "clip_folds", "clip_hits", "names_clips", "sum_clips"]

Hits: TypeAlias = Mapping[str, Sequence[Sequence[int]]]
"""Fold -> `[C, S + 1]`: clips of each class that 0 to S seeds named right."""


def names_clips(protocol: ProtocolPlugin, unit: UnitRecord) -> bool:
    """Return whether the counts of a record are those of single clips by name."""
    if protocol.cluster == "subject" or unit.clips_summed:
        return False
    return resamples_clips(metric(protocol.headline), protocol.cluster) or _single(unit)


def sum_clips(protocol: ProtocolPlugin, units: Sequence[UnitRecord]) -> list[UnitRecord]:
    """Return the records with one sum in the place of their clips.

    The sum of a fold is named after it; where folds test the same clips all sums have one name, so that they are not
    pooled.

    Raises:
        InconclusiveError: if no interval could be made from sums: clips of binary labels, or of several rows.
    """
    if not resamples_clips(metric(protocol.headline), protocol.cluster) or not all(map(_single, units)):
        raise InconclusiveError(
            f"{protocol.name}: its counts are labels and answers of single clips and cannot be given away as sums; "
            "declare a larger `cluster` in the protocol, or keep the run to yourself"
        )
    disjoint = are_disjoint(fold_counts([unit for unit in units if unit.seed == units[0].seed]))
    return [_summed(unit, f"{unit.fold} clips" if disjoint else "clips") for unit in units]


def clip_hits(units: Sequence[UnitRecord]) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Return, by fold, how many clips of each class 0 to S seeds named right; empty for one seed, which needs none.

    Args:
        units: records that name their clips.
    """
    seeds = len({unit.seed for unit in units})
    found = {}
    for fold in fold_counts(units) if seeds > 1 else ():
        true = fold.counts.sum(axis=-1).argmax(axis=-1)
        hits = np.zeros((fold.counts.shape[-1], seeds + 1), np.int64)
        np.add.at(hits, (true, np.trace(fold.counts, axis1=1, axis2=2)), 1)
        found[fold.name] = tuple(tuple(map(int, row)) for row in hits)
    return found


def clip_folds(units: Sequence[UnitRecord], hits: Hits, entry: Metric) -> list[FoldCounts] | None:
    """Return clips that have the given sums, nameless and in no order: what an interval over clips needs.

    Args:
        units: records as `sum_clips` makes them.
        hits: of the same units, as `clip_hits` gives them.
        entry: the metric that is drawn.

    Returns:
        Folds of `[N, C, C]`; None with several seeds and a metric that is neither UAR nor WAR.

    Raises:
        IntegrityError: if hits and confusion matrices do not belong together.
    """
    seeds = len({unit.seed for unit in units})
    if seeds > 1 and entry.name not in RECALL_MEANS:
        return None
    found = []
    for fold in fold_counts(units):
        if seeds == 1:
            counts = _from_matrix(fold.total)
        else:
            table = np.array(hits.get(fold.name, ()), np.int64)
            if not _fits(table, fold.total, seeds):
                raise IntegrityError(
                    f"{units[0].run_id}: fold {fold.name}: hits in run.json do not fit the confusion matrices of "
                    f"{seeds} seeds; add the run again"
                )
            counts = _from_hits(table)
        found.append(FoldCounts(fold.name, tuple(map(str, range(len(counts)))), counts))
    return found


def _single(unit: UnitRecord) -> bool:
    return all(item.n_rows == 1 for item in unit.clusters)


def _summed(unit: UnitRecord, name: str) -> UnitRecord:
    total = np.sum([item.counts for item in unit.clusters], axis=0)
    rows = tuple(tuple(map(int, row)) for row in total)
    cluster = ClusterCounts(name=name, n_rows=sum(item.n_rows for item in unit.clusters), counts=rows)
    return unit.model_copy(update={"clusters": (cluster,), "clips_summed": True})


def _from_matrix(matrix: np.ndarray) -> np.ndarray:
    """`[N, C, C]` of one answer each from their sum."""
    true, said = np.divmod(np.repeat(np.arange(matrix.size), matrix.ravel()), len(matrix))
    counts = np.zeros((len(true), *matrix.shape), np.int64)
    counts[np.arange(len(true)), true, said] = 1
    return counts


def _from_hits(hits: np.ndarray) -> np.ndarray:
    """`[N, C, C]` of S answers each; every miss is set down as the next class, which changes neither UAR nor WAR."""
    classes, seeds = len(hits), hits.shape[1] - 1
    true, right = np.divmod(np.repeat(np.arange(hits.size), hits.ravel()), seeds + 1)
    counts = np.zeros((len(true), classes, classes), np.int64)
    counts[np.arange(len(true)), true, (true + 1) % classes] = seeds - right
    counts[np.arange(len(true)), true, true] += right
    return counts


def _fits(hits: np.ndarray, matrix: np.ndarray, seeds: int) -> bool:
    if hits.shape != (len(matrix), seeds + 1):
        return False
    same_clips = np.array_equal(hits.sum(axis=1) * seeds, matrix.sum(axis=1))
    return same_clips and np.array_equal(hits @ np.arange(seeds + 1), matrix.diagonal())
