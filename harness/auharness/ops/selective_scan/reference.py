"""Selective scan in plain torch, differentiated by autograd: the definition that every other backend is tested against.

Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", arXiv:2312.00752, sections 2 and 3,
with either Mamba's Euler step for the input or exact zero-order hold (eq. 4). `README.md` derives each step.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from auharness.ops.scan import in_scan_order

__all__ = ["selective_scan_reference"]

_NEAR_ZERO = 0.1  # below it (exp(x) - 1) / x and its derivative are taken from their series, exact to 1e-16
_SERIES_TERMS = 10


def selective_scan_reference(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
    *,
    softplus: bool,
    zoh: bool,
    reverse: Sequence[bool],
    suffix: int,
) -> tuple[Tensor, Tensor]:
    """Scan `directions` sequences at once; direction g is read backwards where `reverse[g]`.

    Args:
        u: input `[directions, batch, token, dim]`.
        delta: step size per token and channel, shaped like `u`.
        A: decay rates `[directions, dim, state]`.
        B: weights into the state `[directions, batch, token, state]`.
        C: weights out of the state, shaped like `B`.
        D: weight of the input in the output `[directions, dim]`, or None.
        z: gate before its SiLU, shaped like `u`, or None.
        delta_bias: added to `delta`, `[directions, dim]`, or None.
        initial_state: `[directions, batch, dim, state]`, or None for zeros.
        softplus: pass `delta + delta_bias` through softplus.
        zoh: discretise the input by zero-order hold instead of Euler.
        reverse: one flag per direction.
        suffix: tokens at the end that are read last in either direction.

    Returns:
        The output, shaped like `u` and in its order, and the last state, shaped like `initial_state`.
    """
    u, delta, B, C = (in_scan_order(x, reverse, suffix=suffix) for x in (u, delta, B, C))

    # 1. the step size
    if delta_bias is not None:
        delta = delta + delta_bias[:, None, None]
    if softplus:
        delta = F.softplus(delta)

    # 2. each channel decays and takes in its input at its own rate, [directions, batch, token, dim, state]
    exponent = delta[..., None] * A[:, None, None]
    decay = torch.exp(exponent)
    taken_in = (delta * u)[..., None] * B[..., None, :]
    if zoh:
        taken_in = taken_in * _mean_decay(exponent)

    # 3. the recurrence, one token after the other
    h = torch.zeros_like(decay[:, :, 0]) if initial_state is None else initial_state
    outputs = []
    for t in range(u.shape[2]):
        h = decay[:, :, t] * h + taken_in[:, :, t]
        outputs.append(torch.einsum("gbdn,gbn->gbd", h, C[:, :, t]))
    y = torch.stack(outputs, 2)

    # 4. the input passes by, and the gate closes
    if D is not None:
        y = y + D[:, None, None] * u
    y = in_scan_order(y, reverse, suffix=suffix)
    return (y if z is None else y * F.silu(z)), h


def _mean_decay(x: Tensor) -> Tensor:
    """Return `(exp(x) - 1) / x`, 1 at 0, such that its derivative keeps full precision as well."""
    small = x.abs() < _NEAR_ZERO
    # neither branch may divide by zero, also where it is not taken: its gradient would be 0 times infinity
    near, far = torch.where(small, x, 0), torch.where(small, 1, x)
    series = torch.ones_like(x)
    for term in range(_SERIES_TERMS, 1, -1):
        series = 1 + series * near / term
    return torch.where(small, series, torch.expm1(far) / far)
