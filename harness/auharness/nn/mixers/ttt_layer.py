"""What the TTT layers share: projections and an inner learning rate around an inner model (arXiv:2407.04620).

Differs from the authors' layers in: no gate and no convolution (both off by default there), any direction of the scan,
tokens that stay last, and rotary positions in scan order with a period of their own.
"""

from collections.abc import Mapping
from typing import ClassVar, Final

import torch
from torch import Tensor, nn

from auharness.errors import UsageError
from auharness.nn.mixers.direction import one_way
from auharness.nn.mixers.heads import head_width, rotate
from auharness.ops.scan import OneWay, check_suffix, scan_positions

__all__ = ["EPS", "TTTLayer"]

EPS: Final = 1e-6  # both normalisations of the authors' layer
_INIT_STD = 0.02  # projections, learning-rate gate and initial state


class TTTLayer(nn.Module):
    """A TTT layer over a sequence, `[B,L,dim] -> [B,L,dim]`; a subclass names the inner model and its operator.

    Args:
        dim: channels.
        heads: heads of `dim / heads` channels, each with its own inner model.
        mini_batch: tokens per gradient step of the inner model.
        rope: turn queries and keys by their position in the scan.
        rope_period: positions restart after as many tokens; None is `mini_batch`.
        direction: `forward` or `reverse`.
        suffix: tokens at the end (CLS) that are read last in either direction.
        backend: of the operator; None chooses.

    Raises:
        UsageError: `dim` is not a multiple of `heads`, or heads are odd in width with `rope`; `mini_batch` is
            below 1; `direction` is neither of the two.
    """

    base_lr: ClassVar[float]
    """The inner learning rate before its gate, arXiv:2407.04620, sec. 2.7."""

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 6,
        mini_batch: int = 16,
        rope: bool = True,
        rope_period: int | None = None,
        direction: OneWay = "forward",
        suffix: int = 0,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        if mini_batch < 1:
            raise UsageError(f"mixer: mini_batch is {mini_batch}, expected at least 1")
        width = head_width(dim, heads, even=rope)
        self.heads, self.mini_batch, self.backend = heads, mini_batch, backend
        self.rope_period = (rope_period or mini_batch) if rope else None
        self.direction, self.suffix = one_way(direction), suffix
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(4))
        self.lr_gate = nn.Linear(dim, heads)
        self.scale_offset = nn.Parameter(torch.empty(mini_batch))
        for name, shape in self.state_shapes(width).items():
            self.register_parameter(name, nn.Parameter(torch.empty(heads, *shape)))
        self.ln_weight = nn.Parameter(torch.empty(heads, width))
        self.ln_bias = nn.Parameter(torch.empty(heads, width))
        self.post_norm = nn.LayerNorm(dim, eps=EPS)
        self.reset_parameters()

    @staticmethod
    def state_shapes(width: int) -> Mapping[str, tuple[int, int]]:
        """Return the parameters that hold the first state of a head, in the order of the operator's arguments.

        A name that begins with `w` is a matrix, any other a bias.
        """
        raise NotImplementedError

    def scan(self, q: Tensor, k: Tensor, v: Tensor, lr: Tensor) -> Tensor:
        """Return what the operator makes of the heads `[B,heads,L,d]`."""
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Draw the matrices from N(0, 0.02); offsets start at 0, normalisation at the identity."""
        linear = [m for m in self.children() if isinstance(m, nn.Linear)]
        state = {name: self.get_parameter(name) for name in self.state_shapes(self.ln_weight.shape[-1])}
        matrices = [x for name, x in state.items() if name.startswith("w")]
        biases = [x for name, x in state.items() if not name.startswith("w")]
        for weight in (*(m.weight for m in linear), *matrices):
            nn.init.normal_(weight, std=_INIT_STD)
        for zero in (self.lr_gate.bias, self.scale_offset, *biases, self.ln_bias):
            nn.init.zeros_(zero)
        nn.init.ones_(self.ln_weight)
        self.post_norm.reset_parameters()

    def token_scale(self) -> Tensor:
        """Return the scale of a gradient step as seen by each position of a mini-batch: `max(1/(i+1) + offset, 0)`."""
        kind = torch.promote_types(self.scale_offset.dtype, torch.float32)
        rank = torch.arange(1, self.mini_batch + 1, device=self.scale_offset.device, dtype=kind)
        return (1 / rank + self.scale_offset).clamp_min(0)

    def inner_model(self) -> tuple[Tensor, ...]:
        """Return token scale, the first state, weight and bias of the inner normalisation."""
        state = (self.get_parameter(name) for name in self.state_shapes(self.ln_weight.shape[-1]))
        return self.token_scale(), *state, self.ln_weight, self.ln_bias

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return q, k, v `[B,heads,L,d]` without positions and the inner learning rates `[B,heads,L]`."""
        q, k, v = (
            torch.unflatten(proj(x), -1, (self.heads, -1)).transpose(1, 2)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        return q, k, v, self.lr_gate(x).sigmoid().transpose(1, 2) * (self.base_lr / q.shape[-1])

    def place(self, q: Tensor, k: Tensor, *, reverse: bool, suffix: int) -> tuple[Tensor, Tensor]:
        """Return queries and keys turned by their position in the scan, or unchanged without `rope`."""
        check_suffix("mixer", suffix, q.shape[-2])
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
        return self.read_out(self.scan(q, k, v, lr))
