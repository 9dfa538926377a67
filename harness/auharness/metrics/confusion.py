"""The confusion matrix as the field prints it: each row divided by the size of its class."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.metrics.defined import ratio
from auharness.metrics.metric import Parts

__all__ = ["normalise_rows", "recall", "recall_parts"]


def normalise_rows(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Return the share of each true class that was predicted as each class.

    Args:
        confusion: `[..., C, C]`, rows are true classes.

    Returns:
        `[..., C, C]`; each row sums to 1, or is NaN where the class has no sample.

    >>> normalise_rows(np.array([[3, 1], [0, 0]]))
    array([[0.75, 0.25],
           [ nan,  nan]])
    """
    size = np.sum(confusion, axis=-1, keepdims=True)
    return ratio(confusion, np.broadcast_to(size, np.shape(confusion)))


def recall(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Return the recall per true class, `[..., C]`; NaN where a class has no sample.

    >>> recall(np.array([[3, 1], [0, 0]]))
    array([0.75,  nan])
    """
    return ratio(*recall_parts(confusion))


def recall_parts(confusion: NDArray[Any]) -> Parts:
    """Return hits and samples per true class, each `[..., C]`."""
    return np.diagonal(confusion, axis1=-2, axis2=-1), np.sum(confusion, axis=-1)
