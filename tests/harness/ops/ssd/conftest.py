from importlib import import_module
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from auharness.nn.vision import import_torchvision

NAMES = ("x", "dt", "A", "B", "C", "initial_state")


@pytest.fixture
def problem():
    """Make the operator's arguments, the first state last; `lead` adds an axis of directions."""

    def make(batch, token, head, width, state, *, shared=False, lead=(), dtype=torch.float64) -> list[Tensor]:
        generator = torch.Generator().manual_seed(token * 1000 + state)

        def normal(*shape):
            return torch.randn(*lead, *shape, generator=generator, dtype=torch.float64)

        weights = (batch, token, state) if shared else (batch, token, head, state)
        tensors = (
            normal(batch, token, head, width),
            F.softplus(normal(batch, token, head) - 1),
            -4 * torch.rand(*lead, head, generator=generator, dtype=torch.float64),
            normal(*weights),
            normal(*weights),
            normal(batch, head, width, state),
        )
        return [tensor.to(dtype).requires_grad_() for tensor in tensors]

    return make


@pytest.fixture
def results():
    """Run `call(arguments) -> (y, state)`; return both and the gradients of a fixed random sum of them, by name."""

    def run(call, arguments, *, of_state=True) -> dict[str, Tensor]:
        y, state = call(arguments)
        generator = torch.Generator().manual_seed(7)
        total = (y * torch.randn(y.shape, generator=generator, dtype=torch.float64)).sum()
        if of_state:
            total = total + (state * torch.randn(state.shape, generator=generator, dtype=torch.float64)).sum()
        gradients = torch.autograd.grad(total, arguments)
        named = {"y": y.detach(), "state": state.detach()}
        return named | dict(zip(NAMES[: len(arguments)], gradients, strict=True))

    return run


@pytest.fixture
def chunk_scan_of_transformers():
    """The chunked scan of transformers' Mamba-2 in plain torch; its arithmetic is float32."""
    pytest.importorskip("transformers")
    if find_spec("torchvision") is not None:
        import_torchvision()
    return import_module("transformers.models.mamba2.modeling_mamba2").mamba2_chunk_scan
