"""Parts of heads on features: a pre-norm residual branch and a perceptron with norms."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

__all__ = ["Residual", "perceptron"]


class Residual(nn.Module):
    """Pre-norm residual branch, `[B,T,D] -> [B,T,D]`: x + dropout(mixer(norm(x))).

    Args:
        dim: D.
        mixer: `[B,T,D] -> [B,T,D]`.
        dropout: of what is added.
    """

    def __init__(self, dim: int, mixer: nn.Module, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.mixer = mixer
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.dropout(self.mixer(self.norm(tokens)))


def perceptron(sizes: Sequence[int], *, dropout: float) -> nn.Sequential:
    """Return linear layers of these sizes, with norm, GELU and dropout between them and nothing behind the last.

    Args:
        sizes: features in, hidden units, features out.
        dropout: between layers.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        if layers:
            layers += [nn.LayerNorm(before), nn.GELU(), nn.Dropout(dropout)]
        layers.append(nn.Linear(before, after))
    return nn.Sequential(*layers)
