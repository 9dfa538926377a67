"""Random variation of a batch of face crops, and the fixed path that evaluation takes.

All randomness comes from one generator, so a batch is a function of its rows and its seed.
"""

import torch
from torch import Tensor

from auharness.api import Augment, Preprocess
from auharness.data.flip import FLIP_68

__all__ = ["augmented", "plain"]

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, the grey that saturation mixes with


def plain(images: Tensor, landmarks: Tensor, preprocess: Preprocess) -> tuple[Tensor, Tensor]:
    """Cut the centre and normalise.

    Args:
        images: `[B,R,R,3]` uint8 crops.
        landmarks: `[B,68,2]` pixels in those crops.
        preprocess: gives the crop side, mean and deviation.

    Returns:
        `[B,C,H,H]` float32, C being 3 or 1 for grey, and `[B,68,2]` pixels in the cut.
    """
    margin = images.shape[1] - preprocess.crop
    corner = torch.full((len(images), 2), margin // 2)
    cut, points = _cut(images, landmarks, corner, preprocess.crop)
    return _normalise(cut, preprocess), points


def augmented(
    images: Tensor,
    landmarks: Tensor,
    preprocess: Preprocess,
    *,
    augment: Augment,
    generator: torch.Generator,
    alike: int = 1,
) -> tuple[Tensor, Tensor]:
    """Cut at a random place, flip, jitter and normalise; shapes as in `plain`.

    Args:
        images: as for `plain`.
        landmarks: as for `plain`.
        preprocess: as for `plain`.
        augment: how much varies.
        generator: of all draws.
        alike: so many neighbouring images, the frames of a clip, are varied in the same way.
    """
    count, margin = len(images) // alike, images.shape[1] - preprocess.crop
    corner = torch.randint(0, margin + 1, (count, 2), generator=generator)
    flip = torch.rand(count, generator=generator) < augment.flip
    strengths = torch.tensor([augment.brightness, augment.contrast, augment.saturation])
    factors = 1 + strengths * (2 * torch.rand(count, 3, generator=generator) - 1)
    if not augment.random_crop:
        corner = torch.full_like(corner, margin // 2)
    corner, flip, factors = (x.repeat_interleave(alike, 0) for x in (corner, flip, factors))
    cut, points = _cut(images, landmarks, corner, preprocess.crop)
    cut = torch.where(flip[:, None, None, None], cut.flip(-1), cut)
    mirrored = points[:, FLIP_68.tolist()] * torch.tensor([-1.0, 1.0]) + torch.tensor([preprocess.crop - 1.0, 0.0])
    points = torch.where(flip[:, None, None], mirrored, points)
    return _normalise(_jitter(cut, factors.clamp_min(0)), preprocess), points


def _cut(images: Tensor, landmarks: Tensor, corner: Tensor, side: int) -> tuple[Tensor, Tensor]:
    cut = torch.stack(
        [image[y : y + side, x : x + side] for image, (x, y) in zip(images, corner.tolist(), strict=True)]
    )
    return cut.permute(0, 3, 1, 2).float().div_(255), landmarks - corner[:, None].to(landmarks.dtype)


def _jitter(images: Tensor, factors: Tensor) -> Tensor:
    brightness, contrast, saturation = factors[:, :, None, None, None].unbind(1)
    images = (images * brightness).clamp(0, 1)
    weights = torch.tensor(LUMA).view(1, 3, 1, 1)
    grey = (images * weights).sum(1, keepdim=True)
    images = torch.lerp(grey.mean((2, 3), keepdim=True), images, contrast).clamp(0, 1)
    grey = (images * weights).sum(1, keepdim=True)
    return torch.lerp(grey, images, saturation).clamp(0, 1)


def _normalise(images: Tensor, preprocess: Preprocess) -> Tensor:
    if preprocess.channels == 1:
        grey = (images * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        return (grey - preprocess.mean[0]) / preprocess.std[0]
    mean = torch.tensor(preprocess.mean).view(1, 3, 1, 1)
    std = torch.tensor(preprocess.std).view(1, 3, 1, 1)
    return (images - mean) / std
