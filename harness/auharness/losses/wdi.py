"""Weighted multi-label dice loss (AUFormer, ECCV 2024; AU-TTT, eq. 9)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from auharness.losses.masked import masked_mean
from auharness.losses.weights import class_weights

__all__ = ["wdi"]


def wdi(logits: Tensor, target: Tensor, *, rates: Sequence[float], smooth: float = 1.0) -> Tensor:
    """Return mean w_i (1 - (2 y p + eps) / (y^2 + p^2 + eps)) over coded entries (arXiv:2503.23450, eq. 9).

    Args:
        logits: `[B,A]`; p is their sigmoid.
        target: `[B,A]` int, 1 present, 0 absent, -1 not coded.
        rates: occurrence rate of each AU in the coded training rows.
        smooth: eps > 0.
    """
    p = torch.sigmoid(logits.float())
    y = target.clamp(min=0).float()
    dice = (2 * y * p + smooth) / (y.square() + p.square() + smooth)
    return masked_mean(class_weights(rates).to(logits.device) * (1 - dice), target >= 0)
