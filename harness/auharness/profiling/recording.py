"""Recording steps with torch's profiler: warm-up, a schedule of steps, one trace file that viewers open."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from auharness.efficiency.timing import Timing, measure_time
from auharness.ops.backends import recorded, spanned
from auharness.profiling.step import SPAN
from auharness.results.atomic import write_with

__all__ = ["SUFFIX", "Recording", "record_steps"]

SUFFIX = ".pt.trace.json"
"""What TensorBoard's plugin looks for."""
_WARM_UP = 1
"""Steps that the profiler takes and drops: its first events are slow."""


@dataclass(frozen=True)
class Recording:
    """What was recorded of some steps."""

    trace: Path
    events: Any
    """Averages per operator, `torch.autograd.profiler_util.EventList`."""
    backends: dict[str, str]
    """Mixer operator -> the backend that served it."""
    plain: Timing
    """Time of a step that nothing recorded."""


def record_steps(step: Callable[[], None], *, steps: int, device: torch.device, folder: Path, worker: str) -> Recording:
    """Take steps until they are warm, record some, and write their trace to `FOLDER/WORKER.TIME.pt.trace.json`.

    Args:
        step: takes one step.
        steps: recorded steps.
        device: where it computes.
        folder: of the trace; TensorBoard shows it as one run.
        worker: name of the trace in the viewers.
    """
    # the first step may compile
    plain = measure_time(step, device=device, seconds=0, least=2, warm_up=1)
    trace = folder / f"{worker}.{time.time_ns()}{SUFFIX}"
    averages: list[Any] = []

    def ready(profiler: profile) -> None:
        write_with(trace, lambda path: profiler.export_chrome_trace(str(path)))
        averages.append(profiler.key_averages())

    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    profiler = profile(
        activities=kinds,
        schedule=schedule(wait=0, warmup=_WARM_UP, active=steps, repeat=1),
        on_trace_ready=ready,
        record_shapes=True,
        profile_memory=True,
        acc_events=True,
    )
    with recorded() as backends, spanned(_span), profiler:
        for _ in range(_WARM_UP + steps):
            step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)  # a step owns its kernels
            profiler.step()
    return Recording(trace, averages[0], dict(backends), plain)


def _span(name: str) -> AbstractContextManager[object]:
    # unlike record_function it counts as an operator: viewers list it in their tables and give it its kernels
    return cast(AbstractContextManager[object], torch._C._profiler._RecordFunctionFast(f"{SPAN}{name}"))
