"""Unweighted average recall over classes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.metrics.confusion import recall
from auharness.metrics.defined import mean_defined

__all__ = ["uar"]


def uar(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean recall over the classes that occur in the labels (balanced accuracy).

    Args:
        confusion: `[..., C, C]`, rows are true classes.

    Returns:
        `[...]` in [0, 1]; NaN where nothing is coded.

    >>> float(uar(np.array([[8, 2], [1, 1]])))
    0.65
    """
    return mean_defined(recall(confusion))[0]
