"""Bidirectional TTT-Linear (AU-TTT, section II-B, eq. 6)."""

import torch
from torch import Tensor, nn

from auharness.nn.mixers.ttt import TTTLinear
from auharness.nn.mixers.ttt_layer import EPS
from auharness.ops.ttt_linear import ttt_linear

__all__ = ["BiTTT"]


class BiTTT(nn.Module):
    """`Linear(Cat[TTT(z), Reverse(TTT(Reverse(z)))])`, `[B,L,dim] -> [B,L,dim]` (AU-TTT, eq. 6).

    Both directions run as one call of the operator. The equation reads as one TTT for both; Table III counts two
    parts, hence two by default.

    Args:
        dim: channels.
        heads: heads of `dim / heads` channels.
        mini_batch: tokens per gradient step of the inner model.
        rope: turn queries and keys by their position in the scan of each direction.
        rope_period: positions restart after as many tokens; None is `mini_batch`.
        suffix: tokens at the end (CLS) that are read last in both directions.
        tied: one TTT layer serves both directions.
        backend: of `auharness.ops.ttt_linear`; None chooses.

    Raises:
        UsageError: `dim` is not a multiple of `heads`, or heads are odd in width with `rope`; `mini_batch` is
            below 1.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 6,
        mini_batch: int = 16,
        rope: bool = True,
        rope_period: int | None = None,
        suffix: int = 1,
        tied: bool = False,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        self.suffix = suffix
        self.scans = nn.ModuleList(
            TTTLinear(dim, heads=heads, mini_batch=mini_batch, rope=rope, rope_period=rope_period, backend=backend)
            for _ in range(1 if tied else 2)
        )
        self.proj = nn.Linear(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        scans = [scan for scan in self.scans if isinstance(scan, TTTLinear)]
        first, last = scans[0], scans[-1]
        # one entry when tied: the operator shares it between the directions
        projected = [scan.project(x) for scan in scans]
        v, lr = torch.stack([v for _, _, v, _ in projected]), torch.stack([lr for *_, lr in projected])
        there = first.place(*projected[0][:2], reverse=False, suffix=self.suffix)
        back = last.place(*projected[-1][:2], reverse=True, suffix=self.suffix)
        q, k = (torch.stack(pair) for pair in zip(there, back, strict=True))
        out = ttt_linear(
            *(q, k, v, lr, *map(torch.stack, zip(*(scan.inner_model() for scan in scans), strict=True))),
            mini_batch=first.mini_batch,
            eps=EPS,
            direction="both",
            suffix=self.suffix,
            backend=first.backend,
        )
        return self.proj(torch.cat((first.read_out(out[0]), last.read_out(out[1])), -1))
