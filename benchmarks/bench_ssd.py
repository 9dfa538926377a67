"""Speed of SSD (Mamba-2): the chunked path beside the recurrence that defines it, one thread.

`README.md` says how to run it. The recurrence takes a step per token, so it is timed on few of them.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from auharness.ops.ssd import ssd

HEADS, WIDTH, STATE = 12, 64, 128  # Mamba-2 at the width of ViT-S, arXiv:2405.21060
SIZES = [(4, 197), (1, 1024)]  # batch, token
PASSES = ("forward", "training")
BACKENDS = ("reference", "torch")


def arguments(batch: int, token: int) -> list[Tensor]:
    torch.manual_seed(0)
    x, dt = torch.randn(batch, token, HEADS, WIDTH), 0.02 * torch.rand(batch, token, HEADS)
    b, c = (torch.randn(batch, token, STATE) for _ in range(2))
    return [tensor.requires_grad_() for tensor in (x, dt, -torch.arange(1.0, HEADS + 1), b, c)]


def job(backend: str, size: tuple[int, int], direction: str) -> Callable[[], object]:
    """Return a call of the operator without gradients (`forward`) or with all of them (`training`)."""
    tensors = arguments(*size)

    def run() -> Tensor:
        return ssd(*tensors, backend=backend)

    gradient = torch.ones_like(tensors[0])
    return torch.no_grad()(run) if direction == "forward" else lambda: torch.autograd.grad(run(), tensors, gradient)


@pytest.mark.parametrize("direction", PASSES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_ssd(
    benchmark: Callable[[Callable[[], object]], object], size: tuple[int, int], backend: str, direction: str
) -> None:
    torch.set_num_threads(1)
    if backend == "reference" and direction == "training" and size[1] > SIZES[0][1]:
        pytest.skip("autograd keeps every step of the recurrence: minutes")
    benchmark(job(backend, size, direction))
