"""One measured point, and the file of points that a suite fills: one JSON object per line, appended and flushed."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from auharness.results.lines import append_lines, read_lines
from auharness.scaling.case import Case, Level, Mode, Phase, Sweep
from auharness.scaling.records import Peaks, Timed

__all__ = ["Point", "Status", "append_points", "make_point", "read_points"]

Status = Literal["ok", "out of memory", "time limit", "killed", "wrong", "failed"]


class Point(Timed):
    """A case in one pass and mode on one machine; times and bytes are those of one call.

    Everything but `ok` has no time: that a size does not run is a result too.
    """

    schema_version: Literal[1] = 1
    level: Level
    mixer: str = Field(pattern=r"^[a-z0-9-]+$")
    sweep: Sweep
    length: int
    batch: int
    mini_batch: int
    frames: int
    dtype: str
    phase: Phase
    """`forward`, or `training` (forward and backward)."""
    mode: Mode
    status: Status
    note: str = ""
    model: str = ""
    """Plugin that was measured, models only."""
    peak_bytes: int | None = None
    """Above inputs and parameters."""
    saved_bytes: int | None = None
    """Kept by the forward pass for the backward pass."""
    floor_ms: float | None = None
    """Least time that the machine's own peaks allow."""
    bound: str = ""
    """What that floor is bound by: `compute`, `memory` or `exp`."""
    error: float | None = None
    """Relative distance from the reference, operators only."""
    peaks: Peaks | None = None

    @property
    def case(self) -> Case:
        """The case that was measured."""
        return Case(**{name: getattr(self, name) for name in Case.__dataclass_fields__})

    @property
    def key(self) -> tuple[Any, ...]:
        """What a suite measures once on a machine; a point of the same key replaces the earlier one."""
        return (self.case, self.model, self.phase, self.mode, self.machine.kind, self.machine.device)


def make_point(case: Case, **fields: Any) -> Point:
    """Return a point of a case."""
    return Point(**asdict(case), **fields)


def append_points(path: Path, points: Iterable[Point]) -> None:
    """Append points and have them on disk before returning; a line that a kill cut short goes first."""
    append_lines(path, points)


def read_points(paths: Sequence[Path]) -> list[Point]:
    """Return the points of some files, the later of two with the same key; a half-written last line is left out.

    Raises:
        IntegrityError: if a line is not a point.
    """
    return read_lines(paths, Point.model_validate, key=lambda point: point.key, what="a point of the scaling suite")
