"""Multi-scale perception: dilated convolutions over the grid of patch tokens."""

from collections.abc import Sequence
from math import isqrt

from torch import Tensor, nn

__all__ = ["MSP"]


class MSP(nn.Module):
    """Sum of dilated 3x3 depthwise convolutions, then a pointwise one, `[B,J,dim] -> [B,J,dim]` (AU-TTT, sec. II-B).

    Works on patch tokens only; a class token stays outside. The tokens lie row by row on a square grid.

    Args:
        dim: width of a token.
        dilations: one convolution for each.
    """

    def __init__(self, dim: int, *, dilations: Sequence[int] = (1, 3, 5)) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            nn.Conv2d(dim, dim, kernel_size=3, padding=dilation, dilation=dilation, groups=dim)
            for dilation in dilations
        )
        self.out = nn.Linear(dim, dim)

    def forward(self, patches: Tensor) -> Tensor:
        side = isqrt(patches.shape[1])
        image = patches.transpose(1, 2).reshape(len(patches), -1, side, side)
        scales = sum((conv(image) for conv in self.scales), start=image.new_zeros(()))
        return self.out(scales.flatten(2).transpose(1, 2))
