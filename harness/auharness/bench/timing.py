"""The time and memory of one batch on one device."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from auharness.bench.rows import Mode
from auharness.efficiency.memory import peak_bytes
from auharness.efficiency.timing import measure_time
from auharness.ops.backends import recorded

__all__ = ["time_module"]

MEMORY_CALLS_LIMIT_MS = 4000.0
"""A longer call is not made again to see its memory on a CPU, where looking slows it down."""


def time_module(
    module: nn.Module, inputs: Mapping[str, Tensor], *, dtype: str, mode: Mode, seconds: float
) -> dict[str, Any]:
    """Return the fields of a `Time` that are measured: forward only, without gradients.

    Args:
        module: in evaluation mode, on the device of its inputs.
        inputs: in the order in which the module takes them.
        dtype: `float32`, or what autocast narrows to.
        mode: `compiled` is `torch.compile` with its defaults for fixed shapes.
        seconds: budget of the timing.
    """
    given = tuple(inputs.values())
    device = given[0].device
    run: Callable[..., object] = torch.compile(module, dynamic=False) if mode == "compiled" else module

    def call() -> object:
        with _narrowed(device, dtype):
            return run(*given)

    with torch.no_grad():
        with recorded() as backend:
            call()  # warms up, too
        timing = measure_time(call, device=device, seconds=seconds, least=2, warm_up=0)
        found: dict[str, Any] = {"backend": dict(backend)}
        found |= {name: getattr(timing, name) for name in ("best_ms", "p50_ms", "p95_ms", "samples", "clock")}
        # a compiled call on a CPU shows its operators to nobody
        seen = device.type == "cuda" or (mode == "eager" and timing.best_ms < MEMORY_CALLS_LIMIT_MS)
        if seen:
            weights = {id(x): x for x in (*module.parameters(), *module.buffers())}.values()
            found["peak_bytes"] = sum(x.nbytes for x in weights) + peak_bytes(call, device=device)
    return found


def _narrowed(device: torch.device, dtype: str) -> AbstractContextManager[object]:
    """As a run in mixed precision does it."""
    return nullcontext() if dtype == "float32" else torch.autocast(device.type, getattr(torch, dtype))
