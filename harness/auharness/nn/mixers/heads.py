"""What mixers with heads share: the width of a head and rotary positions."""

import torch
from torch import Tensor

from auharness.errors import UsageError

__all__ = ["head_width", "rotate"]

_BASE = 10_000.0  # RoFormer, arXiv:2104.09864, sec. 3.2.2


def head_width(dim: int, heads: int, *, even: bool = False) -> int:
    """Return `dim / heads`.

    Raises:
        UsageError: `dim` is not a multiple of `heads`, or the width is odd where rotary positions need pairs.
    """
    if heads < 1 or dim % heads:
        raise UsageError(f"mixer: dim is {dim}, expected a multiple of heads = {heads}")
    if even and dim // heads % 2:
        raise UsageError(
            f"mixer: a head has {dim // heads} channels, rotary positions need an even number; set rope off"
        )
    return dim // heads


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Return `x [..., token, d]` with channels 2i, 2i+1 turned by `position * 10000^(-2i/d)` (RoFormer, eq. 15).

    The result has the type of `x`; it is computed in at least float32.

    >>> rotate(torch.ones(1, 2), torch.tensor([0])).tolist()
    [[1.0, 1.0]]
    """
    # at half precision neighbouring positions would share an angle
    kind = torch.promote_types(x.dtype, torch.float32)
    pair = torch.arange(0, x.shape[-1], 2, device=x.device, dtype=kind)
    angle = positions.to(kind)[:, None] * _BASE ** (-pair / x.shape[-1])
    even, odd = torch.unflatten(x, -1, (-1, 2)).unbind(-1)
    turned = even * angle.cos() - odd * angle.sin(), even * angle.sin() + odd * angle.cos()
    return torch.stack(turned, -1).flatten(-2).to(x.dtype)
