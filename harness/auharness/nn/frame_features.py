"""From frames to one feature each: an encoder, a projection, and the alignment of facial regions if it is wanted."""

from typing import Literal

import torch
from torch import Tensor, nn

from auharness.nn.frame_encoder import ConvFrames, ViTFrames
from auharness.nn.hga import HGA
from auharness.nn.kept_tokens import KeptTokens

__all__ = ["FrameFeatures", "projection"]


def projection(before: int, after: int) -> nn.Module:
    """Return what leads from an encoder's channels to a model's: nothing, or a linear layer and a norm."""
    return nn.Identity() if before == after else nn.Sequential(nn.Linear(before, after), nn.LayerNorm(after))


class FrameFeatures(nn.Module):
    """Frames `[N,3,S,S]` and their landmarks to features `[N,D]`, and the regions' attention, `[N,M]` or `[N,0]`.

    Args:
        encoder: of frames, or of what was kept of them.
        dim: D.
        hga: aligns regions.
        whole: without it, a frame is its class token (`cls`) or the `mean` of its patches.
    """

    def __init__(
        self, encoder: ViTFrames | ConvFrames | KeptTokens, dim: int, *, hga: HGA | None, whole: Literal["cls", "mean"]
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.project = projection(encoder.width, dim)
        self.hga = hga
        self.whole = whole
        self.learns = any(value.requires_grad for value in encoder.parameters())

    def forward(self, frames: Tensor, landmarks: Tensor, landmarks_valid: Tensor) -> tuple[Tensor, Tensor]:
        with torch.set_grad_enabled(self.learns and torch.is_grad_enabled()):
            tokens = self.encoder(frames)
        if self.hga is not None:
            return self.hga(self.project(tokens.patches), landmarks, landmarks_valid)
        feature = self.project(tokens.cls if self.whole == "cls" else tokens.patches.mean(1))
        return feature, feature.new_zeros(len(feature), 0)
