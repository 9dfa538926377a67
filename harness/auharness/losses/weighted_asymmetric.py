"""Weighted asymmetric loss (ME-GraphAU, IJCAI 2022): the ancestor of MDWA without margin and difficulty."""

import torch
from torch import Tensor

from auharness.losses.masked import masked_mean

__all__ = ["weighted_asymmetric"]

SMALLEST = 1e-8
"""Logarithms are taken of at least this."""


def weighted_asymmetric(logits: Tensor, target: Tensor, *, weights: Tensor) -> Tensor:
    """Return -mean w_i [y log p + p (1 - y) log(1 - p)] over coded entries; the factor p has no gradient.

    Args:
        logits: `[B,A]`; p is their sigmoid (the authors' own model gives a cosine in [0, 1] instead).
        target: `[B,A]` int, 1 present, 0 absent, -1 not coded.
        weights: `[A]`, see `class_weights`.
    """
    p = torch.sigmoid(logits.float())
    not_p = torch.sigmoid(-logits.float())
    y = target.clamp(min=0).float()
    terms = y * p.clamp(min=SMALLEST).log() + p.detach() * (1 - y) * not_p.clamp(min=SMALLEST).log()
    return -masked_mean(weights.to(logits.device) * terms, target >= 0)
