"""The loss of a model that names none."""

import torch
from torch import Tensor
from torch.nn import functional as F

from auharness.losses.masked import masked_mean
from auharness.records import Task

__all__ = ["default_loss"]


def default_loss(logits: Tensor, target: Tensor, task: Task) -> dict[str, Tensor]:
    """Return the mean binary cross-entropy over coded entries, or the mean cross-entropy for classes.

    Args:
        logits: `[B,A]` or `[B,T,A]`; float16 and bfloat16 are summed in float32.
        target: int, the shape of the logits, or without the last axis for classes; -1 = not coded.
        task: its `kind` decides.

    Returns:
        `{"bce": scalar}`, or `{"cross_entropy": scalar}` for `clip-multiclass`; 0 where nothing is coded.
    """
    coded = target >= 0
    if task.kind == "clip-multiclass":
        flat = logits.float().flatten(0, -2)
        each = F.cross_entropy(flat, target.long().clamp(min=0).flatten(), reduction="none")
        return {"cross_entropy": masked_mean(each, coded.flatten())}
    truth = target.clamp(min=0).to(torch.float32)
    each = F.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
    return {"bce": masked_mean(each, coded)}
