"""Weights that balance outputs of different occurrence rate."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["class_weights"]


def class_weights(rates: Sequence[float]) -> Tensor:
    """Return N (1/r_i) / sum_j (1/r_j), float32 `[N]`, mean 1 (arXiv:2503.23450, below eq. 8).

    The formula is undefined for an output that never occurs: it takes the smallest rate that does occur, so it is still
    learnt. An output of which nothing is coded (rate NaN) has weight 0 and does not count in N.

    Args:
        rates: occurrence rate of each output in the coded training rows, in [0, 1].

    >>> class_weights([0.5, 0.25]).tolist()
    [0.6666666865348816, 1.3333333730697632]
    """
    rate = torch.tensor(rates, dtype=torch.float64)
    coded = ~rate.isnan()
    occurs = coded & (rate > 0)
    if not occurs.any():
        return coded.float()
    inverse = torch.where(coded, 1.0 / rate.clamp(min=float(rate[occurs].min())), 0.0)
    return (coded.sum() * inverse / inverse.sum()).float()
