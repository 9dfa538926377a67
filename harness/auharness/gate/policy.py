"""The policy of a gate: a TOML file that says what is compared and how much worse it may become."""

import tomllib
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, Field, ValidationError, field_validator

from auharness.api.base import Settings
from auharness.errors import UsageError

__all__ = [
    "AccuracyPolicy",
    "BenchmarkPolicy",
    "Command",
    "Policy",
    "RowPolicy",
    "SpeedPolicy",
    "Trees",
    "read_policy",
]

LARGEST = 256 * 1024
"""Bytes of a policy file; more is a mistake or an attack."""


class _Table(Settings):
    # the texts of a file are closed to other types too: `rounds = "20"` is a mistake
    model_config = ConfigDict(strict=True)


class Trees(_Table):
    """`[trees]`: where things stand in a source tree; paths are relative to it."""

    name: ClassVar[str] = "trees"

    records: str = "leaderboards/data"
    """Committed records, which `leaderboard add` writes."""
    imports: tuple[str, ...] = Field(default=("harness", "plugins"), strict=False)
    """Folders that stand first on `PYTHONPATH` while the tree is measured."""


class RowPolicy(_Table):
    """`[[accuracy.rows]]`: one row of a board that must not become worse."""

    name: ClassVar[str] = "accuracy.rows"

    protocol: str
    model: str
    preset: str = "paper"
    data_size: str = ""
    """Size of the stand-in, e.g. `tiny`; empty for licensed data."""
    settings: dict[str, str | int | float | bool] = Field(default={})
    """Dotted settings that tell the row from others of the same model and preset, e.g. `"mixer" = "mamba"`."""
    delta: float | None = Field(default=None, gt=0, le=100, allow_inf_nan=False)
    """Points that this row may lose; default that of its metric, or of `[accuracy]`."""

    @property
    def title(self) -> str:
        """`au-ttt (tiny) on bp4d-3fold`."""
        chosen = "".join(f", {key}={value}" for key, value in self.settings.items())
        return f"{self.model} ({self.preset}{chosen}) on {self.protocol}"


class AccuracyPolicy(_Table):
    """`[accuracy]`: non-inferiority of the headline, paired by subject."""

    name: ClassVar[str] = "accuracy"

    delta: float = Field(default=1.0, gt=0, le=100, allow_inf_nan=False)
    """Points of the headline that a row may lose."""
    metrics: dict[str, float] = Field(default={})
    """The same by headline metric, e.g. `uar = 2.0`."""
    level: float = Field(default=0.95, ge=0.8, lt=1)
    """Nominal coverage of the interval."""
    draws: int = Field(default=10_000, ge=1_000, le=100_000)
    """Resamples of the subjects."""
    rows: tuple[RowPolicy, ...] = Field(strict=False)

    # not `min_length`, which complains besides of every list with a wrong item
    @field_validator("rows")
    @classmethod
    def _some(cls, rows: tuple[RowPolicy, ...]) -> tuple[RowPolicy, ...]:
        if not rows:
            raise ValueError("expected at least one [[accuracy.rows]], got none")
        return rows

    @field_validator("metrics")
    @classmethod
    def _points(cls, metrics: dict[str, float]) -> dict[str, float]:
        for metric, points in metrics.items():
            if not 0 < points <= 100:
                raise ValueError(f"metrics.{metric} is {points}, expected points above 0 and at most 100")
        return metrics

    def allowed(self, row: RowPolicy, metric: str) -> float:
        """Return the points that a row may lose: its own, its metric's, or those of all."""
        return self.metrics.get(metric, self.delta) if row.delta is None else row.delta


class Command(_Table):
    """`[[speed.commands]]`: what is started in a fresh process for each sample."""

    name: ClassVar[str] = "speed.commands"

    title: str = Field(min_length=1)
    """Name of the command; for one that writes no file also the name of its benchmark."""
    argv: tuple[str, ...] = Field(min_length=1, strict=False)
    """Program and arguments, started in the tree that is measured. `{python}` is this interpreter, `{tree}` the tree,
    `{out}` a file that pytest-benchmark writes; without `{out}` the processor time of the process is the sample."""


class BenchmarkPolicy(_Table):
    """`[speed.benchmarks."NAME"]`: thresholds of one benchmark."""

    name: ClassVar[str] = "speed.benchmarks"

    slowdown: float = Field(gt=0, le=1000, allow_inf_nan=False)
    """Per cent that it may become slower."""


class SpeedPolicy(_Table):
    """`[speed]`: base against head, interleaved in fresh processes."""

    name: ClassVar[str] = "speed"

    rounds: int = Field(default=10, ge=10, le=1_000)
    """Rounds of base, head, head, base."""
    p_value: float = Field(default=0.002, gt=0, le=0.05)
    """Of the two-sided Mann-Whitney test, below which times differ."""
    slowdown: float = Field(default=5.0, gt=0, le=1000, allow_inf_nan=False)
    """Per cent that a benchmark may become slower."""
    noise_factor: float = Field(default=3.0, ge=1, le=100)
    """A slowdown must exceed this many times what base against base shows."""
    coarsest: float = Field(default=10.0, gt=0, le=1000, allow_inf_nan=False)
    """Per cent: where noise lets only larger slowdowns be seen, nothing is decided."""
    time_limit_s: float = Field(default=600.0, gt=0, allow_inf_nan=False)
    """Of one process."""
    ignore: tuple[str, ...] = Field(default=(), strict=False)
    """Benchmarks that are not judged, as patterns with `*`; they are listed in the report."""
    benchmarks: dict[str, BenchmarkPolicy] = Field(default={})
    commands: tuple[Command, ...] = Field(default=(), strict=False)

    def allowed(self, benchmark: str) -> float:
        """Return the per cent that a benchmark may become slower."""
        own = self.benchmarks.get(benchmark)
        return self.slowdown if own is None else own.slowdown


class Policy(_Table):
    """A whole policy file."""

    name: ClassVar[str] = "gate policy"

    trees: Trees = Trees()
    accuracy: AccuracyPolicy | None = None
    speed: SpeedPolicy | None = None


def read_policy(path: Path) -> Policy:
    """Return a policy; every problem of the file is one line of the message.

    Raises:
        UsageError: the file is missing, too large, not TOML (a key twice included), holds an unknown key or a value out
            of range, or asks for nothing.
    """
    content = _parse(path)
    try:
        policy = Policy.model_validate(content)
    except ValidationError as error:
        lines = [f"{path}: {_problem(problem)}" for problem in error.errors(include_url=False)]
        raise UsageError("\n".join(lines)) from None
    if policy.accuracy is None and policy.speed is None:
        raise UsageError(f"{path}: expected a table [accuracy] or [speed], got none of them; see docs/gate.md")
    return policy


def _parse(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            raw = stream.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); expected the TOML file of a policy") from None
    if len(raw) > LARGEST:
        raise UsageError(f"{path}: larger than {LARGEST // 1024} KiB, which no policy is")
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except RecursionError:
        raise UsageError(f"{path}: not a TOML file of a policy: nested too deeply") from None
    except ValueError as error:  # a TOML error, bytes that are no text, or a number of thousands of digits
        raise UsageError(f"{path}: not a TOML file: {error}") from None


def _problem(problem: Any) -> str:
    """Say what one validation problem is: where, got, expected."""
    where = ".".join(str(part) for part in problem["loc"])
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{where}: {message}" if where else message
    if problem["type"] == "missing":
        return f"{where}: missing"
    return f"{where} is {_short(problem['input'])}, expected {message.removeprefix('Input should be ')}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
