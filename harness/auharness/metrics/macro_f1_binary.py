"""Macro-F1 over {absent, present} per AU, the score of the micro-expression AU literature."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.metrics.counts import FN, FP, TN, TP
from auharness.metrics.defined import mean_defined
from auharness.metrics.f1 import f1

__all__ = ["macro_f1_binary"]


def macro_f1_binary(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of the F1 of the present and of the absent class, per AU.

    A class that is neither in the labels nor in the predictions has no F1 and leaves the mean, as in scikit-learn's
    `f1_score(average="macro")`, which averages over the classes that occur.

    Args:
        counts: `[..., A, 4]`, tp, fp, fn, tn.

    Returns:
        `[..., A]` in [0, 1]; NaN where nothing is coded.

    >>> macro_f1_binary(np.array([[0, 0, 5, 95], [0, 0, 0, 100]])).round(4)
    array([0.4872, 1.    ])
    """
    absent_first = counts[..., [TN, FN, FP, TP]]
    return mean_defined(np.stack([f1(counts), f1(absent_first)], axis=-1))[0]
