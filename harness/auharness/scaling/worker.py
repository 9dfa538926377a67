"""`python -m auharness.scaling.worker`: measure the cases given on standard input and print one line per event.

A process of its own, so that memory, caches and crashes of one case touch no other. Lines are JSON objects: `begin`
with the number of a case, `timed` when its turn on the device has come, `point`, and `failed` with a reason.
"""

import fcntl
import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from auharness.scaling.case import Case, Mode, Phase
from auharness.scaling.machine import describe, measure_peaks
from auharness.scaling.measure import Bench, measure
from auharness.scaling.records import Peaks

__all__ = ["Job", "main"]


@dataclass(frozen=True)
class Job:
    """What one worker process is asked to do."""

    device: str
    cases: list[dict[str, Any]]
    ways: list[list[tuple[Phase, Mode]]]
    """Phases and modes to measure, for each case."""
    seconds: float
    model: str
    lock: str = ""
    """File that processes on one GPU take turns by; empty for none."""
    threads: int = 1


def main() -> int:
    """Read a job, measure, print."""
    job = Job(**json.loads(sys.stdin.readline()))
    torch.set_num_threads(job.threads)
    device = torch.device(job.device)
    machine = describe(device)
    for number, given in enumerate(job.cases):
        case = Case(**given)
        _say(begin=number)
        dtype = getattr(torch, case.dtype)
        bench = Bench(
            device,
            machine,
            peaks=partial(_peaks, device, dtype),
            seconds=job.seconds,
            model=job.model,
            alone=lambda: _turn(job.lock),
        )
        try:
            for point in measure(case, bench, job.ways[number]):
                _say(point=point.model_dump(mode="json", exclude_defaults=True))
        except Exception as error:  # one case that breaks must not cost the others
            _say(failed=number, reason=f"{type(error).__name__}: {error}", trace=traceback.format_exc())
    return 0


@cache
def _peaks(device: torch.device, dtype: torch.dtype) -> Peaks:
    return measure_peaks(device, dtype)


@contextmanager
def _turn(lock: str) -> Iterator[None]:
    """Wait until no other process measures on the device."""
    with Path(lock).open("w", encoding="utf-8") if lock else nullcontext() as stream:
        if stream is not None:
            fcntl.flock(stream, fcntl.LOCK_EX)
        _say(timed=True)
        yield


def _say(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
