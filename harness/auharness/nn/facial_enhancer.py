"""The facial enhancement layer of Mamba-style DFER (Pratama et al., table 1, row 3), which the paper only names."""

import torch
from torch import Tensor, nn

__all__ = ["FacialEnhancer"]


class FacialEnhancer(nn.Module):
    """Add a local contrast, `[N,C,h,w] -> [N,C,h,w]`: x + s P(GELU(D(x))).

    D is a depthwise 3x3 and P a pointwise 1x1 convolution. The scale s, one number per channel, starts at 0, so a
    fresh layer changes nothing.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)
        self.scale = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale[:, None, None] * self.pointwise(nn.functional.gelu(self.depthwise(x)))
