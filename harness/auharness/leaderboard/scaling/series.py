"""Points arranged for reading: one machine, one level, one line per mixer along a sweep."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from auharness.scaling.case import LEVELS, Level, Mode, Phase, Sweep
from auharness.scaling.fit import Exponent, fit_exponent
from auharness.scaling.point import Point
from auharness.scaling.records import Machine

__all__ = ["Line", "Panel", "milliseconds", "panels"]


@dataclass(frozen=True)
class Line:
    """One mixer along a sweep, in one pass and mode; points from small to large, those that failed too."""

    mixer: str
    phase: Phase
    mode: Mode
    points: tuple[Point, ...]

    @property
    def measured(self) -> tuple[Point, ...]:
        """The points that have a time."""
        return tuple(point for point in self.points if point.status == "ok")

    @property
    def exponent(self) -> Exponent | None:
        """Growth of time with length, from L >= 1024."""
        found = self.measured
        return fit_exponent([point.length for point in found], [milliseconds(point) for point in found])


@dataclass(frozen=True)
class Panel:
    """All lines of one machine, level, sweep and number type."""

    machine: Machine
    level: Level
    sweep: Sweep
    dtype: str
    lines: tuple[Line, ...]

    @property
    def absolute(self) -> bool:
        """Whether times may be compared between processes: on a GPU of one's own, not on a shared CPU."""
        return self.machine.kind == "cuda"

    def of(self, phase: Phase, mode: Mode = "eager") -> list[Line]:
        """Return the lines of a pass and mode."""
        return [line for line in self.lines if (line.phase, line.mode) == (phase, mode)]


def milliseconds(point: Point) -> float:
    """Return the time of a point: the median on a GPU, the least on a CPU, where other work only adds."""
    value = point.p50_ms if point.machine.kind == "cuda" else point.best_ms
    return float("nan") if value is None else value


def panels(points: Iterable[Point]) -> list[Panel]:
    """Return the panels of some points in a fixed order."""

    def place(point: Point) -> tuple[object, ...]:
        machine = point.machine
        return machine.kind != "cuda", machine.device, LEVELS.index(point.level), point.sweep, point.dtype

    ordered = sorted(points, key=lambda point: (*place(point), point.case, point.phase, point.mode))
    found = []
    for _, group in groupby(ordered, key=place):
        members = list(group)
        first = members[0]
        found.append(Panel(first.machine, first.level, first.sweep, first.dtype, tuple(_lines(members))))
    return found


def _lines(points: Sequence[Point]) -> list[Line]:
    def name(point: Point) -> tuple[str, Phase, Mode]:
        return point.mixer, point.phase, point.mode

    return [Line(*key, tuple(group)) for key, group in groupby(sorted(points, key=name), key=name)]
