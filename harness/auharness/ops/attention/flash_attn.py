"""Adapter to the flash-attn package (Dao, arXiv:2307.08691), whose tokens come before the heads."""

import torch
from torch import Tensor

__all__ = ["flash_attn"]


def flash_attn(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    """Return `softmax(q k^T / sqrt(d)) v`; half precision on CUDA, arguments as in `attention`.

    The package aligns a causal mask at the last query and key, ours is aligned at the first: only the square that both
    agree on is given to it as causal.
    """
    square = min(q.shape[-2], k.shape[-2])
    if not causal:
        return _call(q, k, v, causal=False)
    head = _call(q[..., :square, :], k[..., :square, :], v[..., :square, :], causal=True)
    # queries beyond the last key see all keys
    return torch.cat((head, _call(q[..., square:, :], k, v, causal=False)), -2) if q.shape[-2] > square else head


def _call(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    from flash_attn import flash_attn_func

    return flash_attn_func(*(x.transpose(1, 2) for x in (q, k, v)), causal=causal).transpose(1, 2)
