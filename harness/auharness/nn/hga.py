"""Hierarchical granularity alignment: tokens of facial regions that look at the whole face (arXiv:2603.11306, 3.2)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auharness.nn.au_heatmap import au_centres
from auharness.nn.cross_attention import CrossAttention
from auharness.nn.roi import roi_pool
from auharness.records import au_name

__all__ = ["AU12", "FACE7", "HGA", "Regions", "region_names", "region_patches", "region_points"]

Regions = Literal["face7", "au12"]

FACE7: Final[Mapping[str, range]] = MappingProxyType(
    {
        "right brow": range(17, 22),
        "left brow": range(22, 27),
        "nose": range(27, 36),
        "right eye": range(36, 42),
        "left eye": range(42, 48),
        "mouth": range(48, 68),
        "jaw": range(17),
    }
)
"""Region -> landmarks (dlib's order, 0-based). Right is the person's, the image's left."""
AU12: Final = (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)
"""AUs of Aff-Wild2; a region of each is around its two centres of JAA-Net."""


def region_names(regions: Regions) -> tuple[str, ...]:
    """Return the names of the M regions, in their order."""
    return tuple(FACE7) if regions == "face7" else tuple(map(au_name, AU12))


def region_points(landmarks: Tensor, regions: Regions) -> list[Tensor]:
    """Return the points of each region, M times `[N,p,2]`, in the unit of the landmarks `[N,68,2]`."""
    if regions == "face7":
        return [landmarks[:, which.start : which.stop] for which in FACE7.values()]
    return list(au_centres(landmarks, AU12, table="jaa").unbind(1))


def region_patches(
    landmarks: Tensor, *, grid: int, image_size: int, regions: Regions = "face7", dilate: int = 0
) -> Tensor:
    """Return the distinct patches that the points of each region lie in, `[N,M,grid,grid]` bool: P_m.

    A point outside of the image counts for the nearest patch.

    Args:
        landmarks: `[N,68,2]` in pixels of the square image; the first pixel's centre is 0.
        grid: patches per side.
        image_size: side of the image in pixels.
        regions: `face7`, or `au12` around the centres of AUs.
        dilate: patches by which the set grows in all eight directions.
    """
    masks = []
    for points in region_points(landmarks, regions):
        cell = ((points + 0.5) * (grid / image_size)).floor().clamp(0, grid - 1).long()
        flat = cell[..., 1] * grid + cell[..., 0]
        mask = torch.zeros(len(flat), grid * grid, device=flat.device).scatter_(1, flat, 1.0)
        masks.append(mask.unflatten(1, (grid, grid)))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    stacked = torch.stack(masks, 1)
    if dilate:
        stacked = F.max_pool2d(stacked, 2 * dilate + 1, stride=1, padding=dilate)
    return stacked > 0


class HGA(nn.Module):
    """Patch tokens and landmarks of frames to one feature per frame, `[N,P,dim]` to `[N,dim]`, and `[N,M]`.

    A region's token is the mean of its patches; it queries all patches, and a perceptron joins answer, token and the
    mean of all patches. The regions' tokens are then fused. The second result is the share of a region's attention
    that its own patches get, in [0, 1].

    Args:
        dim: D_v, channels.
        grid: patches per side, P = grid^2.
        image_size: side of the frames in pixels.
        fallback: `[68,2]`, landmarks in pixels for frames without.
        regions: which M regions.
        dilate: see `region_patches`.
        heads: of the attention.
        fuse: `concat` and a linear layer keeps which region is which, or `mean`.
    """

    fallback: Tensor

    def __init__(
        self,
        dim: int,
        *,
        grid: int,
        image_size: int,
        fallback: Tensor,
        regions: Regions = "face7",
        dilate: int = 0,
        heads: int = 8,  # sec. 4.1
        fuse: Literal["concat", "mean"] = "concat",
    ) -> None:
        super().__init__()
        self.grid, self.image_size, self.dilate = grid, image_size, dilate
        self.regions: Regions = regions
        count = len(region_names(regions))
        self.register_buffer("fallback", fallback, persistent=False)
        self.attention = CrossAttention(dim, heads=heads)
        self.mlp = nn.Sequential(nn.Linear(3 * dim, dim), nn.GELU(), nn.Linear(dim, dim), nn.LayerNorm(dim))
        self.fuse = nn.Linear(count * dim, dim) if fuse == "concat" else None

    def forward(self, patches: Tensor, landmarks: Tensor, landmarks_valid: Tensor) -> tuple[Tensor, Tensor]:
        known = landmarks_valid & landmarks.isfinite().flatten(1).all(1)
        points = landmarks.where(known[:, None, None], self.fallback.to(landmarks.dtype))
        masks = region_patches(
            points, grid=self.grid, image_size=self.image_size, regions=self.regions, dilate=self.dilate
        )
        local = roi_pool(patches, masks.to(patches.dtype), divide="mask")
        asked, weights = self.attention(local, patches)
        whole = patches.mean(1, keepdim=True).expand_as(local)
        tokens = self.mlp(torch.cat((asked, local, whole), -1))
        fused = tokens.mean(1) if self.fuse is None else self.fuse(tokens.flatten(1))
        return fused, (weights * masks.flatten(2)).sum(-1)
