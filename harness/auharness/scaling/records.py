"""What a point says about its machine; read by the page too, so nothing heavy is imported."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Machine", "Peaks"]


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
