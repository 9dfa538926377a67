"""Weights that balance outputs of different occurrence rate."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Smoothing", "class_weights", "inverse_frequency"]

Smoothing = Literal["none", "sqrt", "additive", "effective_number"]
"""How far weights of rare classes are held back."""


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


def inverse_frequency(
    counts: Sequence[int],
    *,
    smoothing: Smoothing = "none",
    limits: tuple[float, float] = (0.1, 10.0),
    added: float = 0.1,
    beta: float = 0.999,
) -> Tensor:
    """Return one weight per class, float32 `[C]`, that falls with the class's size and lies within `limits`.

    With n_c samples of class c and N in all:
    `none` N / (C n_c); `sqrt` its square root; `additive` the same quotient after `added` mean class sizes were added
    to every n_c; `effective_number` (1 - beta) / (1 - beta^n_c), scaled to mean 1 over the classes (Cui et al., CVPR
    2019, eq. 2). A class without samples counts as one with a single sample.

    Args:
        counts: training samples of each class.
        smoothing: which formula.
        limits: least and largest weight, taken last.
        added: share of the mean class size.
        beta: in [0, 1).

    >>> inverse_frequency([6, 3, 3]).tolist()
    [0.6666666865348816, 1.3333333730697632, 1.3333333730697632]
    """
    size = torch.tensor(counts, dtype=torch.float64).clamp(min=1)
    if smoothing == "effective_number":
        weights = (1 - beta) / (1 - beta**size)
        weights = weights / weights.mean()
    else:
        size = size + (added * size.mean() if smoothing == "additive" else 0)
        weights = size.mean() / size
    if smoothing == "sqrt":
        weights = weights.sqrt()
    return weights.clamp(*limits).float()
