"""What `bench` leaves behind: a count for each model, and a time for each device, mode and batch; one line each."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from auharness.results.lines import read_lines
from auharness.scaling.records import Timed

__all__ = ["BROKEN", "LEAST_COVERAGE", "Count", "Mode", "Row", "Status", "Time", "read_rows"]

LEAST_COVERAGE = 0.99
"""Share of operators with a rule below which a count is not published."""

Mode = Literal["eager", "compiled"]
Status = Literal["ok", "out of memory", "time limit", "refused", "uncovered", "killed", "failed"]
BROKEN: tuple[Status, ...] = ("uncovered", "killed", "failed")
"""What no lack of memory or time explains."""


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    schema_version: Literal[1] = 1
    model: str
    preset: str
    """The composed presets, e.g. `paper` or `tiny,baseline`."""
    dataset: str
    """Whose labels the model answers."""
    side: int | None = None
    """Pixels per side, where they are not the preset's."""
    settings: str = ""
    """Settings above the presets, e.g. `mixer=attention`."""
    network: str = ""
    """`network_digest` of all settings; empty where they are refused."""
    status: Status = "ok"
    note: str = ""
    """Why there is no number."""
    code: str = ""
    """`code_digests` of what was counted or timed; empty where it was not recorded."""

    @property
    def key(self) -> tuple[Hashable, ...]:
        """What is measured once; a row of the same key replaces the earlier one."""
        return (self.model, self.preset, self.dataset, self.side, self.settings, self.network)


class Count(_Row):
    """What one sample costs in one forward pass, on any device."""

    what: Literal["count"]
    outputs: int = 0
    """Labels of the data set."""
    inputs: dict[str, tuple[int, ...]] = {}
    """Input -> its shape without the batch."""
    input_bytes: int | None = None
    """Of all inputs of one sample, as the network is given them."""
    parameters: int | None = None
    trainable: int | None = None
    weight_bytes: int | None = None
    """Of parameters and buffers."""
    peak_bytes: int | None = None
    """Above the inputs: weights, and the most that operators of torch hold at once, in eager mode."""
    macs: int | None = None
    """Multiply-accumulates of matrix products and convolutions."""
    flops: int | None = None
    """2 per MAC, and the other operators by the rules of `efficiency/README.md`."""
    coverage: float | None = None
    """Share of operators with a rule, weighted by what they return, in [0, 1]."""
    uncounted: tuple[str, ...] = ()
    """Operators without a rule."""


class Time(_Row, Timed):
    """How long one batch takes on one device, in a process of its own."""

    what: Literal["time"]
    dtype: str
    """`float32`, or the type that autocast narrows to."""
    mode: Mode
    batch: int
    peak_bytes: int | None = None
    """Above the inputs: weights, and what was allocated above them."""

    @property
    def key(self) -> tuple[Hashable, ...]:
        """As above, on one machine."""
        machine = (self.machine.kind, self.machine.device, self.machine.threads)
        return (*super().key, *machine, self.dtype, self.mode, self.batch)

    @property
    def per_second(self) -> float | None:
        """Samples per second, by the median."""
        return 1e3 * self.batch / self.p50_ms if self.p50_ms else None


Row = Count | Time

_PARSER: TypeAdapter[Count | Time] = TypeAdapter(Annotated[Count | Time, Field(discriminator="what")])


def read_rows(paths: Sequence[Path]) -> list[Row]:
    """Return the rows of some files, the later of two with the same key; a half-written last line is left out.

    Raises:
        IntegrityError: if a line is not a row.
    """

    def parse(value: object) -> Any:
        return _PARSER.validate_python(value)

    found: list[Any] = read_lines(paths, parse, key=lambda row: (row.what, *row.key), what="a row of 'auharness bench'")
    return found
