"""CBAM for faces: channels, then eight regions, then places.

CBAM: Woo et al., ECCV 2018; https://arxiv.org/abs/1807.06521. The form for faces: Pratama et al., Dynamic Facial
Expression Recognition in the Wild Using Mamba-Style Selective SSM, section 3, which gives neither equations nor sizes.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from auharness.nn.face_regions import REGIONS

__all__ = ["ChannelAttention", "FacialAttention", "FacialCBAM", "Gate", "RegionAttention", "SpatialAttention"]

Gate = Literal["sigmoid", "softmax"]
"""A weight in (0, 1) per place, or weights that compete over the places of a map and have mean 1."""


class ChannelAttention(nn.Module):
    """Weigh channels by what they hold on average and at most, `[N,C,h,w] -> [N,C,h,w]` (CBAM, eq. 2).

    Args:
        channels: C.
        ratio: reduction of the perceptron that mean and maximum share; it keeps at least one unit.
    """

    def __init__(self, channels: int, *, ratio: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // ratio)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.sigmoid(self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3))))
        return x * weights[..., None, None]


class RegionAttention(nn.Module):
    """Raise the places of learned maps, `[N,C,h,w] -> [N,C,h,w]` and the maps `[N,K,h,w]`: x (1 + mean_k m_k a_k).

    a_k is a gated 1x1 convolution of x, m_k the mask of region k, which holds the map to its region.

    Args:
        channels: C.
        regions: K.
        gate: of the maps.
    """

    def __init__(self, channels: int, *, regions: int = len(REGIONS), gate: Gate = "sigmoid") -> None:
        super().__init__()
        self.gate = gate
        self.maps = nn.Conv2d(channels, regions, 1)

    def forward(self, x: Tensor, masks: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Weigh `x`.

        Args:
            x: features.
            masks: `[N,K,h,w]` in [0, 1]; without, 1.
        """
        logits = self.maps(x)
        if self.gate == "sigmoid":
            weights = torch.sigmoid(logits)
        else:
            places = logits.shape[2] * logits.shape[3]
            weights = torch.softmax(logits.flatten(2), dim=2).view_as(logits) * places
        if masks is not None:
            weights = weights * masks
        return x * (1 + weights.mean(1, keepdim=True)), weights


class SpatialAttention(nn.Module):
    """Weigh places, `[N,C,h,w] -> [N,C,h,w]` and the weights `[N,1,h,w]` (CBAM, eq. 3, at several scales).

    Mean and maximum over channels pass one convolution per kernel; the sigmoid is of the mean of their results.

    Args:
        kernels: odd sides.
    """

    def __init__(self, *, kernels: Sequence[int] = (3, 5, 7)) -> None:
        super().__init__()
        self.scales = nn.ModuleList(nn.Conv2d(2, 1, side, padding=side // 2) for side in kernels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        seen = torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), dim=1)
        weights = torch.sigmoid(torch.stack([scale(seen) for scale in self.scales]).mean(0))
        return x * weights, weights


class FacialAttention(NamedTuple):
    """What the three stages give."""

    features: Tensor
    """`[N,C,h,w]`."""
    regions: Tensor
    """Masked region maps, `[N,8,h,w]`, in the order of `REGIONS`."""
    places: Tensor
    """Spatial weights, `[N,1,h,w]` in (0, 1)."""


class FacialCBAM(nn.Module):
    """The three stages one after the other, `[N,C,h,w] -> FacialAttention`; `out` passes the features on, for hooks.

    Args:
        channels: C.
        ratio: reduction of the channel stage.
        gate: of the region maps.
        kernels: of the spatial stage.
    """

    def __init__(
        self, channels: int, *, ratio: int = 16, gate: Gate = "sigmoid", kernels: Sequence[int] = (3, 5, 7)
    ) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels, ratio=ratio)
        self.region = RegionAttention(channels, gate=gate)
        self.spatial = SpatialAttention(kernels=kernels)
        self.out = nn.Identity()

    def forward(self, x: Tensor, masks: Tensor | None = None) -> FacialAttention:
        x, regions = self.region(self.channel(x), masks)
        x, places = self.spatial(x)
        return FacialAttention(self.out(x), regions, places)
