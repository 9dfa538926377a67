"""Asymmetric loss for labels that are rarely present (Ridnik et al., ICCV 2021; AU-LLM, eq. 4)."""

from typing import Literal

import torch
from torch import Tensor

from auharness.losses.masked import masked_mean

__all__ = ["Reduction", "asl", "asl_released"]

SMALLEST = 1e-8
"""Logarithms are taken of at least this, as in the authors' code."""

Reduction = Literal["mean", "sum", "entries"]
"""`mean` over samples, after the sum over labels, is eq. 4 of AU-LLM; `sum` is the code of both papers; `entries` is
the mean over everything that is coded: HGA + AG-SSM's mean over labels, and over frames."""


def asl(
    logits: Tensor,
    target: Tensor,
    *,
    gamma_positive: float = 0.0,
    gamma_negative: float = 4.0,
    clip: float = 0.05,
    attached: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return -[y (1-p)^g+ log p + (1-y) p_m^g- log(1 - p_m)], p_m = max(p - clip, 0), summed over labels.

    An absent label with p <= clip has no loss and no gradient.

    Args:
        logits: `[B,A]`, or `[B,T,A]` for `entries`; p is their sigmoid.
        target: int, of this shape, 1 present, 0 absent, -1 not coded.
        gamma_positive: focusing g+ of present labels.
        gamma_negative: focusing g- of absent labels.
        clip: m in [0, 1], also called margin.
        attached: let the gradient also flow through the focusing weights; the authors' code holds them constant.
        reduction: over the samples.
    """
    p, absent_chance = _chances(logits, clip)
    weight = torch.where(
        target > 0,
        _power(torch.sigmoid(-logits.float()), gamma_positive),
        # exactly 0 within the margin, where 1 - q would leave a rounding error
        _power((p - clip).clamp(min=0), gamma_negative),
    )
    each = _entropy(p, absent_chance, target)
    return _reduced(each * (weight if attached else weight.detach()), target, reduction)


def asl_released(
    logits: Tensor, target: Tensor, *, gamma_negative: float = 4.0, clip: float = 0.05, reduction: Reduction = "mean"
) -> Tensor:
    """Return what AU-LLM's released code computes in the place of ASL; arguments as in `asl`.

    The weight of an absent label is (1 - p_m)^g-, largest for the easy ones, and it is multiplied in without autograd:
    the value carries it, the gradient is that of binary cross-entropy with the clip and nothing else.
    """
    p, absent_chance = _chances(logits, clip)
    each = _entropy(p, absent_chance, target)
    weighted = torch.where(target > 0, each, each * absent_chance**gamma_negative)
    return _reduced(each + (weighted - each).detach(), target, reduction)


def _chances(logits: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """p, and 1 - p_m = min(1 - p + clip, 1)."""
    x = logits.float()
    # sigmoid(-x) instead of 1 - p: exact where p rounds to 1
    return torch.sigmoid(x), (torch.sigmoid(-x) + clip).clamp(max=1.0)


def _power(base: Tensor, gamma: float) -> Tensor:
    # the slope of a power below 1 is infinite at 0
    return torch.ones_like(base) if gamma == 0 else base.clamp(min=SMALLEST if gamma < 1 else 0) ** gamma


def _entropy(p: Tensor, absent_chance: Tensor, target: Tensor) -> Tensor:
    return -torch.where(target > 0, p, absent_chance).clamp(min=SMALLEST).log()


def _reduced(each: Tensor, target: Tensor, reduction: Reduction) -> Tensor:
    coded = target >= 0
    if reduction == "entries":
        return masked_mean(each, coded)
    total = each.where(coded, each.new_zeros(())).sum()
    return total / coded.any(dim=1).sum().clamp(min=1) if reduction == "mean" else total
