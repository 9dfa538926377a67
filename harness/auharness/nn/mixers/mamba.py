"""Mamba and its bidirectional form: projections, a short convolution and a gate around the selective scan.

Mamba: Gu and Dao, arXiv:2312.00752, section 3.4, with the parameter names of the authors' `mamba_ssm`, so that weights
load. Vision Mamba: Zhu et al., arXiv:2401.09417, algorithm 1, with the names of the authors' `bimamba_type="v2"`.

Both differ from those in: any direction of the scan, and tokens that are read last in either direction. `BiMamba`
further differs in: the two directions are summed, as the algorithm says (the released models halve the sum), CLS is
the last token instead of the middle one, and residual and norm belong to the model around it.
"""

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auharness.nn.mixers.causal_conv import causal_conv
from auharness.nn.mixers.direction import one_way
from auharness.nn.mixers.state_space import decay_rates, start_rates, start_steps
from auharness.ops.scan import OneWay
from auharness.ops.selective_scan import Discretization, selective_scan

__all__ = ["BiMamba", "Mamba"]

_CHANNELS_PER_RANK: Final = 16  # of the projection to step sizes, in the authors' code


class _Scan(NamedTuple):
    """The parameters of one direction."""

    conv: nn.Conv1d
    x_proj: nn.Linear
    dt_proj: nn.Linear
    A_log: nn.Parameter
    D: nn.Parameter

    @classmethod
    def new(cls, inner: int, *, state_size: int, conv: int, rank: int) -> "_Scan":
        return cls(
            nn.Conv1d(inner, inner, conv, groups=inner),
            nn.Linear(inner, rank + 2 * state_size, bias=False),
            nn.Linear(rank, inner),
            nn.Parameter(torch.empty(inner, state_size)),
            nn.Parameter(torch.empty(inner)),
        )

    def reset(self) -> None:
        # the authors draw the weight of dt_proj within rank^-0.5, which is what torch does
        for part in (self.conv, self.x_proj, self.dt_proj):
            part.reset_parameters()
        start_steps(self.dt_proj.bias)
        start_rates(self.A_log)
        nn.init.ones_(self.D)

    def select(self, x: Tensor, *, reverse: bool, suffix: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the input of the scan `[B,L,inner]`, its step sizes, and its weights in and out `[B,L,state_size]`."""
        u = F.silu(causal_conv(x, self.conv.weight, self.conv.bias, reverse=reverse, suffix=suffix))
        size = self.A_log.shape[1]
        dt, B, C = torch.split(self.x_proj(u), [self.dt_proj.in_features, size, size], -1)
        # the operator adds the bias
        return u, F.linear(dt, self.dt_proj.weight), B, C


class Mamba(nn.Module):
    """Mamba over a sequence, `[B,L,dim] -> [B,L,dim]` (arXiv:2312.00752, fig. 3).

    Args:
        dim: channels.
        heads: taken so that mixers swap by name; every channel scans by itself.
        state_size: numbers that each inner channel remembers.
        expand: inner channels per channel.
        conv: width of the causal convolution.
        dt_rank: rank of the projection to step sizes; None is dim / 16, rounded up.
        direction: `forward` or `reverse`.
        suffix: tokens at the end (CLS) that are read last in either direction.
        discretization: `euler`, or `zoh` for exact zero-order hold.
        backend: of `auharness.ops.selective_scan`; None chooses.

    Raises:
        UsageError: `direction` is neither of the two.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 1,
        state_size: int = 16,
        expand: int = 2,
        conv: int = 4,
        dt_rank: int | None = None,
        direction: OneWay = "forward",
        suffix: int = 0,
        discretization: Discretization = "euler",
        backend: str | None = None,
    ) -> None:
        super().__init__()
        self.direction, self.suffix = one_way(direction), suffix
        self.discretization, self.backend = discretization, backend
        inner, rank = expand * dim, dt_rank or math.ceil(dim / _CHANNELS_PER_RANK)
        scan = _Scan.new(inner, state_size=state_size, conv=conv, rank=rank)
        self.in_proj = nn.Linear(dim, 2 * inner, bias=False)
        self.conv1d, self.x_proj, self.dt_proj, self.A_log, self.D = scan
        self.out_proj = nn.Linear(inner, dim, bias=False)
        self.reset_parameters()

    @property
    def _scan(self) -> _Scan:
        return _Scan(self.conv1d, self.x_proj, self.dt_proj, self.A_log, self.D)

    def reset_parameters(self) -> None:
        """Draw all parameters as the authors do."""
        self.in_proj.reset_parameters()
        self.out_proj.reset_parameters()
        self._scan.reset()

    def forward(self, x: Tensor) -> Tensor:
        x, z = self.in_proj(x).chunk(2, -1)
        u, delta, B, C = self._scan.select(x, reverse=self.direction == "reverse", suffix=self.suffix)
        y = selective_scan(
            *(u, delta, decay_rates(self.A_log), B, C, self.D, z, self.dt_proj.bias),
            delta_softplus=True,
            discretization=self.discretization,
            direction=self.direction,
            suffix=self.suffix,
            backend=self.backend,
        )
        return self.out_proj(y)


