"""Random variation of what pixels show: contrast, blur, hue and noise, with one draw for all frames of a clip."""

from math import pi

import cv2
import numpy as np
import torch
from torch import Tensor

from auharness.data.enhance import Step, clahe, enhance

__all__ = ["LUMA", "enhanced", "jittered", "noisy", "softened", "turned"]

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, the grey that saturation mixes with and that hue keeps."""

# colour axes of NTSC's YIQ: the plane of constant luma in which a turn changes the hue
_TO_YIQ = torch.tensor([LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])


def enhanced(images: Tensor, steps: tuple[Step, ...]) -> Tensor:
    """Return crops `[N,R,R,3]` uint8 after the fixed steps that the crop cache does not hold."""
    if not steps:
        return images
    return torch.from_numpy(np.stack([enhance(image, steps) for image in images.numpy()]))


def softened(images: Tensor, limits: Tensor, sigmas: Tensor) -> Tensor:
    """Return crops after local contrast and blur.

    Args:
        images: `[N,R,R,3]` uint8.
        limits: `[N]` clip limit of the histogram equalisation; 0 leaves the crop as it is.
        sigmas: `[N]` deviation of the Gaussian blur in pixels; 0 leaves the crop as it is.
    """
    if not (limits.any() or sigmas.any()):
        return images
    made = images.numpy().copy()
    for number, (limit, sigma) in enumerate(zip(limits.tolist(), sigmas.tolist(), strict=True)):
        if limit:
            made[number] = clahe(made[number], limit=limit)
        if sigma:
            made[number] = cv2.GaussianBlur(made[number], (0, 0), sigma)
    return torch.from_numpy(made)


def jittered(images: Tensor, factors: Tensor) -> Tensor:
    """Return `[N,3,H,W]` in [0, 1] with brightness, contrast and saturation times `factors` `[N,3]`."""
    brightness, contrast, saturation = factors[:, :, None, None, None].unbind(1)
    images = (images * brightness).clamp(0, 1)
    weights = torch.tensor(LUMA).view(1, 3, 1, 1)
    grey = (images * weights).sum(1, keepdim=True)
    images = torch.lerp(grey.mean((2, 3), keepdim=True), images, contrast).clamp(0, 1)
    grey = (images * weights).sum(1, keepdim=True)
    return torch.lerp(grey, images, saturation).clamp(0, 1)


def turned(images: Tensor, turns: Tensor) -> Tensor:
    """Return `[N,3,H,W]` in [0, 1] with the colours turned about the grey axis; luma is kept where nothing clips.

    Args:
        images: `[N,3,H,W]`, N a multiple of `len(turns)`.
        turns: `[n]` share of the full circle, of each run of N / n neighbouring images.
    """
    cos, sin = (2 * pi * turns).cos(), (2 * pi * turns).sin()
    one, zero = torch.ones_like(cos), torch.zeros_like(cos)
    turn = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], dim=1).view(-1, 3, 3)
    matrix = torch.linalg.inv(_TO_YIQ) @ turn @ _TO_YIQ
    matrix = matrix.repeat_interleave(len(images) // len(turns), 0)
    return torch.bmm(matrix, images.flatten(2)).view(images.shape).clamp(0, 1)


def noisy(images: Tensor, sigmas: Tensor, generator: torch.Generator) -> Tensor:
    """Return `[N,3,H,W]` in [0, 1] with Gaussian noise added: one pattern for all frames of a clip.

    A fresh pattern in every frame would look like motion to a model that compares frames.

    Args:
        images: `[N,3,H,W]`, N a multiple of `len(sigmas)`.
        sigmas: `[n]` deviation, of each run of N / n neighbouring images.
        generator: of the pattern.
    """
    if not sigmas.any():
        return images
    pattern = torch.randn(len(sigmas), *images.shape[1:], generator=generator) * sigmas[:, None, None, None]
    return (images.reshape(len(sigmas), -1, *images.shape[1:]) + pattern[:, None]).flatten(0, 1).clamp(0, 1)
