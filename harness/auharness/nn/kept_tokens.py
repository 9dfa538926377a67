"""What a frozen vision transformer makes of frames, so that it need be made only once.

A frame is its class token and a square of patch tokens, each the mean of neighbouring ones; their mean is that of all
patches.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auharness.errors import UsageError
from auharness.nn.foundation import load_foundation
from auharness.nn.frame_encoder import KINDS, FrameTokens, ViTFrames
from auharness.nn.frozen import bind_to_base

__all__ = ["FrameKeeper", "KeptTokens"]


class FrameKeeper:
    """Makes what is kept of frames, `[N,3,S,S]` to `[N,1 + grid^2,D]` float16, by a transformer without adapters.

    Implements `auharness.api.KeptFrames`.

    Args:
        name: as for `frame_encoder`.
        image_size: S in pixels.
        grid: patches per side that are kept, a divisor of the transformer's.
        pretrained: load its weights.

    Raises:
        DataError: if the weights are missing.
        UsageError: if the weights are no vision transformer, or a side does not fit.
    """

    def __init__(self, name: str, *, image_size: int, grid: int, pretrained: bool) -> None:
        base = load_foundation(name, pretrained=pretrained, kinds=KINDS)
        self.encoder = ViTFrames(base, image_size=image_size, lora=None).eval()
        if self.encoder.grid % grid:
            raise UsageError(f"kept_grid is {grid}, expected a divisor of the {self.encoder.grid} patches per side")
        self.grid = grid
        self.checksum = base.checksum

    @property
    def key(self) -> str:
        """The transformer's weights, and the grid."""
        return f"{self.checksum:x} {self.grid}"

    @property
    def shape(self) -> tuple[int, int]:
        """Tokens and channels of a frame."""
        return 1 + self.grid**2, self.encoder.width

    def __call__(self, frames: Tensor) -> Tensor:
        """Encode frames on their device, without gradients and in float32."""
        encoder = self.encoder.to(frames.device)
        with torch.inference_mode(), torch.autocast(frames.device.type, enabled=False):
            tokens = encoder(frames.float())
            square = tokens.patches.transpose(1, 2).unflatten(2, (encoder.grid, encoder.grid))
            pooled = F.avg_pool2d(square, encoder.grid // self.grid).flatten(2).transpose(1, 2)
            return torch.cat((tokens.cls[:, None], pooled), 1).half()

    def reader(self) -> "KeptTokens":
        """Return the layer that stands in the place of the transformer."""
        return KeptTokens(self.encoder.width, grid=self.grid, checksum=self.checksum)


class KeptTokens(nn.Module):
    """What was kept of frames, `[N,1 + grid^2,D]` of any float type, to `FrameTokens` in float32.

    It refuses weights that were learned on the tokens of another transformer.

    Args:
        width: D.
        grid: patches per side.
        checksum: of the transformer.
    """

    def __init__(self, width: int, *, grid: int, checksum: int) -> None:
        super().__init__()
        self.width, self.grid = width, grid
        bind_to_base(self, checksum)

    def forward(self, kept: Tensor) -> FrameTokens:
        tokens = kept.float()
        return FrameTokens(tokens[:, 0], tokens[:, 1:])
