"""Attention that may only act around landmarks (Pratama et al., Mamba-style DFER, section 3)."""

import torch
from torch import Tensor, nn

__all__ = ["LandmarkAttention"]


class LandmarkAttention(nn.Module):
    """Raise places around landmarks, `[N,C,h,w] -> [N,C,h,w]` and the map `[N,1,h,w]`: x (1 + m a).

    a is the sigmoid of a 1x1 convolution of x, m one mask of all landmarks: away from them nothing changes. The paper
    names a "landmark-constrained attention block" behind the CBAM and gives no equation; one map for the whole face is
    what the CBAM, with a map per region, does not have.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.map = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Weigh `x`.

        Args:
            x: features.
            mask: `[N,1,h,w]` in [0, 1]; without, 1.
        """
        weights = torch.sigmoid(self.map(x))
        if mask is not None:
            weights = weights * mask
        return x * (1 + weights), weights
