"""Speed of attention: the harness's front, torch's function without it, and the plain formula, one thread.

`README.md` says how to run it. The front may cost nothing beside what it calls.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from auharness.ops.attention import attention

HEADS, WIDTH = 6, 64  # ViT-S
SIZES = [(4, 197), (1, 1024)]  # batch, token
PASSES = ("forward", "training")
WHO = ("auharness", "torch", "reference")


def job(who: str, size: tuple[int, int], direction: str) -> Callable[[], object]:
    """Return a call without gradients (`forward`) or with all of them (`training`)."""
    torch.manual_seed(0)
    batch, token = size
    q, k, v = (torch.randn(batch, HEADS, token, WIDTH).requires_grad_() for _ in range(3))

    def run() -> Tensor:
        if who == "torch":
            return scaled_dot_product_attention(q, k, v)
        return attention(q, k, v, backend=None if who == "auharness" else who)

    gradient = torch.ones_like(q)
    return torch.no_grad()(run) if direction == "forward" else lambda: torch.autograd.grad(run(), (q, k, v), gradient)


@pytest.mark.parametrize("direction", PASSES)
@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_attention(
    benchmark: Callable[[Callable[[], object]], object], size: tuple[int, int], who: str, direction: str
) -> None:
    torch.set_num_threads(1)
    benchmark(job(who, size, direction))
