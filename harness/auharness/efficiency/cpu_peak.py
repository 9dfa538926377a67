"""The most multiply-adds that one core does: twelve chains of vectors in registers, nothing read from memory."""

import numpy as np
import torch

from auharness.efficiency.timing import measure_time
from auharness.ops.numba_vectors import WIDTH, compiled, spread, store

__all__ = ["multiply_adds_per_second"]

_CHAINS = 12
"""Enough to hide the latency of two units (4 to 5 clocks each), few enough for 16 registers."""
_STEPS = 20_000


@compiled
def _chains(steps, factor, start, out):  # type: ignore[no-untyped-def]  # numba finds the types
    x, y = spread(factor), spread(start)
    a, b, c, d, e, f, g, h, i, j, k, m = x, y, x, y, x, y, x, y, x, y, x, y
    for _ in range(steps):
        a, b, c, d = a * x + y, b * x + y, c * x + y, d * x + y
        e, f, g, h = e * x + y, f * x + y, g * x + y, h * x + y
        i, j, k, m = i * x + y, j * x + y, k * x + y, m * x + y
    store(out, 0, a + b + c + d + e + f + g + h + i + j + k + m)


def multiply_adds_per_second(*, seconds: float = 0.1) -> float:
    """Return float32 multiply-adds per second of one core, by processor time."""
    out = np.zeros(WIDTH, np.float32)
    factor, start = np.float32(0.5), np.float32(1.0)

    def chains() -> None:
        _chains(_STEPS, factor, start, out)  # type: ignore[no-untyped-call]  # as above

    timing = measure_time(chains, device=torch.device("cpu"), seconds=seconds)
    return 1e3 * _CHAINS * WIDTH * _STEPS / timing.best_ms
