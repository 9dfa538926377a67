"""Attention by its formula, differentiated by autograd: what the kernels are tested against."""

import torch
from torch import Tensor

__all__ = ["attention_reference"]


def attention_reference(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    """Return `softmax(q k^T / sqrt(d)) v`; arguments as in `auharness.ops.attention.attention`."""
    # 1. similarity of every query with every key
    score = q @ k.mT / q.shape[-1] ** 0.5
    # 2. query i sees keys 0..i
    if causal:
        future = torch.ones(score.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        score = score.masked_fill(future, float("-inf"))
    # 3. the mean of the values under these weights
    return score.softmax(-1) @ v
