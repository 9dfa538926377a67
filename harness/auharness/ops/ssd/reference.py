"""SSD in plain torch, token after token, differentiated by autograd: what every other backend is tested against.

Dao and Gu, "Transformers are SSMs", arXiv:2405.21060, section 2.1 with the scalar decay of section 5.1, and the input
discretised by Mamba's Euler step. `README.md` beside this file derives the other backends from it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from auharness.ops.scan import in_scan_order

__all__ = ["ssd_reference"]


def ssd_reference(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    initial_state: Tensor | None,
    *,
    reverse: Sequence[bool],
    suffix: int,
) -> tuple[Tensor, Tensor]:
    """Scan `directions` sequences at once; direction g is read backwards where `reverse[g]`.

    Args:
        x: input `[directions, batch, token, head, P]`.
        dt: step size `[directions, batch, token, head]`, >= 0.
        A: decay rate `[directions, head]`, <= 0.
        B: weights into the state `[directions, batch, token, group, N]`; a group is as many heads in a row as share it.
        C: weights out of the state, shaped like `B`.
        initial_state: `[directions, batch, head, P, N]`, or None for zeros.
        reverse: one flag per direction.
        suffix: tokens at the end that are read last in either direction.

    Returns:
        The output, shaped like `x` and in its order, and the last state, shaped like `initial_state`.
    """
    heads = x.shape[3]
    B, C = (weights.repeat_interleave(heads // weights.shape[3], 3) for weights in (B, C))
    x, B, C = (in_scan_order(tokens, reverse, suffix=suffix, dim=-3) for tokens in (x, B, C))
    dt = in_scan_order(dt, reverse, suffix=suffix)
    h = x.new_zeros(*x.shape[:2], *x.shape[3:], B.shape[-1]) if initial_state is None else initial_state
    outputs = []
    for x_t, dt_t, B_t, C_t in zip(*(tokens.unbind(2) for tokens in (x, dt, B, C)), strict=True):
        # 1. one rate of decay for the whole state of a head
        decay = torch.exp(dt_t * A[:, None])[..., None, None]

        # 2. the state fades and takes in the token, one row per channel
        h = decay * h + (dt_t[..., None] * x_t)[..., None] * B_t[..., None, :]

        # 3. each channel is read with the same weights
        outputs.append((h @ C_t[..., None])[..., 0])
    return in_scan_order(torch.stack(outputs, 2), reverse, suffix=suffix, dim=-3), h
