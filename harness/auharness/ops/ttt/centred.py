"""LayerNorm of rows that have mean zero already, its derivative and the derivative of that, for the fast paths.

The formulas and their names are derived in the README of `auharness.ops.ttt_linear`.
"""

import torch
from torch import Tensor

__all__ = ["reconstruction_gradient", "row_scale", "through_norm", "through_reconstruction"]

_INPUT_ONLY = [True, False, False]  # gradients asked of the LayerNorm kernel: input, not weight, not bias


def row_scale(x: Tensor, eps: Tensor) -> Tensor:
    """Return the factor `[..., 1]` that gives `x`, whose rows have mean zero, the variance 1."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return torch.addcmul(eps, norm, norm, value=1 / x.shape[-1]).rsqrt_()


def through_norm(grad: Tensor, x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Return `scale (grad - mean(grad) - n mean(grad n))` with `n` the normalised `x`: LayerNorm's own backward."""
    return torch.ops.aten.native_layer_norm_backward(grad, x, x.shape[-1:], mean, scale, None, None, _INPUT_ONLY)[0]


def reconstruction_gradient(
    z: Tensor, scale: Tensor, target: Tensor, weight: Tensor, bias: Tensor, zero: Tensor
) -> Tensor:
    """Return g, the gradient of `0.5 |LN(z) - target|^2` by `z [..., rows, d]`; `zero` is its mean `[..., rows, 1]`."""
    error = torch.addcmul(bias, z * scale, weight).sub_(target)
    return through_norm(error.mul_(weight), z, zero, scale)


def through_reconstruction(
    d_g: Tensor,
    g: Tensor,
    z: Tensor,
    scale: Tensor,
    target: Tensor,
    weight: Tensor,
    bias: Tensor,
    zero: Tensor,
    *,
    d_z: Tensor,
    d_weight: Tensor,
) -> Tensor:
    """Return the gradient of `-target` given that of g; write that of `z` and add that of `weight`, row by row."""
    normal, share = z * scale, scale * (1 / z.shape[-1])
    error = torch.addcmul(bias, normal, weight).sub_(target)
    along_error = (normal * error).mul_(weight).sum(-1, keepdim=True).mul_(share)
    along_normal = (normal * d_g).sum(-1, keepdim=True).mul_(share)
    along_g = (g * d_g).sum(-1, keepdim=True).mul_(share)
    d_a = through_norm(d_g, z, zero, scale)
    d_error = d_a * weight
    total = through_norm(d_error * weight, z, zero, scale)
    total.addcmul_(d_a, along_error, value=-1).addcmul_(g, along_normal, value=-1)
    torch.addcmul(total, normal, along_g, value=-1, out=d_z)
    d_weight.addcmul_(error.addcmul_(normal, weight), d_a)
    return d_error
