"""The TTT-Linear layer: projections and an inner learning rate around the operator (arXiv:2407.04620).

Differs from the authors' `TTTLinear` in: no gate and no convolution (both off by default there), any direction of the
scan, tokens that stay last, and rotary positions in scan order with a period of their own.
"""

from typing import Final

import torch
from torch import Tensor, nn

from auharness.nn.mixers.heads import head_width, rotate
from auharness.ops.scan import Direction, scan_positions
from auharness.ops.ttt_linear import ttt_linear

__all__ = ["EPS", "TTTLinear"]

EPS: Final = 1e-6  # both normalisations of the authors' layer
_INIT_STD = 0.02  # projections, learning-rate gate and initial state
_BASE_LR = 1.0  # inner learning rate of TTT-Linear, arXiv:2407.04620, sec. 2.7


class TTTLinear(nn.Module):
    """TTT-Linear over a sequence, `[B,L,dim] -> [B,L,dim]` (arXiv:2407.04620, sec. 2.3 to 2.7).

    Args:
        dim: channels.
        heads: heads of `dim / heads` channels, each with its own inner model.
        mini_batch: tokens per gradient step of the inner model.
        rope: turn queries and keys by their position in the scan.
        rope_period: positions restart after as many tokens; None is `mini_batch`.
        direction: `forward` or `reverse`.
        suffix: tokens at the end (CLS) that are read last in either direction.
        backend: of `auharness.ops.ttt_linear`; None chooses.

    Raises:
        UsageError: `dim` is not a multiple of `heads`, or heads are odd in width with `rope`.
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 6,
        mini_batch: int = 16,
        rope: bool = True,
        rope_period: int | None = None,
        direction: Direction = "forward",
        suffix: int = 0,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        width = head_width(dim, heads, even=rope)
        self.heads, self.mini_batch, self.backend = heads, mini_batch, backend
        self.rope_period = (rope_period or mini_batch) if rope else None
        self.direction, self.suffix = direction, suffix
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(4))
        self.lr_gate = nn.Linear(dim, heads)
        self.scale_offset = nn.Parameter(torch.empty(mini_batch))
        self.w0 = nn.Parameter(torch.empty(heads, width, width))
        self.b0 = nn.Parameter(torch.empty(heads, 1, width))
        self.ln_weight = nn.Parameter(torch.empty(heads, width))
        self.ln_bias = nn.Parameter(torch.empty(heads, width))
        self.post_norm = nn.LayerNorm(dim, eps=EPS)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the matrices from N(0, 0.02); offsets start at 0, normalisation at the identity."""
        for weight in (*(m.weight for m in self.children() if isinstance(m, nn.Linear)), self.w0):
            nn.init.normal_(weight, std=_INIT_STD)
        for zero in (self.lr_gate.bias, self.scale_offset, self.b0, self.ln_bias):
            nn.init.zeros_(zero)
        nn.init.ones_(self.ln_weight)
        self.post_norm.reset_parameters()

    def token_scale(self) -> Tensor:
        """Return the scale of a gradient step as seen by each position of a mini-batch: `max(1/(i+1) + offset, 0)`."""
        rank = torch.arange(1, self.mini_batch + 1, device=self.scale_offset.device)
        return (1 / rank + self.scale_offset).clamp_min(0)

    def inner_model(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return token scale, first state, first bias, weight and bias of the inner normalisation."""
        return self.token_scale(), self.w0, self.b0, self.ln_weight, self.ln_bias

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return q, k, v `[B,heads,L,d]` without positions and the inner learning rates `[B,heads,L]`."""
        q, k, v = (
            torch.unflatten(proj(x), -1, (self.heads, -1)).transpose(1, 2)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        return q, k, v, self.lr_gate(x).sigmoid().transpose(1, 2) * (_BASE_LR / q.shape[-1])

    def place(self, q: Tensor, k: Tensor, *, reverse: bool, suffix: int) -> tuple[Tensor, Tensor]:
        """Return queries and keys turned by their position in the scan, or unchanged without `rope`."""
        if self.rope_period is None:
            return q, k
        positions = scan_positions(q.shape[-2], reverse=reverse, suffix=suffix, device=q.device) % self.rope_period
        return rotate(q, positions), rotate(k, positions)

    def read_out(self, heads: Tensor) -> Tensor:
        """Return the heads `[B,heads,L,d]` joined, normalised and projected `[B,L,dim]`."""
        return self.o_proj(self.post_norm(heads.transpose(1, 2).flatten(2)))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v, lr = self.project(x)
        q, k = self.place(q, k, reverse=self.direction == "reverse", suffix=self.suffix)
        out = ttt_linear(
            *(q, k, v, lr, *self.inner_model()),
            mini_batch=self.mini_batch,
            eps=EPS,
            direction=self.direction,
            suffix=self.suffix,
            backend=self.backend,
        )
        return self.read_out(out)
