"""The frame that patch-token models share: embed, blocks, final norm; only the blocks differ."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from auharness.errors import UsageError
from auharness.nn.patch import PatchEmbed

__all__ = ["Block", "Encoder", "Gelu", "Mlp", "tokens_per_row"]

Gelu = Literal["none", "tanh"]
"""How the GELU is computed, in torch's words."""


class Mlp(nn.Sequential):
    """Two linear layers with a GELU between, `[...,dim] -> [...,dim]` (ViT).

    Args:
        dim: width of a token.
        ratio: hidden width / dim.
        gelu: exact (`none`), or its approximation by `tanh`.
    """

    def __init__(self, dim: int, *, ratio: float = 4.0, gelu: Gelu = "none") -> None:
        hidden = int(dim * ratio)
        super().__init__(nn.Linear(dim, hidden), nn.GELU(approximate=gelu), nn.Linear(hidden, dim))


class Block(nn.Module):
    """Pre-norm block of one token mixer and one MLP, `[B,L,dim] -> [B,L,dim]` (ViT).

    Args:
        dim: width of a token.
        mixer: `[B,L,dim] -> [B,L,dim]`.
        mlp_ratio: hidden width of the MLP / dim.
        gelu: of the MLP, exact (`none`) or by `tanh`.
        eps: of the norms; ViT's default.
    """

    def __init__(
        self, dim: int, *, mixer: nn.Module, mlp_ratio: float = 4.0, gelu: Gelu = "none", eps: float = 1e-6
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.mixer = mixer
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = Mlp(dim, ratio=mlp_ratio, gelu=gelu)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.mixer(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class Encoder(nn.Module):
    """Image to tokens, `[B,3,S,S] -> [B,J+1,dim]`: J patch tokens row by row, the class token last.

    Z_0 = [X^1 W; ...; X^J W; CLS] + E_pos (arXiv:2503.23450, eq. 5), then the blocks and a LayerNorm.

    Args:
        blocks: each called as `block(tokens, *context)`.
        image_size: S in pixels.
        patch: side of a patch in pixels.
        dim: width of a token.
        stem: `[B,3,S,S] -> [B,J,dim]`; default a linear projection of the patches.
        position_std: deviation of fresh position embeddings; ViT's default. A larger one tells places apart from the
            first step, which short trainings on few images need.

    Raises:
        UsageError: if the patch does not divide the image.
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        *,
        image_size: int,
        patch: int,
        dim: int,
        stem: nn.Module | None = None,
        position_std: float = 0.02,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.grid = tokens_per_row(image_size, patch)
        self.patches = PatchEmbed(patch, dim) if stem is None else stem
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(torch.randn(1, self.grid**2 + 1, dim) * position_std)
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, image: Tensor, *context: Tensor) -> Tensor:
        patches = self.patches(image)
        tokens = torch.cat((patches, self.cls.expand(len(patches), -1, -1)), dim=1) + self.positions
        for block in self.blocks:
            tokens = block(tokens, *context)
        return self.norm(tokens)


def tokens_per_row(image_size: int, patch: int) -> int:
    """Return the number of patch tokens in a row of the image.

    Raises:
        UsageError: if the patch does not divide the image.

    >>> tokens_per_row(224, 16)
    14
    """
    if image_size % patch:
        raise UsageError(
            f"the crop of {image_size} px is no multiple of the patch of {patch} px; set preprocess.crop or patch"
        )
    return image_size // patch
