"""Where regions of the face lie on a feature map: soft masks from 68 landmarks."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

__all__ = ["REGIONS", "landmark_mask", "region_masks"]

Points = tuple[tuple[int, ...], ...]

REGIONS: Final[Mapping[str, Points]] = MappingProxyType(
    {
        "right brow": tuple((i,) for i in range(17, 22)),
        "left brow": tuple((i,) for i in range(22, 27)),
        "right eye": tuple((i,) for i in range(36, 42)),
        "left eye": tuple((i,) for i in range(42, 48)),
        "nose": tuple((i,) for i in range(27, 36)),
        "mouth": tuple((i,) for i in range(48, 68)),
        "right cheek": ((2, 31), (3, 31), (3, 48)),
        "left cheek": ((14, 35), (13, 35), (13, 54)),
    }
)
"""Region -> points, each the mean of some landmarks (dlib's order, 0-based). Right is the person's, the image's left.

Cheeks have no landmarks of their own: theirs lie halfway between the jaw and the nose or the corner of the mouth."""


def region_masks(
    landmarks: Tensor, valid: Tensor | None = None, *, grid: int, image_size: int, sigma: float = 0.5
) -> Tensor:
    """Return one mask per region, `[N,8,grid,grid]` in [0, 1]: the largest of the Gaussians around its points.

    Args:
        landmarks: `[N,68,2]` in pixels of the square image; the first pixel's centre is 0.
        valid: `[N]` bool; the masks of a face without landmarks are 1 everywhere. Coordinates that are not finite count
            as no landmarks.
        grid: cells per side of the feature map.
        image_size: side of the image in pixels.
        sigma: standard deviation in cells.
    """
    points = torch.stack([landmarks[:, list(which)].mean(1) for region in REGIONS.values() for which in region], 1)
    blobs = _blobs(points, grid=grid, image_size=image_size, sigma=sigma)
    parts = blobs.split([len(region) for region in REGIONS.values()], dim=1)  # type: ignore[no-untyped-call]  # torch's
    return _or_one(torch.stack([part.amax(1) for part in parts], 1), landmarks, valid)


def landmark_mask(
    landmarks: Tensor, valid: Tensor | None = None, *, grid: int, image_size: int, sigma: float = 0.5
) -> Tensor:
    """Return one mask, `[N,1,grid,grid]` in [0, 1]: the largest of the Gaussians around all 68 landmarks.

    Arguments are those of `region_masks`.
    """
    blobs = _blobs(landmarks, grid=grid, image_size=image_size, sigma=sigma)
    return _or_one(blobs.amax(1, keepdim=True), landmarks, valid)


def _blobs(points: Tensor, *, grid: int, image_size: int, sigma: float) -> Tensor:
    """Gaussians of peak 1 around `[N,P,2]`, `[N,P,grid,grid]`."""
    cells = torch.arange(grid, device=points.device, dtype=points.dtype)
    centres = (points + 0.5) * (grid / image_size) - 0.5
    along = torch.exp(-(cells - centres[..., None]).square() / (2 * sigma**2))
    return along[:, :, 1, :, None] * along[:, :, 0, None, :]


def _or_one(masks: Tensor, landmarks: Tensor, valid: Tensor | None) -> Tensor:
    known = landmarks.isfinite().flatten(1).all(1)
    if valid is not None:
        known = known & valid
    return masks.where(known[:, None, None, None], 1.0)
