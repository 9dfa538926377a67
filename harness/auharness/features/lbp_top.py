"""LBP-TOP: local binary patterns on three orthogonal planes (Zhao and Pietikainen, TPAMI 2007).

In a clip every pixel has eight neighbours in each of the planes XY, XT and YT, on an ellipse around it. A neighbour
that is not darker sets a bit; the eight bits are one of 256 patterns, of which the 58 with at most two changes around
the circle have a bin of their own and all others share one (u2). A feature is how often a bin occurs in a block.
"""

from functools import cache
from math import cos, floor, pi, sin

import torch
from torch import Tensor

__all__ = ["BINS", "PLANES", "POINTS", "Radii", "block_edges", "lbp_top", "lbp_top_codes", "uniform_bins"]

POINTS = 8
"""Neighbours in each plane."""
BINS = 59
"""58 patterns with at most two changes, and one bin for the rest."""
PLANES = ("xy", "xt", "yt")

Radii = tuple[int, int, int]
"""Half axes of the ellipses along x, y and t, in pixels and frames."""

# per plane: the axis of its columns and of its rows, as positions in (x, y, t)
_AXES = ((0, 1), (0, 2), (1, 2))


def lbp_top(
    clip: Tensor,
    *,
    radii: Radii = (3, 3, 3),
    blocks: tuple[int, int] = (8, 8),
    overlap: float = 0.0,
    interpolate: bool = True,
    normalise: bool = True,
) -> Tensor:
    """Return `[B, rows x columns x 3 x 59]`, block by block, in each the planes XY, XT, YT.

    Args:
        clip: `[B,T,H,W]`, T > 2 radii[2]; brighter is larger.
        radii: of the ellipses; pixels and frames closer to a border than this are no centres.
        blocks: rows and columns; one block in time.
        overlap: see `block_edges`.
        interpolate: see `lbp_top_codes`.
        normalise: divide by the number of centres in the block, so that each of its planes sums to 1.
    """
    bins = uniform_bins().to(clip.device)[lbp_top_codes(clip, radii=radii, interpolate=interpolate).int()]
    rows = block_edges(bins.shape[3], blocks[0], overlap)
    columns = block_edges(bins.shape[4], blocks[1], overlap)
    parts = []
    for top, bottom in rows:
        for left, right in columns:
            found = bins[:, :, :, top:bottom, left:right].flatten(2)
            counts = clip.new_zeros(*found.shape[:2], BINS)
            counts.scatter_add_(2, found, clip.new_ones(1, 1, 1).expand(found.shape))
            parts.append(counts / found.shape[2] if normalise else counts)
    return torch.stack(parts, dim=1).flatten(1)


def lbp_top_codes(clip: Tensor, *, radii: Radii = (3, 3, 3), interpolate: bool = True) -> Tensor:
    """Return the patterns `[B,3,T',H',W']` uint8 of the planes XY, XT and YT at every centre.

    Neighbour p stands at cos(2 pi p / 8) of the radius along the plane's columns and -sin along its rows; columns and
    rows are x and y, x and t, y and t. Bit p is set where it is at least as bright as the centre, as in scikit-image's
    `local_binary_pattern`. Centres are those with a whole ellipse in all three planes: T' = T - 2 radii[2] and so on.

    Args:
        clip: `[B,T,H,W]`.
        radii: along x, y and t.
        interpolate: take a neighbour between pixels from the four around it; else the nearest pixel.
    """
    planes = []
    for columns, rows in _AXES:
        code = None
        for point in range(POINTS):
            # five digits, so that a quarter of a circle is a whole pixel
            across = round(radii[columns] * cos(2 * pi * point / POINTS), 5)
            down = round(-radii[rows] * sin(2 * pi * point / POINTS), 5)
            if not interpolate:
                across, down = floor(across + 0.5), floor(down + 0.5)
            rise = _rise(clip, radii, {columns: across, rows: down})
            bit = (rise >= 0).to(torch.uint8) * (1 << point)
            code = bit if code is None else code + bit
        planes.append(code)
    return torch.stack([plane for plane in planes if plane is not None], dim=1)


def _rise(clip: Tensor, radii: Radii, offset: dict[int, float]) -> Tensor:
    """Brightness of a neighbour above the centre's, `[B,T',H',W']`.

    The differences are weighted, not the pixels: in a flat place the result is then 0 and not a rounding error.
    """
    centre = _shifted(clip, radii, (0, 0, 0))
    corners: list[tuple[float, list[int]]] = [(1.0, [0, 0, 0])]
    for axis, value in offset.items():
        low = floor(value)
        share = value - low
        corners = [
            (weight * part, [*place[:axis], place[axis] + low + step, *place[axis + 1 :]])
            for weight, place in corners
            for step, part in ((0, 1 - share), (1, share))
            if part > 0
        ]
    total = None
    for weight, (x, y, t) in corners:
        term = (_shifted(clip, radii, (x, y, t)) - centre) * weight
        total = term if total is None else total + term
    assert total is not None  # there is always one corner
    return total


def _shifted(clip: Tensor, radii: Radii, offset: tuple[int, int, int]) -> Tensor:
    """The pixels that stand at an offset (x, y, t) from the centres."""
    (x, y, t), (rx, ry, rt) = offset, radii
    frames, height, width = clip.shape[1:]
    return clip[:, rt + t : frames - rt + t, ry + y : height - ry + y, rx + x : width - rx + x]


@cache
def uniform_bins() -> Tensor:
    """Return the bin of each of the 256 patterns, `[256]` int64: uniform ones in ascending order, then 58 for the rest.

    >>> uniform_bins().bincount().tolist() == [1] * 58 + [198]
    True
    """
    bins = torch.full((1 << POINTS,), BINS - 1)
    place = 0
    for pattern in range(1 << POINTS):
        turned = (pattern << 1 | pattern >> (POINTS - 1)) & ((1 << POINTS) - 1)
        if (pattern ^ turned).bit_count() <= 2:
            bins[pattern] = place
            place += 1
    return bins


def block_edges(length: int, parts: int, overlap: float = 0.0) -> list[tuple[int, int]]:
    """Return first and one past the last pixel of each of `parts` equal blocks that cover `length` pixels.

    Neighbours share `overlap` of the width that blocks without overlap would have. Edges are rounded.

    >>> block_edges(106, 8)[:3], block_edges(106, 8, 0.7)[:3]
    ([(0, 13), (13, 26), (26, 40)], [(0, 21), (12, 33), (24, 46)])
    """
    shared = overlap * length / parts
    step = (length - shared) / parts
    return [(round(k * step), round(k * step + step + shared)) for k in range(parts)]
