"""From patch tokens to one token per action unit, and back."""

from typing import Literal

import torch
from torch import Tensor

__all__ = ["RoiPool", "RoiScatter", "roi_pool", "roi_scatter"]

RoiPool = Literal["area", "mask"]
RoiScatter = Literal["mask", "mean", "cls"]


def roi_pool(patches: Tensor, masks: Tensor, *, divide: RoiPool = "area") -> Tensor:
    """Return one token per AU, `[B,A,D]`: the mean of masked patch tokens (arXiv:2503.23450, eq. 7).

    Args:
        patches: `[B,J,D]`, row by row.
        masks: `[B,A,h,w]` in [0, 1], h w = J.
        divide: `area` is the equation's mean over all h w cells; `mask` divides by the sum of the mask instead.
    """
    mask = masks.flatten(2)
    total = mask.new_tensor(mask.shape[2]) if divide == "area" else mask.sum(-1, keepdim=True).clamp(min=1e-6)
    return (mask / total).to(patches.dtype) @ patches


def roi_scatter(tokens: Tensor, masks: Tensor, *, to: RoiScatter = "mask") -> Tensor:
    """Return what the AU tokens add to all tokens, `[B,J+1,D]` with the class token last.

    The paper adds `[A,D]` to `[J+1,D]` without saying how. `mask`: each patch takes the AU tokens whose masks cover it,
    weighted by the masks (the adjoint of the pooling) and normalised where masks overlap to more than 1; the class
    token takes the mean. `mean`: every token takes the mean. `cls`: only the class token takes the mean.

    Args:
        tokens: `[B,A,D]`.
        masks: `[B,A,h,w]` in [0, 1].
        to: which tokens receive what.
    """
    mean = tokens.mean(dim=1, keepdim=True)
    mask = masks.flatten(2).transpose(1, 2).to(tokens.dtype)
    if to == "mask":
        patches = mask / mask.sum(-1, keepdim=True).clamp(min=1.0) @ tokens
    elif to == "mean":
        patches = mean.expand(-1, mask.shape[1], -1)
    else:
        patches = mean.new_zeros(1, 1, 1).expand(mean.shape[0], mask.shape[1], mean.shape[2])
    return torch.cat((patches, mean), dim=1)
