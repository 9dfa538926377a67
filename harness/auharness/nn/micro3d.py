"""The 3D-CNN of AU-LLM: a few filtered frames of a grey clip to mid-level and high-level features."""

from typing import NamedTuple

from torch import Tensor, nn

from auharness.errors import UsageError
from auharness.nn.led import LED
from auharness.nn.squeeze_excitation import FrameSqueezeExcitation

__all__ = ["Micro3DCNN", "MicroFeatures", "micro3d_size"]


class MicroFeatures(NamedTuple):
    """What the network sees in a clip."""

    mid: Tensor
    """F_mid `[B,M]`: the map behind the second block, flattened."""
    high: Tensor
    """F_high `[B,D]`."""
    channel_weights: Tensor | None
    """`[B,C,T']` in (0, 1), per frame of the second block; None without squeeze-and-excitation."""


class Micro3DCNN(nn.Module):
    """Clip `[B,T,C,H,W]`, T as built, to `MicroFeatures` (arXiv:2507.21778, sec. 3.1; sizes as in the released code).

    [LED, without frame 0] -> conv 1x5x5, ReLU, pool 1x3x3, BN, dropout -> conv 2x3x3, ReLU, BN, [SE per frame],
    pool 2x2x2, dropout = F_mid -> linear, ReLU, dropout = F_high. Convolutions do not pad. Six frames of 64 px give
    F_mid 64 x 2 x 9 x 9 = 10,368, with LED (five frames) and without it.

    Args:
        frames: T.
        size: H and W in pixels.
        channels: C.
        widths: channels of the two convolutions.
        high: D.
        dropout: probability, of whole channels behind the convolutions.
        led: filter the clip first; without it all raw frames are seen.
        se: weight the channels of the second block.

    Raises:
        UsageError: if the clip is too short or too small.
    """

    def __init__(
        self,
        frames: int,
        size: int,
        *,
        channels: int = 1,
        widths: tuple[int, int] = (32, 64),
        high: int = 256,
        dropout: float = 0.3,
        led: bool = True,
        se: bool = True,
    ) -> None:
        super().__init__()
        first, second = widths
        self.mid_size = second * micro3d_size(frames - led, size)
        self.high_size = high
        self.led = LED() if led else None
        self.block1 = nn.Sequential(
            nn.Conv3d(channels, first, (1, 5, 5)),
            nn.ReLU(),
            nn.MaxPool3d((1, 3, 3)),
            nn.BatchNorm3d(first),
            nn.Dropout3d(dropout),
        )
        self.block2 = nn.Sequential(nn.Conv3d(first, second, (2, 3, 3)), nn.ReLU(), nn.BatchNorm3d(second))
        self.se = FrameSqueezeExcitation(second) if se else None
        self.pool = nn.Sequential(nn.MaxPool3d(2), nn.Dropout3d(dropout), nn.Flatten())
        self.high = nn.Sequential(nn.Linear(self.mid_size, high), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, clip: Tensor) -> MicroFeatures:
        frames = clip if self.led is None else self.led(clip)[:, 1:]
        features = self.block2(self.block1(frames.transpose(1, 2)))
        weights = None
        if self.se is not None:
            features, weights = self.se(features)
        mid = self.pool(features)
        return MicroFeatures(mid, self.high(mid), weights)

    @property
    def fused_size(self) -> int:
        """Length of F_mid and F_high together."""
        return self.mid_size + self.high_size


def micro3d_size(frames: int, size: int) -> int:
    """Return the number of places behind the second block, over time and image.

    Args:
        frames: that reach the first convolution.
        size: side of the image in pixels.

    Raises:
        UsageError: if nothing is left.

    >>> micro3d_size(5, 64), micro3d_size(6, 64), micro3d_size(5, 48)
    (162, 162, 72)
    """
    time, side = (frames - 1) // 2, ((size - 4) // 3 - 2) // 2
    if time < 1 or side < 1:
        raise UsageError(
            f"the 3D-CNN needs 3 frames behind the filter and crops of 16 px, got {frames} frames of {size} px; set "
            "preprocess.frames and preprocess.crop"
        )
    return time * side**2
