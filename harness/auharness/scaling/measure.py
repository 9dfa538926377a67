"""The measurements of one case: correctness first, then time and memory of each pass in each mode."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from auharness.efficiency.memory import peak_bytes, ran_out, saved_bytes
from auharness.efficiency.timing import measure_time
from auharness.ops.backends import recorded
from auharness.scaling.case import Case, Mode, Phase
from auharness.scaling.point import Point, make_point
from auharness.scaling.records import Machine, Peaks
from auharness.scaling.subjects import Subject, build

__all__ = ["Bench", "measure", "relative_error"]

CHECKED: Final = 197
"""Tokens of the comparison with the reference, which is slow on long sequences."""
TOLERANCE: Final = {"float32": 2e-3, "bfloat16": 3e-2, "float16": 1e-2}
"""Largest relative distance from the float32 reference; float32 products may run as TF32 on a GPU."""
_MEMORY_CALLS_LIMIT = 4.0
"""Seconds a call may take for its memory to be counted on a CPU, where counting slows it down."""


@dataclass(frozen=True)
class Bench:
    """What stays the same from case to case."""

    device: torch.device
    machine: Machine
    peaks: Callable[[], Peaks]
    """Called while nothing else measures."""
    seconds: float
    """Budget of one timing."""
    model: str = "au-ttt"
    alone: Callable[[], AbstractContextManager[object]] = nullcontext
    """Held while times are taken: processes that share a GPU take turns."""


def measure(case: Case, bench: Bench, ways: Sequence[tuple[Phase, Mode]]) -> Iterator[Point]:
    """Yield a point for each phase and mode of a case. Running out of memory is a point; other errors pass through.

    Operators are compared with their reference first: a wrong one gets no time.
    """
    common: dict[str, Any] = {"machine": bench.machine, "model": bench.model if case.level == "model" else ""}
    try:
        error = relative_error(case, bench) if case.level == "op" else None
    except RuntimeError as problem:
        error = None
        common |= _out_of_memory(problem)
    if error is not None and not error <= TOLERANCE[case.dtype]:
        note = f"relative distance {error:.1e} from the reference, expected at most {TOLERANCE[case.dtype]:.0e}"
        common |= {"status": "wrong", "note": note}
    if "status" in common:
        for phase, mode in ways:
            yield make_point(case, phase=phase, mode=mode, error=error, **common)
        return
    with bench.alone():
        peaks = bench.peaks()
        for phase, mode in ways:
            try:
                found = _measured(case, bench, phase, mode)
            except RuntimeError as problem:
                found = _out_of_memory(problem)
            yield make_point(case, phase=phase, mode=mode, error=error, peaks=peaks, **found, **common)
            _clean(bench.device)


def _out_of_memory(problem: RuntimeError) -> dict[str, str]:
    """Return what a point says when memory ran out, on a GPU or in the CPU's allocator; raise what is another error."""
    text = str(problem)
    if not ran_out(problem):
        raise problem
    return {"status": "out of memory", "note": "" if "DefaultCPUAllocator" in text else text.partition(".")[0]}


def relative_error(case: Case, bench: Bench) -> float:
    """Return the distance of an operator's output from its reference, relative to it, on at most 197 tokens."""
    small = replace(case, length=min(case.length, CHECKED), batch=min(case.batch, 2))
    small = replace(small, mini_batch=min(case.mini_batch, small.length))
    subject = build(small, bench.device)
    if subject.reference is None:
        return 0.0
    with torch.no_grad():
        truth, value = subject.reference().double(), subject.forward().double()
    return float((value - truth).norm() / truth.norm())


def _measured(case: Case, bench: Bench, which: Phase, mode: Mode) -> dict[str, Any]:
    subject = build(case, bench.device, model=bench.model)
    call = _call(subject, which, mode)
    floor, bound = subject.work(which).floor(bench.peaks())
    with recorded() as backend:
        call()  # warms up, too
    timing = measure_time(call, device=bench.device, seconds=bench.seconds, least=2, warm_up=0)
    found: dict[str, Any] = {"status": "ok", "backend": dict(backend), "floor_ms": floor, "bound": bound}
    found |= {name: getattr(timing, name) for name in ("best_ms", "p50_ms", "p95_ms", "samples", "clock")}
    if mode == "eager" and (bench.device.type == "cuda" or timing.best_ms < 1e3 * _MEMORY_CALLS_LIMIT):
        found["peak_bytes"] = peak_bytes(call, device=bench.device)
        if which == "training":
            found["saved_bytes"] = saved_bytes(subject.forward, inputs=subject.inputs)
    return found


def _call(subject: Subject, which: Phase, mode: Mode) -> Callable[[], object]:
    if mode == "compiled":
        compiled = torch.compile(subject.forward, dynamic=False)
        subject = replace(subject, forward=compiled)
    call: Callable[[], object] = torch.no_grad()(subject.forward) if which == "forward" else subject.training
    return _graph(call) if mode == "graph" else call


def _graph(call: Callable[[], object]) -> Callable[[], object]:
    """Record a call as a CUDA graph and return its replay."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):  # allocations and lazy initialisation come before the recording
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = call()

    def replay() -> object:
        graph.replay()
        return kept

    return replay


def _clean(device: torch.device) -> None:
    gc.collect()
    torch.compiler.reset()
    if device.type == "cuda":
        torch.cuda.empty_cache()
