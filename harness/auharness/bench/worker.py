"""`python -m auharness.bench.worker`: time the one point given on standard input and print one line per event.

A process of its own, so that memory, caches and crashes of one point touch no other. Lines are JSON objects: `built`
when model and inputs are on the device, then `point` with what was measured, or `status` and `note`.
"""

import json
import sys
from dataclasses import dataclass
from typing import Any

import torch

from auharness.bench.case import Case
from auharness.bench.rows import Mode
from auharness.bench.timing import time_module
from auharness.efficiency.memory import ran_out
from auharness.errors import AuharnessError

__all__ = ["Job", "main"]


@dataclass(frozen=True)
class Job:
    """What one worker process is asked to do."""

    case: dict[str, Any]
    device: str
    dtype: str
    mode: Mode
    batch: int
    seconds: float
    threads: int


def main() -> int:
    """Read a job, measure, print."""
    job = Job(**json.loads(sys.stdin.readline()))
    torch.set_num_threads(job.threads)
    try:
        subject = Case(**{**job.case, "presets": tuple(job.case["presets"])}).subject()
        module = subject.module(job.device)
        inputs = subject.inputs(job.device, batch=job.batch)
        _say(built=True)
        _say(point=time_module(module, inputs, dtype=job.dtype, mode=job.mode, seconds=job.seconds))
    except Exception as error:  # a plugin may raise anything
        _say(**_reason(error))
    return 0


def _reason(error: Exception) -> dict[str, str]:
    text = " ".join(str(error).split())
    if ran_out(error):
        return {"status": "out of memory", "note": "" if "DefaultCPUAllocator" in text else text.partition(".")[0]}
    own = isinstance(error, AuharnessError)
    return {"status": "failed", "note": text if own else f"{type(error).__name__}: {text[:300]}"}


def _say(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
