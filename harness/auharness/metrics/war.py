"""Weighted average recall over classes: accuracy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.metrics.defined import ratio
from auharness.metrics.metric import Parts

__all__ = ["war", "war_parts"]


def war(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Return recall weighted by class size, which is the share of correct samples.

    Args:
        confusion: `[..., C, C]`, rows are true classes.

    Returns:
        `[...]` in [0, 1]; NaN where nothing is coded.

    >>> float(war(np.array([[8, 2], [1, 1]])))
    0.75
    """
    hits, samples = war_parts(confusion)
    return ratio(hits[..., 0], samples[..., 0])


def war_parts(confusion: NDArray[Any]) -> Parts:
    """Return all hits and all samples, each `[..., 1]`."""
    return np.trace(confusion, axis1=-2, axis2=-1)[..., None], np.sum(confusion, axis=(-2, -1))[..., None]
