"""Where each action unit shows on the face: centres from landmarks, and Gaussian maps around them.

Centres are facts of two published systems, in dlib's 68 points (0-based). FG-Net (WACV 2024) measures offsets in the
distance d of the inner eye corners; JAA-Net (IJCV 2021) in their horizontal distance. Positive offsets point down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from auharness.errors import UsageError

__all__ = ["CENTRES", "Centre", "au_centres", "au_heatmaps", "signed_heatmaps"]

INNER_EYE_CORNERS = (39, 42)
FLOOR = 0.01
"""FG-Net sets smaller values to 0."""
SIGMA = 20 / 128
"""FG-Net's Gaussian, 20 cells on a grid of 128, as a share of the grid."""

Table = Literal["fg-net", "jaa"]


@dataclass(frozen=True, slots=True)
class Centre:
    """The two centres of an AU: each the mean of some landmarks, moved down by `offset` eye distances."""

    right: tuple[int, ...]
    """Landmarks on the person's right, the image's left."""
    left: tuple[int, ...]
    offset: float = 0.0


_LIP_CORNERS = Centre((48,), (54,))
_LIP_MIDDLE = Centre((51,), (57,))

CENTRES: Mapping[Table, Mapping[int, Centre]] = {
    "fg-net": {
        1: Centre((21,), (22,)),
        2: Centre((17,), (26,)),
        4: Centre((17, 18, 19, 20, 21), (22, 23, 24, 25, 26)),
        6: Centre((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47), 1.0),
        7: Centre((38,), (43,)),
        9: Centre((39,), (42,)),
        10: Centre((50,), (52,)),
        12: _LIP_CORNERS,
        14: _LIP_CORNERS,
        15: _LIP_CORNERS,
        17: Centre((58,), (56,), 0.5),
        23: _LIP_MIDDLE,
        24: _LIP_MIDDLE,
        25: _LIP_MIDDLE,
        26: Centre((58,), (56,)),
    },
    "jaa": {
        1: Centre((21,), (22,), -1 / 2),
        2: Centre((18,), (25,), -1 / 3),
        4: Centre((19,), (24,), 1 / 3),
        6: Centre((41,), (46,), 1.0),
        7: Centre((38,), (43,)),
        9: Centre((32,), (34,), -1 / 2),
        10: Centre((61,), (63,)),
        12: _LIP_CORNERS,
        14: _LIP_CORNERS,
        15: _LIP_CORNERS,
        17: Centre((58,), (56,), 1 / 2),
        23: _LIP_MIDDLE,
        24: _LIP_MIDDLE,
        25: _LIP_MIDDLE,
        26: Centre((58,), (56,), 1 / 2),
    },
}
"""Table name -> AU number -> centres."""


def au_centres(landmarks: Tensor, aus: Sequence[int], *, table: Table = "fg-net") -> Tensor:
    """Return the two centres of each AU, `[B,A,2,2]` (the image's left centre first; x, y), in the landmarks' unit.

    Args:
        landmarks: `[B,68,2]` x, y in dlib's order.
        aus: AU numbers.
        table: whose centres.

    Raises:
        UsageError: if the table has no centres for an AU.
    """
    known = CENTRES[table]
    missing = [au for au in aus if au not in known]
    if missing:
        raise UsageError(
            f"no heatmap centres for AU{missing[0]} in the table '{table}' (known: {', '.join(map(str, known))})"
        )
    corners = landmarks[:, INNER_EYE_CORNERS[1]] - landmarks[:, INNER_EYE_CORNERS[0]]
    distance = corners.norm(dim=-1) if table == "fg-net" else corners[:, 0].abs()
    down = torch.stack((torch.zeros_like(distance), distance), dim=-1)
    centres = []
    for au in aus:
        sides = [landmarks[:, list(points)].mean(dim=1) for points in (known[au].right, known[au].left)]
        centres.append(torch.stack(sides, dim=1) + known[au].offset * down[:, None])
    return torch.stack(centres, dim=1)


def au_heatmaps(
    landmarks: Tensor,
    aus: Sequence[int],
    *,
    grid: int,
    image_size: int,
    sigma: float | None = None,
    combine: Literal["sum", "max"] = "sum",
    table: Table = "fg-net",
) -> Tensor:
    """Return one map per AU, `[B,A,grid,grid]` in [0, 1]: two Gaussians of peak 1, values below 0.01 set to 0.

    The maps do not depend on labels, so they may enter a forward pass.

    Args:
        landmarks: `[B,68,2]` in pixels of the square image; the first pixel's centre is 0.
        aus: AU numbers.
        grid: cells per side.
        image_size: side of the image in pixels.
        sigma: standard deviation in cells; None is FG-Net's, 20 of 128 cells.
        combine: `sum` clipped at 1 (FG-Net), or `max`.
        table: whose centres.

    Raises:
        UsageError: if the table has no centres for an AU.
    """
    width = SIGMA * grid if sigma is None else sigma
    cells = torch.arange(grid, device=landmarks.device, dtype=torch.float32)
    centres = (au_centres(landmarks.float(), aus, table=table) + 0.5) * (grid / image_size) - 0.5
    # exp(-(x^2 + y^2)) factorises, so each axis is evaluated once
    along = torch.exp(-(cells - centres[..., None]).square() / (2 * width**2))
    blobs = along[:, :, :, 1, :, None] * along[:, :, :, 0, None, :]
    maps = blobs.sum(dim=2).clamp(max=1.0) if combine == "sum" else blobs.amax(dim=2)
    return maps.where(maps >= FLOOR, 0.0)


def signed_heatmaps(maps: Tensor, target: Tensor) -> Tensor:
    """Return `maps` for present AUs, `-maps` for absent ones and 0 where an AU is not coded, in [-1, 1] (FG-Net).

    Args:
        maps: `[B,A,h,w]` in [0, 1].
        target: `[B,A]` int, 1 present, 0 absent, -1 not coded.
    """
    sign = torch.where(target < 0, 0, 2 * target - 1).to(maps.dtype)
    return maps * sign[..., None, None]
