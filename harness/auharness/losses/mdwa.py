"""Margin-truncated difficulty-aware weighted asymmetric loss (AUFormer, ECCV 2024; AU-TTT, eq. 8)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from auharness.losses.masked import masked_mean
from auharness.losses.weights import class_weights

__all__ = ["mdwa"]

SMALLEST = 1e-8
"""Logarithms are taken of at least this, as in the two ancestors of the loss."""


def mdwa(
    logits: Tensor,
    target: Tensor,
    *,
    rates: Sequence[float],
    margin: float,
    left: float = 1.0,
    right: float = 2.0,
    attached: bool = False,
) -> Tensor:
    """Return -mean w_i [y log p + (1 - y) p_m^gamma_i log(1 - p_m)] over coded entries (arXiv:2503.23450, eq. 8).

    p_m = max(p - margin, 0): an absent AU with p <= margin has no loss and no gradient. gamma_i = left + (right - left)
    r_i. w_i = `class_weights(rates)`.

    Args:
        logits: `[B,A]`, finite.
        target: `[B,A]` int, 1 present, 0 absent, -1 not coded.
        rates: occurrence rate of each AU in the coded training rows; NaN (never coded) acts as 0 in gamma.
        margin: m in [0, 1].
        left: B_L.
        right: B_R.
        attached: let the gradient also flow through the focusing weight p_m^gamma; both ancestors hold it constant.
    """
    rate = torch.tensor(rates, dtype=torch.float32, device=logits.device).nan_to_num(0.0)
    gamma = left + (right - left) * rate
    x = logits.float()
    # sigmoid(-x) instead of 1 - p: exact where p rounds to 1
    beyond = torch.sigmoid(x) - margin
    focus = beyond.clamp(min=SMALLEST) ** gamma
    if not attached:
        focus = focus.detach()
    absent = focus * (torch.sigmoid(-x) + margin).clamp(SMALLEST, 1.0).log()
    present = torch.sigmoid(x).clamp(min=SMALLEST).log()
    weights = class_weights(rates).to(logits.device)
    return -masked_mean(weights * torch.where(target > 0, present, absent), target >= 0)
