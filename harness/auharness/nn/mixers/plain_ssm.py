"""A selective scan over the channels as they are: the state-space block of Mamba-style DFER to the letter.

Pratama et al., Dynamic Facial Expression Recognition in the Wild Using Mamba-Style Selective SSM, section 3: a
depthwise convolution, then h_t = exp(Delta_t A) h_{t-1} + B_t x_t and y_t = C_t h_t + D x_t, where B_t and C_t are
linear projections. No expansion, no gate, no activation and no output projection, unlike Mamba.

Where the text is silent: the convolution is causal and 4 wide, Delta has Mamba's low rank, A starts at -1 to -N in each
channel, and B_t is Delta_t times its projection, all as in Mamba.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auharness.nn.mixers.causal_conv import causal_conv
from auharness.nn.mixers.state_space import decay_rates, start_rates, start_steps
from auharness.ops.selective_scan import Discretization, selective_scan

__all__ = ["PlainSSM"]


class PlainSSM(nn.Module):
    """Convolution and selective scan, `[B,L,dim] -> [B,L,dim]`.

    Args:
        dim: channels.
        state_size: numbers that each of them remembers.
        conv: width of the causal convolution.
        dt_rank: rank of the projection to step sizes; None is dim / 16, rounded up.
        discretization: `euler`, or `zoh` for exact zero-order hold.
        backend: of `auharness.ops.selective_scan`; None chooses.
    """

    def __init__(
        self,
        dim: int,
        *,
        state_size: int = 16,
        conv: int = 4,
        dt_rank: int | None = None,
        discretization: Discretization = "euler",
        backend: str | None = None,
    ) -> None:
        super().__init__()
        self.discretization, self.backend = discretization, backend
        self.rank = dt_rank or math.ceil(dim / 16)
        self.conv1d = nn.Conv1d(dim, dim, conv, groups=dim)
        self.x_proj = nn.Linear(dim, self.rank + 2 * state_size, bias=False)
        self.dt_proj = nn.Linear(self.rank, dim)
        self.A_log = nn.Parameter(torch.empty(dim, state_size))
        self.D = nn.Parameter(torch.ones(dim))
        start_steps(self.dt_proj.bias)
        start_rates(self.A_log)

    def forward(self, x: Tensor) -> Tensor:
        u = causal_conv(x, self.conv1d.weight, self.conv1d.bias, reverse=False, suffix=0)
        size = self.A_log.shape[1]
        dt, B, C = torch.split(self.x_proj(u), [self.rank, size, size], -1)
        return selective_scan(
            u,
            F.linear(dt, self.dt_proj.weight),
            decay_rates(self.A_log),
            B,
            C,
            self.D,
            delta_bias=self.dt_proj.bias,
            delta_softplus=True,
            discretization=self.discretization,
            backend=self.backend,
        )
