"""What a student network may learn from its teacher: soft targets, hints, similarities, attention."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["attention_map", "attention_transfer", "hint", "similarity_preserving", "soft_targets"]


def soft_targets(logits: Tensor, teacher_logits: Tensor, *, temperature: float) -> Tensor:
    """Return mean -[q log p + (1-q) log(1-p)], p and q the sigmoids of the logits divided by the temperature.

    FitNets, arXiv:1412.6550, eq. 2, second term, with one sigmoid per label in the place of the softmax.

    Args:
        logits: of the student, `[B,A]`.
        teacher_logits: `[B,A]`; no gradient flows into them.
        temperature: tau > 0; larger is softer.
    """
    soft = torch.sigmoid(teacher_logits.detach().float() / temperature)
    return F.binary_cross_entropy_with_logits(logits.float() / temperature, soft)


def hint(regressed: Tensor, teacher_map: Tensor) -> Tensor:
    """Return half the mean squared difference between a teacher's map and what is regressed from the student's.

    FitNets, arXiv:1412.6550, eq. 3, over the number of elements, so that its size does not depend on the map's.

    Args:
        regressed: `[B,C,H,W]`.
        teacher_map: the same shape; no gradient flows into it.
    """
    return F.mse_loss(regressed.float(), teacher_map.detach().float()) / 2


def similarity_preserving(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """Return ||G_T - G_S||_F^2 / B^2, G the inner products of all pairs in the batch with rows of unit length.

    Tung and Mori, ICCV 2019, eq. 1 to 4. Channels and places of the two maps may differ.

    Args:
        student_map: `[B,...]`.
        teacher_map: `[B,...]`; no gradient flows into it.
    """
    return (_similarities(teacher_map.detach()) - _similarities(student_map)).square().mean()


def attention_transfer(student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Tensor:
    """Return the sum over pairs of maps of the mean squared difference of their attention.

    Zagoruyko and Komodakis, arXiv:1612.03928, eq. 2 with squares in the place of the norm and a mean over samples and
    places, as in the authors' code.

    Args:
        student_maps: `[B,C,H,W]` each.
        teacher_maps: as many, of the same B, H and W; no gradient flows into them.
    """
    pairs = zip(student_maps, teacher_maps, strict=True)
    return torch.stack(
        [(attention_map(one) - attention_map(other.detach())).square().mean() for one, other in pairs]
    ).sum()


def attention_map(features: Tensor) -> Tensor:
    """Return Q / ||Q||, Q the mean over channels of the squares, `[B,C,H,W] -> [B,HW]`; 0 where all is 0."""
    return F.normalize(features.float().square().mean(dim=1).flatten(1), dim=1)


def _similarities(features: Tensor) -> Tensor:
    flat = features.float().flatten(1)
    return F.normalize(flat @ flat.T, dim=1)