class BiMamba(nn.Module):
    """Vision Mamba's mixer, one scan each way, `[B,L,dim] -> [B,L,dim]` (arXiv:2401.09417, alg. 1).

    Input projection, gate and output projection are shared; each direction has its own convolution, selection, decay
    and skip. Both run as one call of the operator.

    Args:
        dim: channels.
        heads: taken so that mixers swap by name; every channel scans by itself.
        state_size: numbers that each inner channel remembers.
        expand: inner channels per channel.
        conv: width of the causal convolution.
        dt_rank: rank of the projection to step sizes; None is dim / 16, rounded up.
        suffix: tokens at the end (CLS) that are read last in both directions.
        discretization: `euler`, or `zoh` for exact zero-order hold.
        backend: of `auharness.ops.selective_scan`; None chooses.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 1,
        state_size: int = 16,
        expand: int = 2,
        conv: int = 4,
        dt_rank: int | None = None,
        suffix: int = 1,
        discretization: Discretization = "euler",
        backend: str | None = None,
    ) -> None:
        super().__init__()
        self.suffix, self.discretization, self.backend = suffix, discretization, backend
        inner, rank = expand * dim, dt_rank or math.ceil(dim / _CHANNELS_PER_RANK)
        there, back = (_Scan.new(inner, state_size=state_size, conv=conv, rank=rank) for _ in range(2))
        self.in_proj = nn.Linear(dim, 2 * inner, bias=False)
        self.conv1d, self.x_proj, self.dt_proj, self.A_log, self.D = there
        self.conv1d_b, self.x_proj_b, self.dt_proj_b, self.A_b_log, self.D_b = back
        self.out_proj = nn.Linear(inner, dim, bias=False)
        self.reset_parameters()

    @property
    def _scans(self) -> tuple[_Scan, _Scan]:
        return (
            _Scan(self.conv1d, self.x_proj, self.dt_proj, self.A_log, self.D),
            _Scan(self.conv1d_b, self.x_proj_b, self.dt_proj_b, self.A_b_log, self.D_b),
        )

    def reset_parameters(self) -> None:
        """Draw all parameters as Mamba's authors do."""
        self.in_proj.reset_parameters()
        self.out_proj.reset_parameters()
        for scan in self._scans:
            scan.reset()

    def forward(self, x: Tensor) -> Tensor:
        x, z = self.in_proj(x).chunk(2, -1)
        scans = self._scans
        selected = (scan.select(x, reverse=i == 1, suffix=self.suffix) for i, scan in enumerate(scans))
        u, delta, B, C = map(torch.stack, zip(*selected, strict=True))
        A, D, bias = (
            torch.stack(pair)
            for pair in zip(*((decay_rates(scan.A_log), scan.D, scan.dt_proj.bias) for scan in scans), strict=True)
        )
        y = selective_scan(
            *(u, delta, A, B, C, D, z[None], bias),
            delta_softplus=True,
            discretization=self.discretization,
            direction="both",
            suffix=self.suffix,
            backend=self.backend,
        )
        return self.out_proj(y[0] + y[1])
