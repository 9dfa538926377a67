"""Soft Dice loss over classes (Milletari et al., 3DV 2016; arXiv:1606.04797), on samples instead of voxels."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["dice"]


def dice(logits: Tensor, target: Tensor, *, smooth: float = 1.0) -> Tensor:
    """Return the mean over classes of 1 - (2 sum_b p y + eps) / (sum_b p + sum_b y + eps), in float32.

    Sums go over the coded samples, so the value depends on the batch: a class that is absent and not predicted has
    loss 0. It lies in [0, 1), and is 0 where nothing is coded.

    Args:
        logits: `[...,C]`; p is their softmax.
        target: `[...]` class numbers, -1 = not coded; y is one-hot.
        smooth: eps > 0.
    """
    classes = logits.shape[-1]
    coded = (target >= 0).flatten()
    p = torch.softmax(logits.float(), dim=-1).reshape(-1, classes)
    p = p.where(coded[:, None], 0.0)
    y = F.one_hot(target.long().clamp(min=0).flatten(), classes).to(p) * coded[:, None]
    overlap, size = (p * y).sum(0), p.sum(0) + y.sum(0)
    return (1 - (2 * overlap + smooth) / (size + smooth)).mean()
