"""Fixed codes of a token's place."""

import math

import torch
from torch import Tensor

__all__ = ["sine_positions"]

_LONGEST = 10_000.0


def sine_positions(count: int, dim: int) -> Tensor:
    """Return sines and cosines of each place, `[count,dim]` in [-1, 1] (Vaswani et al., NeurIPS 2017, sec. 3.5).

    >>> sine_positions(2, 2).round(decimals=2).tolist()
    [[0.0, 1.0], [0.8399999737739563, 0.5400000214576721]]
    """
    rates = torch.exp(torch.arange(0, dim, 2) * (-math.log(_LONGEST) / dim))
    angles = torch.arange(count)[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)[:, :dim]
