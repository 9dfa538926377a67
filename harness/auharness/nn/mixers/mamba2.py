"""Mamba-2: one projection, a short convolution, heads that fade at one rate each, and a gated norm.

Dao and Gu, "Transformers are SSMs", arXiv:2405.21060, section 7, with the parameter names of the authors' `mamba_ssm`
and of transformers, so that weights load. Differs from those in: all heads share B and C (the authors' default), any
direction of the scan, and tokens that are read last in either direction.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auharness.errors import UsageError
from auharness.nn.mixers.causal_conv import causal_conv
from auharness.nn.mixers.direction import one_way
from auharness.nn.mixers.state_space import decay_rates, start_steps
from auharness.ops.scan import OneWay
from auharness.ops.ssd import ssd

__all__ = ["Mamba2"]

EPS: Final = 1e-5  # the authors' gated norm
_RATES = 1.0, 16.0  # decay rates at the start are uniform between these, in the authors' layer


class Mamba2(nn.Module):
    """Mamba-2 over a sequence, `[B,L,dim] -> [B,L,dim]` (arXiv:2405.21060, fig. 6, parallel).

    Args:
        dim: channels.
        heads: heads of `expand * dim / heads` channels; the paper's heads have 64.
        state_size: numbers that each inner channel remembers.
        expand: inner channels per channel.
        conv: width of the causal convolution.
        direction: `forward` or `reverse`.
        suffix: tokens at the end (CLS) that are read last in either direction.
        backend: of `auharness.ops.ssd`; None chooses.

    Raises:
        UsageError: `expand * dim` is not a multiple of `heads`, or `direction` is neither of the two.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 12,
        state_size: int = 128,
        expand: int = 2,
        conv: int = 4,
        direction: OneWay = "forward",
        suffix: int = 0,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        inner = expand * dim
        if heads < 1 or inner % heads:
            raise UsageError(f"mixer: expand * dim is {inner}, expected a multiple of heads = {heads}")
        self.heads, self.state_size = heads, state_size
        self.direction, self.suffix, self.backend = one_way(direction), suffix, backend
        mixed = inner + 2 * state_size
        self.in_proj = nn.Linear(dim, inner + mixed + heads, bias=False)
        self.conv1d = nn.Conv1d(mixed, mixed, conv, groups=mixed)
        self.dt_bias = nn.Parameter(torch.empty(heads))
        self.A_log = nn.Parameter(torch.empty(heads))
        self.D = nn.Parameter(torch.empty(heads))
        self.norm = _GatedNorm(inner)
        self.out_proj = nn.Linear(inner, dim, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters as the authors do."""
        for part in (self.in_proj, self.conv1d, self.out_proj):
            part.reset_parameters()
        start_steps(self.dt_bias)
        with torch.no_grad():
            self.A_log.uniform_(*_RATES).log_()
        for one in (self.D, self.norm.weight):
            nn.init.ones_(one)

    def forward(self, x: Tensor) -> Tensor:
        inner, size = self.out_proj.in_features, self.state_size
        z, mixed, dt = torch.split(self.in_proj(x), [inner, inner + 2 * size, self.heads], -1)
        reverse = self.direction == "reverse"
        mixed = F.silu(causal_conv(mixed, self.conv1d.weight, self.conv1d.bias, reverse=reverse, suffix=self.suffix))
        u, B, C = torch.split(mixed, [inner, size, size], -1)
        u = torch.unflatten(u, -1, (self.heads, -1))
        y = ssd(
            *(u, F.softplus(dt + self.dt_bias), decay_rates(self.A_log), B, C),
            direction=self.direction,
            suffix=self.suffix,
            backend=self.backend,
        )
        return self.out_proj(self.norm((y + self.D[:, None] * u).flatten(-2), z))


class _GatedNorm(nn.Module):
    """`rms_norm(x silu(z)) weight`, at least in float32."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        kind = torch.promote_types(x.dtype, torch.float32)
        gated = x.to(kind) * F.silu(z.to(kind))
        return (F.rms_norm(gated, gated.shape[-1:], eps=EPS) * self.weight).to(x.dtype)
