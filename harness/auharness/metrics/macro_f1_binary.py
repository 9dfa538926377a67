"""Macro-F1 over {absent, present} per AU, the score of the micro-expression AU literature."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.metrics.counts import FN, FP, TN, TP
from auharness.metrics.f1 import f1, f1_parts
from auharness.metrics.metric import Parts

__all__ = ["macro_f1_binary", "macro_f1_binary_parts"]

# present and absent exchanged
_SWAPPED = [TN, FN, FP, TP]


def macro_f1_binary(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of the F1 of the present and of the absent class, per AU.

    Always the mean of two: a class that is neither in the labels nor in the predictions counts 0, as in scikit-learn's
    `f1_score(labels=[0, 1], average="macro", zero_division=0)`. Without `labels` scikit-learn drops such a class and
    gives 1.0 to a fold without positives in which nothing is found; averaged over folds of one subject, that alone
    makes 70 of a predictor that never says present.

    Args:
        counts: `[..., A, 4]`, tp, fp, fn, tn; whole or expected (fractional) counts.

    Returns:
        `[..., A]` in [0, 1]; NaN where nothing is coded.

    >>> macro_f1_binary(np.array([[0, 0, 18, 141], [0, 0, 0, 100]])).round(4)
    array([0.47, 0.5 ])
    """
    both = np.nan_to_num(f1(counts)) + np.nan_to_num(f1(counts[..., _SWAPPED]))
    return np.where(counts.sum(axis=-1) > 0, both / 2, np.nan)


def macro_f1_binary_parts(counts: NDArray[Any]) -> Parts:
    """Return those of the F1 of the present and of the absent class, each `[..., 2 A]`."""
    present, absent = f1_parts(counts), f1_parts(counts[..., _SWAPPED])
    return np.concatenate([present[0], absent[0]], axis=-1), np.concatenate([present[1], absent[1]], axis=-1)
