"""What a point says about its machine and its time; read by the page too, so nothing heavy is imported."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Machine", "Peaks", "Timed"]


class Peaks(BaseModel):
    """What the machine reaches on the simplest work, measured in the process that measures the mixers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flops: float
    """Floating-point operations per second: a large matrix product on a GPU, multiply-adds in registers on a CPU."""
    bytes: float
    """Bytes per second of a large copy, read and written."""
    exps: float
    """Exponentials per second."""


class Machine(BaseModel):
    """Where a point was measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """`cpu` or `cuda`."""
    device: str
    driver: str = ""
    """CUDA driver, where there is one."""
    threads: int
    versions: dict[str, str]


class Timed(BaseModel):
    """The time of one call, or why there is none; a point of `scale` and a row of `bench` say the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: Machine
    status: str
    limit_s: float | None = None
    """The limit that was too short, where the status says so."""
    backend: dict[str, str] = {}
    """Operator -> backend that computed it."""
    best_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    samples: int = 0
    clock: str = ""
    """`cpu time` (of all threads) or `cuda events`."""
    code: str = ""
    """`code_digests` of what was measured; empty where it was not recorded."""

    def settles(self, machine: Machine, *, limit_s: float, code: str) -> bool:
        """Whether measuring again on this machine, under this limit, would tell nothing new of this code.

        What broke is tried again, and everything after a change of versions.
        """
        if self.machine != machine or self.code != code:
            return False
        if self.status == "time limit":
            return (self.limit_s or 0.0) >= limit_s
        return self.status in ("ok", "out of memory")
