"""Speed of TTT-Linear: the fast paths beside the autograd reference and beside attention, one thread, CPU time.

`python benchmarks/bench_ttt_linear.py` prints the table; `pytest -o addopts= benchmarks/bench_ttt_linear.py` times each
cell. Only ratios inside one process mean anything on a shared machine, so the jobs take turns, least time counts.
"""

import sys
from collections.abc import Callable

import pytest
import torch
from common import milliseconds
from torch import Tensor

from auharness.ops.attention import attention
from auharness.ops.ttt_linear import ttt_linear

HEADS, WIDTH = 6, 64  # ViT-S
SIZES = [(4, 197, 14), (4, 197, 16), (2, 1024, 16), (1, 4096, 14), (1, 4096, 16)]  # batch, token, mini-batch
PASSES = ("forward", "training")
OPERATORS = ("reference", "torch", "numba", "attention")
RATIOS = ("torch", "numba")  # how many times faster than the reference


def arguments(batch: int, token: int, mini_batch: int) -> list[Tensor]:
    torch.manual_seed(0)
    q, k, v = (torch.randn(batch, HEADS, token, WIDTH) for _ in range(3))
    lr = torch.rand(batch, HEADS, token) / WIDTH
    w0, b0 = 0.02 * torch.randn(HEADS, WIDTH, WIDTH), torch.zeros(HEADS, 1, WIDTH)
    norm = torch.ones(HEADS, WIDTH), torch.zeros(HEADS, WIDTH)
    tensors = (q, k, v, lr, 1 / torch.arange(1, mini_batch + 1), w0, b0, *norm)
    return [x.requires_grad_() for x in tensors]


def job(operator: str, size: tuple[int, int, int], direction: str) -> Callable[[], object]:
    """Return a call of `operator` without gradients (`forward`) or with all of them (`training`)."""
    tensors = arguments(*size)
    if operator == "attention":
        tensors = tensors[:3]

    def run() -> Tensor:
        if operator == "attention":
            return attention(*tensors)
        return ttt_linear(*tensors, mini_batch=size[2], backend=operator)

    gradient = torch.ones_like(tensors[0])
    return torch.no_grad()(run) if direction == "forward" else lambda: torch.autograd.grad(run(), tensors, gradient)


def table() -> str:
    heads = [*(f"{x} ms" for x in OPERATORS), *(f"x {x}" for x in RATIOS)]
    lines = [f"{'batch token K':16}{'pass':10}" + "".join(f"{x:>14}" for x in heads)]
    for size in SIZES:
        for direction in PASSES:
            jobs = [job(operator, size, direction) for operator in OPERATORS]
            for call in jobs:
                call()  # a first call may compile
            times = dict(zip(OPERATORS, milliseconds(jobs), strict=True))
            cells = [*times.values(), *(times["reference"] / times[x] for x in RATIOS)]
            lines.append(f"{' '.join(map(str, size)):16}{direction:10}" + "".join(f"{x:14.2f}" for x in cells))
    return "\n".join(lines)


@pytest.mark.parametrize("direction", PASSES)
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("size", SIZES[:2], ids=str)
def test_ttt_linear(
    benchmark: Callable[[Callable[[], object]], object], operator: str, size: tuple[int, int, int], direction: str
) -> None:
    torch.set_num_threads(1)
    if operator == "numba":
        pytest.importorskip("numba")
    benchmark(job(operator, size, direction))


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(f"torch {torch.__version__}, float32, {HEADS} heads of {WIDTH}, one thread\n{table()}\n")
