"""What state-space mixers share: rates of decay and step sizes, and what they start from."""

import math

import torch
from torch import Tensor

__all__ = ["decay_rates", "start_rates", "start_steps"]

# arXiv:2312.00752, sec. 3.6; the floor is in the authors' code
_STEP_LEAST, _STEP_MOST, _STEP_FLOOR = 1e-3, 1e-1, 1e-4


def decay_rates(A_log: Tensor) -> Tensor:
    """Return `-exp(A_log)`, at least in float32."""
    return -torch.exp(A_log.to(torch.promote_types(A_log.dtype, torch.float32)))


@torch.no_grad()
def start_rates(A_log: Tensor) -> None:
    """Fill `[channel, state]` with S4D-real: number n of the state fades at the rate n, 1 being the first.

    >>> A_log = torch.empty(1, 3)
    >>> start_rates(A_log)
    >>> decay_rates(A_log).round().tolist()
    [[-1.0, -2.0, -3.0]]
    """
    A_log.copy_(torch.arange(1, A_log.shape[1] + 1).log().expand_as(A_log))


@torch.no_grad()
def start_steps(bias: Tensor) -> None:
    """Fill the bias of step sizes, which pass softplus, so that they start log-uniform between 0.001 and 0.1."""
    step = torch.empty_like(bias).uniform_(math.log(_STEP_LEAST), math.log(_STEP_MOST)).exp_().clamp_min_(_STEP_FLOOR)
    # the inverse of softplus
    bias.copy_(step + torch.log(-torch.expm1(-step)))
