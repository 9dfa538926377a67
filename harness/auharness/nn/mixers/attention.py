"""Multi-head self-attention as in ViT."""

from torch import Tensor, nn

from auharness.nn.mixers.heads import head_width
from auharness.ops.attention import attention

__all__ = ["Attention"]


class Attention(nn.Module):
    """Self-attention over all tokens, `[B,L,dim] -> [B,L,dim]` (ViT, arXiv:2010.11929, appendix A).

    Args:
        dim: channels.
        heads: heads of `dim / heads` channels.
        qkv_bias: queries, keys and values have a bias.
        backend: of `auharness.ops.attention`; None chooses.

    Raises:
        UsageError: `dim` is not a multiple of `heads`.
    """

    def __init__(self, dim: int, *, heads: int = 6, qkv_bias: bool = True, backend: str | None = None) -> None:
        super().__init__()
        head_width(dim, heads)
        self.heads, self.backend = heads, backend
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(attention(q, k, v, backend=self.backend).transpose(1, 2).flatten(2))
