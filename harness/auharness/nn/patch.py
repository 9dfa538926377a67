"""Image patches as tokens."""

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from auharness.errors import UsageError

__all__ = ["ConvStem", "PatchEmbed", "Stem", "make_stem"]

Stem = Literal["linear", "convolution"]


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


class ConvStem(nn.Module):
    """3x3 convolutions of stride 2 down to one cell per patch, `[B,C,H,W] -> [B,J,dim]` (arXiv:2106.14881).

    Learns from few images where a linear projection needs many. Widths are dim/4, dim/2 and then dim; group
    normalisation, so a token never depends on the batch.

    Args:
        patch: side of a patch in pixels, a power of 2.
        dim: width of a token, a multiple of 4.
        channels: C.

    Raises:
        UsageError: if patch or dim do not fit.
    """

    def __init__(self, patch: int, dim: int, *, channels: int = 3) -> None:
        steps = patch.bit_length() - 1
        if patch < 2 or patch != 2**steps or dim % 4:
            raise UsageError(
                f"the convolution stem needs a patch that is a power of 2 and a dim that is a multiple of 4, got patch "
                f"{patch} and dim {dim}; set stem=linear or change them"
            )
        widths = (channels, *(dim // 4, dim // 2, *[dim] * steps)[: steps - 1], dim)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            groups = max(1, after // 8)
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(groups, after), nn.ReLU()]
        super().__init__()
        self.layers = nn.Sequential(*layers, nn.Conv2d(dim, dim, 1), nn.Flatten(2))

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image).transpose(1, 2)


def make_stem(stem: Stem, patch: int, dim: int) -> nn.Module:
    """Return what turns an image into patch tokens.

    Args:
        stem: `linear` (ViT) or `convolution`.
        patch: side of a patch in pixels.
        dim: width of a token.
    """
    return PatchEmbed(patch, dim) if stem == "linear" else ConvStem(patch, dim)
