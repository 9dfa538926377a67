"""Speed of the selective scan: torch and compiled path beside the autograd reference, one thread, CPU time.

`python benchmarks/bench_selective_scan.py` prints the table in about two minutes; `pytest -o addopts=
benchmarks/bench_selective_scan.py` times each cell of the first size. Only ratios inside one process mean anything on a
shared machine, so the jobs take turns, least time counts.
"""

import sys
from collections.abc import Callable

import pytest
import torch
from common import milliseconds
from torch import Tensor

from auharness.ops.selective_scan import selective_scan

DIM, STATE = 768, 16  # ViT-S as wide as Mamba makes it
SIZES = [(4, 197, "euler"), (4, 197, "zoh"), (1, 197, "euler"), (2, 1024, "euler"), (1, 4096, "euler")]
PASSES = ("forward", "training")
BACKENDS = ("reference", "torch", "numba")
# autograd differentiates the reference's indexing in time and memory that grow with the square of the tokens
REFERENCE_TRAINS_UP_TO = 197


def arguments(batch: int, token: int) -> dict[str, Tensor]:
    torch.manual_seed(0)
    tensors = {name: torch.randn(batch, token, DIM) for name in ("u", "z")}
    tensors |= {name: torch.randn(batch, token, STATE) for name in ("B", "C")}
    tensors |= {"delta": 2 * torch.rand(batch, token, DIM), "delta_bias": torch.full((DIM,), -5.0)}
    tensors |= {"A": -torch.arange(1.0, STATE + 1).repeat(DIM, 1), "D": torch.ones(DIM)}
    return {name: x.requires_grad_() for name, x in tensors.items()}


def job(backend: str, size: tuple[int, int, str], direction: str) -> Callable[[], object]:
    """Return a call of the operator without gradients (`forward`) or with all of them (`training`)."""
    batch, token, discretization = size
    tensors = arguments(batch, token)
    gradient = torch.ones(batch, token, DIM)

    def run() -> Tensor:
        return selective_scan(**tensors, delta_softplus=True, discretization=discretization, backend=backend)

    if direction == "forward":
        return torch.no_grad()(run)
    return lambda: torch.autograd.grad(run(), list(tensors.values()), gradient)


def table() -> str:
    head = "".join(f"{name + ' ms':>15}" for name in BACKENDS) + "".join(f"{name:>9}" for name in BACKENDS[1:])
    lines = [f"{'batch token':20}{'pass':10}{head}   times the reference"]
    for size in SIZES:
        for direction in PASSES:
            timed = [x for x in BACKENDS if x != "reference" or not_too_long(size, direction)]
            jobs = [job(backend, size, direction) for backend in timed]
            for call in jobs[1:]:
                call()  # the first call compiles
            times = dict(zip(timed, milliseconds(jobs), strict=True))
            cells = "".join(f"{times[x]:15.2f}" if x in times else f"{'-':>15}" for x in BACKENDS)
            ratios = [times["reference"] / times[x] for x in BACKENDS[1:]] if "reference" in times else []
            lines.append(f"{' '.join(map(str, size)):20}{direction:10}{cells}{''.join(f'{x:9.1f}' for x in ratios)}")
    return "\n".join(lines)


def not_too_long(size: tuple[int, int, str], direction: str) -> bool:
    return direction == "forward" or size[1] <= REFERENCE_TRAINS_UP_TO


@pytest.mark.parametrize("direction", PASSES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_selective_scan(benchmark: Callable[[Callable[[], object]], object], backend: str, direction: str) -> None:
    torch.set_num_threads(1)
    benchmark(job(backend, SIZES[2], direction))


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(f"torch {torch.__version__}, float32, {DIM} channels, state {STATE}, one thread\n{table()}\n")
