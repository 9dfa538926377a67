"""Accuracy per AU."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.metrics.counts import TN, TP
from auharness.metrics.defined import ratio

__all__ = ["accuracy"]


def accuracy(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return (TP + TN) / (TP + FP + FN + TN) per AU.

    A rare AU scores high by never being predicted; read it beside the constant-0 floor.

    Args:
        counts: `[..., A, 4]`, tp, fp, fn, tn.

    Returns:
        `[..., A]` in [0, 1]; NaN where nothing is coded.

    >>> accuracy(np.array([[0, 0, 5, 95]]))
    array([0.95])
    """
    return ratio(counts[..., TP] + counts[..., TN], np.sum(counts, axis=-1))
