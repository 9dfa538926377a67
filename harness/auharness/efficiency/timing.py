"""How long a call takes: processor time on a CPU, CUDA events on a GPU."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

__all__ = ["Timing", "measure_time"]

_SAMPLE_S = 0.002
"""Shortest sample on a CPU: shorter calls are timed several at once."""
_MOST_SAMPLES = 1000


@dataclass(frozen=True)
class Timing:
    """Time of one call, over many samples."""

    best_ms: float
    """Least of the samples: what other work on the machine disturbs least."""
    p50_ms: float
    p95_ms: float
    samples: int
    clock: str
    """`cpu time` (of the whole process, all threads) or `cuda events`."""


def measure_time(
    call: Callable[[], object], *, device: torch.device, seconds: float = 0.5, least: int = 3, warm_up: int = 2
) -> Timing:
    """Time a call again and again for about `seconds`, at least `least` times.

    Times of a CPU that other work shares mean something as ratios inside one process only.

    Args:
        call: what is timed; its result is dropped.
        device: where it computes; `cuda` uses events on the current stream, everything else processor time.
        seconds: budget without the warm-up.
        least: samples taken even if the budget is over.
        warm_up: calls before the first sample: compilation, caches, memory pools.
    """
    for _ in range(warm_up):
        call()
    samples = _on_cuda(call, seconds, least) if device.type == "cuda" else _on_cpu(call, seconds, least)
    p50, p95 = statistics.median(samples), sorted(samples)[min(len(samples) - 1, int(0.95 * len(samples)))]
    clock = "cuda events" if device.type == "cuda" else "cpu time"
    return Timing(min(samples), p50, p95, len(samples), clock)


def _on_cpu(call: Callable[[], object], seconds: float, least: int) -> list[float]:
    start = time.process_time()
    call()
    once = time.process_time() - start
    inside = max(1, int(_SAMPLE_S / max(once, 1e-7)))
    samples = [1e3 * once] if inside == 1 else []
    before = time.process_time()
    while (len(samples) < least or before - start < seconds) and len(samples) < _MOST_SAMPLES:
        for _ in range(inside):
            call()
        now = time.process_time()
        samples.append(1e3 * (now - before) / inside)
        before = now
    return samples


def _on_cuda(call: Callable[[], object], seconds: float, least: int) -> list[float]:
    torch.cuda.synchronize()
    wall = time.monotonic()
    call()
    torch.cuda.synchronize()
    once = max(time.monotonic() - wall, 1e-6)
    count = min(_MOST_SAMPLES, max(least, int(seconds / once)))
    pairs = [(_event(), _event()) for _ in range(count)]
    for before, after in pairs:
        before.record()
        call()
        after.record()
    torch.cuda.synchronize()
    return [before.elapsed_time(after) for before, after in pairs]


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch leaves it untyped
