"""A projection of each token by itself: what remains of a mixer without mixing."""

from torch import Tensor, nn

__all__ = ["Linear"]


class Linear(nn.Module):
    """Linear projection per token, `[B,L,dim] -> [B,L,dim]`: the baseline of AU-TTT, Table III.

    Args:
        dim: channels.
        heads: taken so that mixers swap by name; a plain projection has no heads.
    """

    def __init__(self, dim: int, *, heads: int = 1) -> None:
        super().__init__()
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)
