"""F1 over classes from a confusion matrix: per class, macro and weighted by class size."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.metrics.defined import mean_defined, ratio
from auharness.metrics.metric import Parts

__all__ = ["class_f1", "class_f1_parts", "macro_f1", "weighted_f1"]


def class_f1(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Return F1 per class, `[..., C]`; NaN where a class is neither in the labels nor in the predictions.

    >>> class_f1(np.array([[3, 1, 0], [1, 3, 0], [0, 0, 0]]))
    array([0.75, 0.75,  nan])
    """
    return ratio(*class_f1_parts(confusion))


def class_f1_parts(confusion: NDArray[Any]) -> Parts:
    """Return twice the hits and the samples plus the predictions of each class, each `[..., C]`."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return 2 * hits, np.sum(confusion, axis=-1) + np.sum(confusion, axis=-2)


def macro_f1(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean F1 over the classes that have one.

    Args:
        confusion: `[..., C, C]`, rows are true classes.

    Returns:
        `[...]` in [0, 1]; NaN where nothing is coded.
    """
    return mean_defined(class_f1(confusion))[0]


def weighted_f1(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean F1 over classes, weighted by the number of true samples of each class.

    Args:
        confusion: `[..., C, C]`, rows are true classes.

    Returns:
        `[...]` in [0, 1]; NaN where nothing is coded.
    """
    size = np.sum(confusion, axis=-1)
    # a class without samples has weight 0, so its F1 does not matter
    weighted = np.nan_to_num(class_f1(confusion)) * size
    return ratio(weighted.sum(axis=-1), size.sum(axis=-1))
