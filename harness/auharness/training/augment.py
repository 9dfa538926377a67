"""Random variation of a batch of face crops, and the fixed path that evaluation takes.

All randomness comes from one generator, so a batch is a function of its rows and its seed. Everything is drawn once
for all frames of a clip, in the order: local contrast and blur, cut and warp, flip, colours, noise.
"""

import torch
from torch import Tensor

from auharness.api import Augment, Preprocess
from auharness.training.colours import LUMA, enhanced, jittered, noisy, softened, turned
from auharness.training.geometry import Affine, cut, flipped, resized, warped

__all__ = ["augmented", "frames_of", "plain"]

_CLAHE_LIMITS = (1.0, 4.0)
_BLUR_SIGMAS = (0.3, 1.2)  # pixels
_NOISE_SIGMAS = (0.01, 0.05)  # of white


def plain(images: Tensor, landmarks: Tensor, preprocess: Preprocess) -> tuple[Tensor, Tensor]:
    """Cut the centre and normalise.

    Args:
        images: `[B,R,R,3]` uint8 crops of the cache.
        landmarks: `[B,68,2]` pixels in those crops.
        preprocess: gives the enhancement that the cache lacks, the crop side, mean and deviation.

    Returns:
        `[B,C,H,H]` float32, C being 3 or 1 for grey, and `[B,68,2]` pixels in the cut.
    """
    if preprocess.enhance_test is not None:
        images = enhanced(images, preprocess.enhance_test[len(preprocess.enhance_cached) :])
    margin = images.shape[1] - preprocess.crop
    corner = torch.full((len(images), 2), margin // 2)
    made, points = cut(images, landmarks, corner, preprocess.crop)
    return _normalise(made, preprocess), points


def frames_of(images: Tensor, preprocess: Preprocess) -> Tensor:
    """Return the frames of `plain` alone."""
    return plain(images, torch.zeros(len(images), 68, 2), preprocess)[0]


def augmented(
    images: Tensor,
    landmarks: Tensor,
    preprocess: Preprocess,
    *,
    augment: Augment,
    generator: torch.Generator,
    alike: int = 1,
) -> tuple[Tensor, Tensor]:
    """Cut at a random place, warp, flip, jitter and normalise; shapes as in `plain`.

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
    # one column per variation, drawn whether it is on or not: switching one on leaves the others as they are
    draws = torch.rand(count, 15, generator=generator)
    if not augment.random_crop:
        corner = torch.full_like(corner, margin // 2)
    images = enhanced(images, preprocess.enhance[len(preprocess.enhance_cached) :])
    limits = _sometimes(draws[:, 0:2], augment.clahe, _CLAHE_LIMITS)
    sigmas = _sometimes(draws[:, 2:4], augment.blur, _BLUR_SIGMAS)
    images = softened(images, limits.repeat_interleave(alike), sigmas.repeat_interleave(alike))
    made, points = _framed(images, landmarks, corner, preprocess.crop, augment=augment, draws=draws[:, 4:12])
    made, points = flipped(made, points, flip.repeat_interleave(alike))
    made = jittered(made, factors.clamp_min(0).repeat_interleave(alike, 0))
    if augment.hue:
        made = turned(made, augment.hue * (2 * draws[:, 12] - 1))
    made = noisy(made, _sometimes(draws[:, 13:15], augment.noise, _NOISE_SIGMAS), generator)
    return _normalise(made, preprocess), points


def _sometimes(draws: Tensor, probability: float, between: tuple[float, float]) -> Tensor:
    """Return `[n]` values even in an interval, 0 where the variation is not drawn; `draws` is `[n,2]` in [0, 1)."""
    low, high = between
    return torch.where(draws[:, 0] < probability, low + (high - low) * draws[:, 1], 0.0)


def _framed(
    images: Tensor, landmarks: Tensor, corner: Tensor, side: int, *, augment: Augment, draws: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the cut `[N,3,side,side]` in [0, 1], resized or warped as asked; `corner` `[n,2]`, `draws` `[n,8]`."""
    if augment.random_resized_crop is not None:
        shares = augment.random_resized_crop
        images, landmarks = resized(images, landmarks, draws[:, :4], side, shares=shares)
        corner = torch.zeros_like(corner)
    if augment.rotate or augment.translate or augment.scale:
        spread = 2 * draws[:, 4:] - 1
        affine = Affine(
            degrees=augment.rotate * spread[:, 0],
            scale=1 + augment.scale * spread[:, 1],
            shift=augment.translate * side * spread[:, 2:],
        )
        return warped(images, landmarks, corner, side, affine)
    return cut(images, landmarks, corner.repeat_interleave(len(images) // len(corner), 0), side)


def _normalise(images: Tensor, preprocess: Preprocess) -> Tensor:
    if preprocess.channels == 1:
        grey = (images * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        return (grey - preprocess.mean[0]) / preprocess.std[0]
    mean = torch.tensor(preprocess.mean).view(1, 3, 1, 1)
    std = torch.tensor(preprocess.std).view(1, 3, 1, 1)
    return (images - mean) / std
