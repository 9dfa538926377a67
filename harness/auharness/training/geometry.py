"""Cuts and warps of crops, with their landmarks: whole numbers are pixel centres before and after."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from auharness.data.flip import FLIP_68

__all__ = ["Affine", "cut", "flipped", "resized", "warped"]


class Affine(NamedTuple):
    """Turns, sizes and shifts about the centre of the cut, of each clip."""

    degrees: Tensor
    """`[n]`, clockwise as the picture is seen."""
    scale: Tensor
    """`[n]`, above 1 is larger."""
    shift: Tensor
    """`[n,2]` pixels of the cut, to the right and down."""


def cut(images: Tensor, landmarks: Tensor, corner: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return the squares `[N,3,side,side]` in [0, 1] and the landmarks in them.

    Args:
        images: `[N,R,R,3]` uint8.
        landmarks: `[N,68,2]` pixels of the crops.
        corner: `[N,2]` upper left pixel (x, y) of each square.
        side: of the square in pixels.
    """
    made = torch.stack(
        [image[y : y + side, x : x + side] for image, (x, y) in zip(images, corner.tolist(), strict=True)]
    )
    return made.permute(0, 3, 1, 2).float().div_(255), landmarks - corner[:, None].to(landmarks.dtype)


def resized(
    images: Tensor, landmarks: Tensor, draws: Tensor, side: int, *, shares: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Return random rectangles, resized to squares: `[N,R',R',3]` uint8 with R' = side, and their landmarks.

    The area is even in `shares` of the crop's, the ratio of the sides even in its logarithm from 3:4 to 4:3, the place
    even among all; a side that does not fit is cut to the crop's, where the original draws again.

    Args:
        images: `[N,R,R,3]` uint8, N a multiple of `len(draws)`.
        landmarks: `[N,68,2]` pixels of the crops.
        draws: `[n,4]` in [0, 1) for area, ratio, x and y, of each run of N / n neighbouring images.
        side: of the squares in pixels.
        shares: least and largest share of the crop's area.
    """
    full = images.shape[1]
    area, ratio, x, y = draws.double().unbind(1)
    area = full * full * (shares[0] + (shares[1] - shares[0]) * area)
    ratio = (4 / 3) ** (2 * ratio - 1)
    size = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], 1).round().clamp(1, full)
    corner = (torch.stack([x, y], 1) * (full - size + 1)).floor()
    alike = len(images) // len(draws)
    made = []
    for clip, (left, top), (width, height) in zip(
        torch.split(images, alike), corner.long().tolist(), size.long().tolist(), strict=True
    ):
        part = clip[:, top : top + height, left : left + width].permute(0, 3, 1, 2)
        made.append(interpolate(part, (side, side), mode="bilinear", antialias=True).permute(0, 2, 3, 1))
    corner, size = (x.float().repeat_interleave(alike, 0)[:, None] for x in (corner, size))
    return torch.cat(made), (landmarks - corner + 0.5) * (side / size) - 0.5


def warped(images: Tensor, landmarks: Tensor, corner: Tensor, side: int, affine: Affine) -> tuple[Tensor, Tensor]:
    """Return turned, scaled and shifted squares as `cut` does; bilinear, mirrored where the crop ends.

    Args:
        images: `[N,R,R,3]` uint8, N a multiple of the number of clips n.
        landmarks: `[N,68,2]` pixels of the crops.
        corner: `[n,2]` upper left pixel (x, y) of the squares before the warp.
        side: of the square in pixels.
        affine: the warp of each clip.
    """
    count, full, centre = len(corner), images.shape[1], (side - 1) / 2
    angle = affine.degrees.deg2rad()
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    axis = torch.arange(side) - centre
    steps = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(1, -1, 2)
    # a row vector times the turn is turned back
    places = (steps - affine.shift[:, None]) @ turn / affine.scale[:, None, None] + corner[:, None] + centre
    grid = (places * (2 / (full - 1)) - 1).view(count, side, side, 2)
    # the frames of a clip share a grid: channels of one picture
    stack = images.reshape(count, -1, full, full, 3).permute(0, 1, 4, 2, 3).reshape(count, -1, full, full)
    made = grid_sample(stack.float().div_(255), grid, padding_mode="reflection", align_corners=True)
    points = landmarks.reshape(count, -1, 2) - corner[:, None] - centre
    points = points @ turn.mT * affine.scale[:, None, None] + affine.shift[:, None] + centre
    return made.view(-1, 3, side, side), points.view(landmarks.shape)


def flipped(images: Tensor, landmarks: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
    """Return `[N,3,H,W]` and `[N,68,2]` mirrored at the vertical axis where `which` `[N]` is true; sides swap."""
    mirrored = landmarks[:, FLIP_68.tolist()] * torch.tensor([-1.0, 1.0])
    mirrored = mirrored + torch.tensor([images.shape[-1] - 1.0, 0.0])
    images = torch.where(which[:, None, None, None], images.flip(-1), images)
    return images, torch.where(which[:, None, None], mirrored, landmarks)
