"""Weighted average recall over classes: accuracy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.metrics.defined import ratio

__all__ = ["war"]


def war(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Return recall weighted by class size, which is the share of correct samples.

    Args:
        confusion: `[..., C, C]`, rows are true classes.

    Returns:
        `[...]` in [0, 1]; NaN where nothing is coded.

    >>> float(war(np.array([[8, 2], [1, 1]])))
    0.75
    """
    return ratio(np.trace(confusion, axis1=-2, axis2=-1), np.sum(confusion, axis=(-2, -1)))
