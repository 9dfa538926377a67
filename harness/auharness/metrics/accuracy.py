"""Accuracy per AU."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.metrics.counts import TN, TP
from auharness.metrics.defined import ratio
from auharness.metrics.metric import Parts

__all__ = ["accuracy", "accuracy_parts"]


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
    return ratio(*accuracy_parts(counts))


def accuracy_parts(counts: NDArray[Any]) -> Parts:
    """Return TP + TN and TP + FP + FN + TN, each `[..., A]`."""
    return counts[..., TP] + counts[..., TN], np.sum(counts, axis=-1)
