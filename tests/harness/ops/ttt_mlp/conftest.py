import pytest
import torch
from torch import Tensor

NAMES = ("q", "k", "v", "lr", "token_scale", "w1", "b1", "w2", "b2", "ln_weight", "ln_bias")
OUTPUTS = ("out", "w1 after", "b1 after", "w2 after", "b2 after")


@pytest.fixture
def problem():
    """Make the operator's eleven arguments; `lead` adds an axis of directions, `batched_state` one of the batch."""

    def make(
        batch, head, token, d, mini_batch, *, hidden=None, lead=(), batched_state=False, dtype=torch.float64
    ) -> list[Tensor]:
        generator = torch.Generator().manual_seed(token * 1000 + mini_batch)
        f = hidden or 4 * d

        def normal(*shape):
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        state = (*lead, *((batch,) if batched_state else ()), head)
        q, k, v = (normal(*lead, batch, head, token, d) for _ in range(3))
        lr = torch.rand(*lead, batch, head, token, generator=generator, dtype=torch.float64) * 0.2 / d
        token_scale = (1 / torch.arange(1, mini_batch + 1) + 0.1 * normal(mini_batch)).clamp_min(0)
        w1, b1 = normal(*state, d, f) / d**0.5, 0.2 * normal(*state, 1, f)
        w2, b2 = normal(*state, f, d) / f**0.5, 0.2 * normal(*state, 1, d)
        ln_weight, ln_bias = 1 + 0.3 * normal(*lead, head, d), 0.3 * normal(*lead, head, d)
        tensors = (q, k, v, lr, token_scale, w1, b1, w2, b2, ln_weight, ln_bias)
        return [x.to(dtype).requires_grad_() for x in tensors]

    return make


@pytest.fixture
def results():
    """Run `call(arguments) -> out and state`; return those and the gradients of a fixed random sum of them, by name.

    Gradients are taken twice: of a sum of the output alone, and of one that includes the state.
    """

    def run(call, arguments) -> dict[str, Tensor]:
        outputs = call(arguments)
        generator = torch.Generator().manual_seed(7)
        parts = [(x * torch.randn(x.shape, generator=generator, dtype=torch.float64)).sum() for x in outputs]
        alone = torch.autograd.grad(parts[0], arguments, retain_graph=True)
        full = torch.autograd.grad(sum(parts), arguments)
        named = dict(zip(OUTPUTS, (x.detach() for x in outputs), strict=True))
        named |= dict(zip(NAMES, alone, strict=True))
        return named | dict(zip((f"{name} with state" for name in NAMES), full, strict=True))

    return run
