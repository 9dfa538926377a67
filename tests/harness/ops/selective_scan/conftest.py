from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from auharness.nn.vision import import_torchvision

OPTIONAL = ("D", "z", "delta_bias", "initial_state")
BY_TOKEN = ("u", "delta", "B", "C", "z")


@pytest.fixture
def problem():
    """Make the operator's tensors by name, all or only the five it needs; `lead` adds an axis of directions."""

    def make(batch, token, dim, state, *, full=True, lead=(), dtype=torch.float64) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(1000 * token + 10 * dim + state)

        def normal(*shape):
            return torch.randn(*lead, *shape, generator=generator, dtype=torch.float64)

        def between(low, high, *shape):
            return low + (high - low) * torch.rand(*lead, *shape, generator=generator, dtype=torch.float64)

        tensors = {
            "u": normal(batch, token, dim),
            # softplus of these is spread like the step sizes that are used without it
            "delta": between(-3, 0.5, batch, token, dim) if full else between(0.05, 0.8, batch, token, dim),
            "A": -between(0.1, 3, dim, state),
            "B": normal(batch, token, state),
            "C": normal(batch, token, state),
            "D": normal(dim),
            "z": normal(batch, token, dim),
            "delta_bias": 0.3 * normal(dim),
            "initial_state": normal(batch, dim, state),
        }
        kept = {name: x for name, x in tensors.items() if full or name not in OPTIONAL}
        return {name: x.to(dtype).requires_grad_() for name, x in kept.items()}

    return make


@pytest.fixture
def results():
    """Run `call(arguments) -> (y, state)`; return both and the gradients of a fixed random sum, by name.

    Without `state` the sum leaves the state out, as when a model ignores it.
    """

    def run(call: Callable[..., tuple[Tensor, Tensor]], arguments: Mapping[str, Tensor], *, state=True):
        outputs = dict(zip(("y", "state"), call(arguments), strict=True))
        generator = torch.Generator().manual_seed(7)
        total = torch.zeros((), dtype=torch.float64)
        for name, x in outputs.items():
            if state or name == "y":
                total = total + (x * torch.randn(x.shape, generator=generator, dtype=torch.float64)).sum()
        gradients = torch.autograd.grad(total, list(arguments.values()))
        found = {name: x.detach() for name, x in outputs.items()}
        return found | {f"gradient of {name}": x for name, x in zip(arguments, gradients, strict=True)}

    return run


@pytest.fixture
def unrolled():
    """The recurrence written out: the share of token s in state t is `exp(A (T_t - T_s))`, `T` being the time so far.

    No loop, and nothing in common with the operator but the equation that it solves. For one direction.
    """

    def scan(arguments, *, softplus=False, zoh=False, reverse=False, suffix=0) -> tuple[Tensor, Tensor]:
        x = dict(arguments)
        token = x["u"].shape[1]
        order = [*reversed(range(token - suffix)), *range(token - suffix, token)] if reverse else [*range(token)]
        x |= {name: x[name][:, order] for name in BY_TOKEN if name in x}
        dt, A = x["delta"] + x.get("delta_bias", 0), x["A"]
        dt = torch.log1p(torch.exp(dt)) if softplus else dt
        time = dt.cumsum(1)
        weight = (torch.exp(dt[..., None] * A) - 1) / A if zoh else dt[..., None]
        taken = weight * torch.einsum("bln,bld->bldn", x["B"], x["u"])
        causal = torch.ones(token, token, dtype=torch.bool).tril()[..., None]
        since = torch.where(causal, time[:, :, None] - time[:, None], 0)
        share = torch.exp(since[..., None] * A) * causal[..., None]
        h = torch.einsum("btsdn,bsdn->btdn", share, taken)
        h = h + torch.exp(time[..., None] * A) * x.get("initial_state", torch.zeros(1))[:, None]
        y = torch.einsum("btdn,btn->btd", h, x["C"]) + x.get("D", 0) * x["u"]
        y = y * F.silu(x["z"]) if "z" in x else y
        return y[:, torch.tensor(order).argsort()], h[:, -1]

    return scan


@pytest.fixture
def mamba():
    """The Mamba of transformers, whose slow path is plain torch."""
    pytest.importorskip("transformers", reason="the `hf` extra is not installed")
    if find_spec("torchvision") is not None:
        import_torchvision()
    return import_module("transformers.models.mamba.modeling_mamba")
