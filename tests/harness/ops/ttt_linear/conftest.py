import pytest
import torch
from torch import Tensor

NAMES = ("q", "k", "v", "lr", "token_scale", "w0", "b0", "ln_weight", "ln_bias")


@pytest.fixture
def problem():
    """Make the operator's nine arguments; `lead` adds an axis of directions, `batched_state` one of the batch."""

    def make(batch, head, token, d, mini_batch, *, lead=(), batched_state=False, dtype=torch.float64) -> list[Tensor]:
        generator = torch.Generator().manual_seed(token * 1000 + mini_batch)

        def normal(*shape):
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        state = (*lead, *((batch,) if batched_state else ()), head)
        q, k, v = (normal(*lead, batch, head, token, d) for _ in range(3))
        lr = torch.rand(*lead, batch, head, token, generator=generator, dtype=torch.float64) * 2 / d
        token_scale = (1 / torch.arange(1, mini_batch + 1) + 0.1 * normal(mini_batch)).clamp_min(0)
        w0, b0 = 0.2 * normal(*state, d, d), 0.2 * normal(*state, 1, d)
        ln_weight, ln_bias = 1 + 0.3 * normal(*lead, head, d), 0.3 * normal(*lead, head, d)
        tensors = (q, k, v, lr, token_scale, w0, b0, ln_weight, ln_bias)
        return [x.to(dtype).requires_grad_() for x in tensors]

    return make


@pytest.fixture
def results():
    """Run `call(arguments) -> tensors`; return those and the gradients of a fixed random sum of them, by name."""

    def run(call, arguments) -> dict[str, Tensor]:
        outputs = call(arguments)
        generator = torch.Generator().manual_seed(7)
        total = sum((x * torch.randn(x.shape, generator=generator, dtype=torch.float64)).sum() for x in outputs)
        gradients = torch.autograd.grad(total, arguments)
        named = dict(zip(("out", "w", "b"), outputs, strict=True))
        return {k: v.detach() for k, v in named.items()} | dict(zip(NAMES, gradients, strict=True))

    return run
