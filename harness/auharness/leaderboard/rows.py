"""Measured rows: scored, ranked where the subjects allow it, and set apart by the data they stand on."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from auharness.api import ProtocolPlugin
from auharness.errors import InconclusiveError
from auharness.leaderboard.entries import Entry
from auharness.leaderboard.memory import Memory
from auharness.metrics import FoldCounts, metric
from auharness.results.looks import PartKey, part_key
from auharness.scoring import Score, clip_folds, score_units
from auharness.settings import flat_settings
from auharness.statistics import Interval, shared_ranks

__all__ = [
    "ALPHA",
    "CLIPS_SUMMED",
    "BoardRow",
    "BoardTable",
    "make_tables",
    "paired_counts",
    "setting_text",
]

ALPHA = 0.05
"""Family-wise error of the tests that separate ranks."""
CLIPS_SUMMED = "a paired test needs the answers to each clip, and the record holds sums only"
"""Why rows of committed records over clips are not tested against each other."""
SIZES = ("", "full", "small", "tiny")
LONGEST = 24
"""Characters of a setting that are shown."""


@dataclass(frozen=True)
class BoardRow:
    """One measured row."""

    entry: Entry
    score: Score
    rank: int | None
    difference: str
    """Settings in which it differs from rows of the same model and preset, e.g. `recipe.epochs=6`; mostly empty."""
    score_metrics: dict[str, float | None]
    """Metrics of scores (AUROC, average precision): over the predictions of all folds where the headline is pooled,
    mean over the units in which they are defined elsewhere."""
    untested: str = ""
    """Why a row that may be ranked has no rank; empty where it has one."""

    @property
    def name(self) -> str:
        """Model and run, unique on a board."""
        return f"{self.entry.run.model} {self.entry.folder}"


@dataclass(frozen=True)
class BoardTable:
    """Rows on the same data, best first."""

    origin: str
    """`licensed` or `synthetic`."""
    size: str
    digest: str
    """Of the data's manifests."""
    rows: tuple[BoardRow, ...]
    unranked: tuple[BoardRow, ...]

    @property
    def part(self) -> PartKey:
        """Whose test part the rows are scored on, in any version of the data."""
        return part_key((*self.rows, *self.unranked)[0].entry.first)

    @property
    def floors(self) -> Score:
        """The row whose floors stand in the table: they depend on the test part only, of which it has the most."""
        return max((row.score for row in (*self.rows, *self.unranked)), key=lambda score: score.n_frames)


def make_tables(protocol: ProtocolPlugin, entries: Iterable[Entry], *, memory: Memory) -> list[BoardTable]:
    """Return one table per data set version: licensed first, then the stand-ins by size.

    Args:
        protocol: names metric and aggregation.
        entries: what `newest` gives; rows of an earlier protocol version are not ranked.
        memory: of intervals and p-values.
    """
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.data_key, []).append(entry)
    sizes = [*SIZES, *sorted({size for _, size, _ in groups} - set(SIZES))]
    ordered = sorted(groups, key=lambda key: (key[0] != "licensed", sizes.index(key[1]), key[2]))
    return [_table(protocol, key, groups[key], memory) for key in ordered]


