"""Binary F1 per AU, the score of the AU detection literature."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.metrics.counts import FN, FP, TP
from auharness.metrics.defined import ratio
from auharness.metrics.metric import Parts

__all__ = ["f1", "f1_parts"]


def f1(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return F1 = 2 TP / (2 TP + FP + FN) of the present class, per AU.

    An AU that is present and never predicted scores 0; so does one that is absent and predicted. Only where nothing is
    present and nothing predicted is F1 undefined.

    Args:
        counts: `[..., A, 4]`, tp, fp, fn, tn; whole or expected (fractional) counts.

    Returns:
        `[..., A]` in [0, 1]; NaN where TP + FP + FN = 0.

    >>> f1(np.array([[8, 2, 2, 88], [0, 0, 5, 95], [0, 0, 0, 100]]))
    array([0.8, 0. , nan])
    """
    return ratio(*f1_parts(counts))


def f1_parts(counts: NDArray[Any]) -> Parts:
    """Return 2 TP and 2 TP + FP + FN, each `[..., A]`."""
    double = 2 * counts[..., TP]
    return double, double + counts[..., FP] + counts[..., FN]
