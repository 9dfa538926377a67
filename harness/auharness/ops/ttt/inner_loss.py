"""The loss that a TTT model learns by, `0.5 |LN(z) - target|^2`: its gradient by `z`, written out for autograd."""

import torch
from torch import Tensor

__all__ = ["normalise", "reconstruction_gradient"]


def normalise(z: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return `z` with mean 0 and variance 1 over its last axis, and the factor that was applied."""
    scale = torch.rsqrt(z.var(-1, unbiased=False, keepdim=True) + eps)
    return (z - z.mean(-1, keepdim=True)) * scale, scale


def reconstruction_gradient(z: Tensor, target: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Return the gradient of `0.5 |LN(z) - target|^2` by `z`, differentiable in every tensor argument."""
    normal, scale = normalise(z, eps)
    a = (weight * normal + bias - target) * weight
    return scale * (a - a.mean(-1, keepdim=True) - normal * (a * normal).mean(-1, keepdim=True))