def paired_counts(
    first: Sequence[FoldCounts], seeds_first: int, second: Sequence[FoldCounts], seeds_second: int
) -> tuple[list[FoldCounts], list[FoldCounts]]:
    """Return the counts of two rows on one scale, so that rows with more seeds do not weigh more.

    Counts are summed over seeds; multiplied up to the least common multiple they stay whole numbers.
    """
    common = math.lcm(seeds_first, seeds_second)
    return _scaled(first, common // seeds_first), _scaled(second, common // seeds_second)


def _table(protocol: ProtocolPlugin, key: tuple[str, str, str], entries: list[Entry], memory: Memory) -> BoardTable:
    differences = _differences(entries)
    rows = [_row(protocol, entry, differences[entry.folder], memory) for entry in entries]
    out = [row for row in rows if not _may_rank(protocol, row.entry)]
    ranked = _ranked(protocol, [row for row in rows if _may_rank(protocol, row.entry)], memory)
    unranked = sorted(out, key=lambda row: (row.entry.run.model, row.entry.run.preset, row.entry.folder))
    return BoardTable(*key, rows=tuple(ranked), unranked=tuple(unranked))


def _may_rank(protocol: ProtocolPlugin, entry: Entry) -> bool:
    return not entry.not_ranked and entry.run.protocol_version == protocol.version


def _row(protocol: ProtocolPlugin, entry: Entry, difference: str, memory: Memory) -> BoardRow:
    score = score_units(protocol, entry.units, interval=False)
    return BoardRow(
        entry=entry,
        score=replace(score, interval=_interval(protocol, entry, score, memory)),
        rank=None,
        difference=difference,
        score_metrics=_score_metrics(protocol, entry),
    )


def _interval(protocol: ProtocolPlugin, entry: Entry, score: Score, memory: Memory) -> Interval | None:
    how: Any = score.aggregation  # `aggregate` refuses an unknown one
    folds: Sequence[FoldCounts] | None = entry.counts
    if entry.clips_summed:
        folds = clip_folds(entry.units, entry.run.hits, metric(score.metric))
    return None if folds is None else memory.interval(folds, metric(score.metric), how=how, cluster=protocol.cluster)


def _ranked(protocol: ProtocolPlugin, rows: list[BoardRow], memory: Memory) -> list[BoardRow]:
    """Return rows best first; rows that the paired test cannot separate from the first of their rank share it."""
    by_name = {row.name: row for row in rows}
    summed = len(rows) > 1 and any(row.entry.clips_summed for row in rows)
    entry, limit = metric(protocol.headline), ALPHA / max(len(rows) - 1, 1)

    def separable(leader: str, name: str) -> bool:
        if summed:
            return False
        seeds = [len(by_name[key].entry.seeds) for key in (leader, name)]
        pair = paired_counts(by_name[leader].entry.counts, seeds[0], by_name[name].entry.counts, seeds[1])
        how: Any = protocol.aggregation
        try:
            return memory.p_value(*pair, metric=entry, how=how, cluster=protocol.cluster) <= limit
        except InconclusiveError:
            return False

    scores = {row.name: row.score.headline for row in rows}
    ranks = shared_ranks(scores, separable, higher_is_better=entry.higher_is_better)
    if summed:
        return [replace(by_name[name], untested=CLIPS_SUMMED) for name in ranks]
    return [replace(by_name[name], rank=rank) for name, rank in ranks.items()]


def _score_metrics(protocol: ProtocolPlugin, entry: Entry) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in protocol.metrics:
        if metric(name).needs == "scores":
            if protocol.aggregation == "pooled":
                means = [entry.run.pooled.get(str(seed), {}).get(name, {}).get("mean") for seed in entry.seeds]
            else:
                means = [unit.metrics.get(name, {}).get("mean") for unit in entry.units]
            values = [value for value in means if value is not None]
            found[name] = sum(values) / len(values) if values else None
    return found


def _differences(entries: Sequence[Entry]) -> dict[str, str]:
    """Return, by run folder, the settings that tell rows of the same model and preset apart."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.run.model, entry.run.preset), []).append(entry)
    found = {}
    for twins in groups.values():
        flat = [dict(flat_settings(twin.first.settings)) for twin in twins]
        keys = sorted({key for values in flat for key in values if any(v.get(key) != values[key] for v in flat)})
        several_weights = len({twin.first.weights_sha256 for twin in twins}) > 1
        for twin, own in zip(twins, flat, strict=True):
            texts = [setting_text(key, own.get(key, "unset")) for key in keys]
            if several_weights:
                texts.append(f"weights={twin.first.weights_sha256[:8] or 'none'}")
            found[twin.folder] = ", ".join(texts)
    return found


def setting_text(key: str, value: object) -> str:
    """Return `recipe.epochs=6`, cut short where the value is long."""
    return f"{key}={str(value)[:LONGEST]}"


def _scaled(folds: Sequence[FoldCounts], factor: int) -> list[FoldCounts]:
    return [FoldCounts(fold.name, fold.clusters, fold.counts * factor) for fold in folds]
