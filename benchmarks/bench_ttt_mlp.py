"""Speed of TTT-MLP: the fast path beside the autograd reference and beside TTT-Linear, one thread, CPU time.

`python benchmarks/bench_ttt_mlp.py` prints the table; `pytest -o addopts= benchmarks/bench_ttt_mlp.py` times each cell.
Only ratios inside one process mean anything on a shared machine, so the jobs take turns, least time counts.
"""

import sys
from collections.abc import Callable

import pytest
import torch
from common import milliseconds
from torch import Tensor

from auharness.ops.ttt_linear import ttt_linear
from auharness.ops.ttt_mlp import ttt_mlp

HEADS, WIDTH, HIDDEN = 6, 64, 256  # ViT-S
SIZES = [(4, 197, 14), (4, 197, 16), (2, 1024, 16), (1, 197, 64)]  # batch, token, mini-batch
PASSES = ("forward", "training")
OPERATORS = ("reference", "torch", "ttt_linear")


def arguments(operator: str, batch: int, token: int, mini_batch: int) -> list[Tensor]:
    torch.manual_seed(0)
    q, k, v = (torch.randn(batch, HEADS, token, WIDTH) for _ in range(3))
    lr = 0.1 * torch.rand(batch, HEADS, token) / WIDTH
    layers = [(WIDTH, WIDTH)] if operator == "ttt_linear" else [(WIDTH, HIDDEN), (HIDDEN, WIDTH)]
    state = [x for m, n in layers for x in (0.02 * torch.randn(HEADS, m, n), torch.zeros(HEADS, 1, n))]
    norm = torch.ones(HEADS, WIDTH), torch.zeros(HEADS, WIDTH)
    return [x.requires_grad_() for x in (q, k, v, lr, 1 / torch.arange(1, mini_batch + 1), *state, *norm)]


def job(operator: str, size: tuple[int, int, int], direction: str) -> Callable[[], object]:
    """Return a call of `operator` without gradients (`forward`) or with all of them (`training`)."""
    tensors = arguments(operator, *size)

    def run() -> Tensor:
        if operator == "ttt_linear":
            return ttt_linear(*tensors, mini_batch=size[2], backend="torch")
        return ttt_mlp(*tensors, mini_batch=size[2], backend=operator)

    gradient = torch.ones_like(tensors[0])
    return torch.no_grad()(run) if direction == "forward" else lambda: torch.autograd.grad(run(), tensors, gradient)


def table() -> str:
    lines = [f"{'batch token K':16}{'pass':10}" + "".join(f"{x + ' ms':>15}" for x in OPERATORS) + f"{'ratio':>8}"]
    for size in SIZES:
        for direction in PASSES:
            times = milliseconds([job(operator, size, direction) for operator in OPERATORS])
            cells = "".join(f"{x:15.2f}" for x in times)
            lines.append(f"{' '.join(map(str, size)):16}{direction:10}{cells}{times[0] / times[1]:8.2f}")
    return "\n".join(lines)


@pytest.mark.parametrize("direction", PASSES)
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("size", SIZES[:2], ids=str)
def test_ttt_mlp(
    benchmark: Callable[[Callable[[], object]], object], operator: str, size: tuple[int, int, int], direction: str
) -> None:
    torch.set_num_threads(1)
    benchmark(job(operator, size, direction))


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(f"torch {torch.__version__}, float32, {HEADS} heads of {WIDTH}, one thread\n{table()}\n")
