"""Image patches as tokens."""

from torch import Tensor, nn

__all__ = ["PatchEmbed"]


class PatchEmbed(nn.Module):
    """Linear projection of square patches, `[B,C,H,W] -> [B,J,dim]`, row by row (ViT; arXiv:2503.23450, eq. 5).

    Args:
        patch: side of a patch in pixels; H and W are multiples of it.
        dim: width of a token.
        channels: C.
    """

    def __init__(self, patch: int, dim: int, *, channels: int = 3) -> None:
        super().__init__()
        self.projection = nn.Conv2d(channels, dim, kernel_size=patch, stride=patch)

    def forward(self, image: Tensor) -> Tensor:
        return self.projection(image).flatten(2).transpose(1, 2)
