"""Focal loss over classes (Lin et al., ICCV 2017; arXiv:1708.02002)."""

from typing import Literal

import torch
from torch import Tensor

from auharness.losses.masked import masked_mean

__all__ = ["FocalReduction", "focal"]

FocalReduction = Literal["mean", "weighted"]
"""What the sum over samples is divided by: their number, or the sum of their weights."""

SMALLEST = 1e-8
"""1 - p is taken of at least this, below which a fractional gamma has no gradient."""


def focal(
    logits: Tensor,
    target: Tensor,
    *,
    weights: Tensor | None = None,
    gamma: float = 2.0,
    sample_weights: Tensor | None = None,
    reduction: FocalReduction = "mean",
) -> Tensor:
    """Return the mean of -alpha_y (1 - p_y)^gamma log p_y over coded samples, in float32 (arXiv:1708.02002, eq. 5).

    With gamma 0 and no weights it is the cross-entropy.

    Args:
        logits: `[...,C]`; p is their softmax.
        target: `[...]` class numbers, -1 = not coded.
        weights: alpha, `[C]`; default 1.
        gamma: focusing, at least 0.
        sample_weights: `[...]`, a further factor of each sample.
        reduction: `mean` divides by the number of coded samples, `weighted` by the sum of all their factors.
    """
    coded = target >= 0
    truth = target.long().clamp(min=0)
    log_p = torch.log_softmax(logits.float(), dim=-1).gather(-1, truth[..., None])[..., 0]
    alpha = torch.ones_like(log_p) if weights is None else weights.to(log_p)[truth]
    if sample_weights is not None:
        alpha = alpha * sample_weights.to(log_p)
    # exact where p rounds to 1
    unsure = (-torch.expm1(log_p)).clamp(min=SMALLEST)
    each = -alpha * unsure**gamma * log_p
    if reduction == "mean":
        return masked_mean(each, coded)
    return each.where(coded, 0.0).sum() / alpha.where(coded, 0.0).sum().clamp(min=SMALLEST)
