"""Points of one model, device and mode as what a reader asks for: latency, throughput, memory."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from math import floor, log10

from auharness.bench.rows import BROKEN, Count, Row, Time

__all__ = ["Speed", "broken", "giga", "input_growth", "mebi", "row_name", "speeds", "whole"]


@dataclass(frozen=True)
class Speed:
    """The batches of one model in one mode on one machine, ascending."""

    points: tuple[Time, ...]

    @property
    def first(self) -> Time:
        """The smallest batch, whose times are the latency."""
        return self.points[0]

    @property
    def best(self) -> Time | None:
        """The batch with the most samples per second; None where none ran."""
        return max((row for row in self.points if row.per_second), default=None, key=lambda row: row.per_second or 0.0)

    @property
    def note(self) -> str:
        """Why there is no time, or why no larger batch was tried."""
        last = self.points[-1]
        if last.status == "ok":
            return ""
        reason = f"{last.status}: {last.note}" if last.note else last.status
        return reason if last is self.first else f"batch {last.batch}: {reason}"


def speeds(rows: Iterable[Row]) -> list[Speed]:
    """Return the times of some rows, grouped, in the order of the first of each group."""
    groups: dict[tuple[Hashable, ...], list[Time]] = {}
    for row in rows:
        if isinstance(row, Time):
            groups.setdefault(row.key[:-1], []).append(row)
    return [Speed(tuple(sorted(group, key=lambda row: row.batch))) for group in groups.values()]


def broken(row: Row) -> bool:
    """Return whether something failed that neither memory nor time explains; a model may refuse a size of `--input`."""
    return row.status in BROKEN or (row.status == "refused" and row.side is None)


def row_name(row: Row) -> str:
    """Return what a row is about, e.g. `vit-s16 paper bp4d 448 px, depth=6`."""
    side = "" if row.side is None else f" {row.side} px"
    settings = f", {row.settings}" if row.settings else ""
    return f"{row.model} {row.preset} {row.dataset}{side}{settings}"


def giga(value: float | None) -> str:
    """Return a count in 10^9 with at least three digits, `n/a` where there is none.

    >>> giga(7259383296), giga(90624), giga(0), giga(None)
    ('7.26', '0.0000906', '0', 'n/a')
    """
    return "n/a" if value is None else _digits(value / 1e9)


def whole(value: int | None) -> str:
    """Return a number with commas, `n/a` where there is none.

    >>> whole(22050664), whole(None)
    ('22,050,664', 'n/a')
    """
    return "n/a" if value is None else f"{value:,}"


def mebi(value: float | None) -> str:
    """Return bytes in MiB with at least three digits, `n/a` where there are none.

    >>> mebi(3 * 2**20), mebi(2**29 + 2**18), mebi(None)
    ('3.00', '512', 'n/a')
    """
    return "n/a" if value is None else _digits(value / 2**20)


def input_growth(counts: Iterable[Count]) -> dict[int, float]:
    """Return, for counts of one model at several sides, MACs over those at the smallest side."""
    sized = sorted((row.side, row.macs) for row in counts if row.side is not None and row.macs)
    return {side: macs / sized[0][1] for side, macs in sized}


def _digits(value: float) -> str:
    decimals = max(0, 2 - floor(log10(value))) if value > 0 else 0
    return f"{value:.{decimals}f}"
