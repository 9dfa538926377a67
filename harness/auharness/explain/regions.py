"""How much of a map lies on which part of the face: a number in the place of a look at a picture."""

from collections.abc import Mapping
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["REGIONS", "region_masks", "region_shares"]

REGIONS: Final = ("brows", "eyes", "nose", "mouth", "cheeks", "rest")
"""Parts of the image; each pixel is in one of them. `rest` is forehead, chin, jaw, hair and background."""

_HULLS: Final[Mapping[str, tuple[tuple[int, ...], ...]]] = {
    "brows": ((17, 18, 19, 20, 21), (22, 23, 24, 25, 26)),
    "eyes": ((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47)),
    "nose": ((27, 31, 32, 33, 34, 35),),
    "mouth": ((48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59),),
    # from the lower lid down to the mouth corner, between jaw and nose
    "cheeks": ((1, 2, 3, 4, 48, 31, 39, 40, 41, 36), (15, 14, 13, 12, 54, 35, 42, 47, 46, 45)),
}
"""Landmarks whose convex hulls are a part, dlib's order."""

_MARGINS: Final = {"brows": 0.12, "eyes": 0.15, "nose": 0.08, "mouth": 0.10, "cheeks": 0.0}
"""By how much a hull grows, as a share of the distance between the eye centres: skin moves around the points."""


def region_masks(landmarks: NDArray[np.float32], size: int) -> NDArray[np.bool_]:
    """Return which pixels belong to each of `REGIONS`, `[6,S,S]`; each pixel belongs to exactly one.

    Where grown hulls overlap, the earlier of `REGIONS` has the pixel.

    Args:
        landmarks: `[68,2]` x, y in pixels; a whole number is a pixel's centre.
        size: S.
    """
    distance = float(np.hypot(*(landmarks[36:42].mean(axis=0) - landmarks[42:48].mean(axis=0))))
    masks = np.zeros((len(REGIONS), size, size), bool)
    free = np.ones((size, size), bool)
    for place, name in enumerate(REGIONS[:-1]):
        drawn = np.zeros((size, size), np.uint8)
        for points in _HULLS[name]:
            hull = cv2.convexHull(landmarks[list(points)].round().astype(np.int32))
            cv2.fillConvexPoly(drawn, hull, 1)
        radius = round(_MARGINS[name] * distance)
        if radius:
            drawn = np.asarray(cv2.dilate(drawn, _disc(radius)), np.uint8)
        masks[place] = (drawn > 0) & free
        free &= ~masks[place]
    masks[-1] = free
    return masks


def region_shares(
    maps: NDArray[np.float32], landmarks: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the share of a clip's map in each of `REGIONS`, `[6]` with sum 1, and the share of the pixels, `[6]`.

    An even map has the same in both. The first is NaN where the map is 0.

    Args:
        maps: `[T,S,S]`, 0 or more; frames of NaN do not count.
        landmarks: `[T,68,2]` in pixels.
    """
    energy, area = np.zeros(len(REGIONS)), np.zeros(len(REGIONS))
    for values, points in zip(maps, landmarks, strict=True):
        if np.isnan(values).all():
            continue
        masks = region_masks(points, values.shape[0])
        energy += np.where(masks, values, 0.0).sum(axis=(1, 2))
        area += masks.sum(axis=(1, 2))
    whole = energy.sum()
    return (energy / whole if whole > 0 else np.full(len(REGIONS), np.nan)), area / max(area.sum(), 1.0)


def _disc(radius: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)
