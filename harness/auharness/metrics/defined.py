"""Ratios and means in which an undefined value is NaN, never 0."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["mean_defined", "ratio"]


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """Return numerator / denominator, NaN where the denominator is 0; any common shape.

    >>> ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0]))
    array([0.5, nan])
    """
    result = np.full(np.shape(denominator), np.nan)
    np.divide(numerator, denominator, out=result, where=np.asarray(denominator) != 0)
    return result


def mean_defined(values: NDArray[Any], *, axis: int = -1) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the mean over the members that are not NaN, and how many there are.

    The count belongs beside the mean wherever it is printed: a mean over 7 of 8 AUs is not the mean over 8.

    Args:
        values: any shape; NaN is undefined.
        axis: the axis that is averaged away.

    Returns:
        The mean, NaN where no member is defined, and the number of defined members (scalars for a vector).

    >>> mean, n_defined = mean_defined(np.array([0.5, np.nan, 1.0]))
    >>> float(mean), int(n_defined)
    (0.75, 2)
    """
    values = np.asarray(values, dtype=np.float64)
    undefined = np.isnan(values)
    n_defined = np.asarray(values.shape[axis] - undefined.sum(axis=axis), dtype=np.int64)
    total = np.asarray((np.where(undefined, 0.0, values) if undefined.any() else values).sum(axis=axis))
    return ratio(total, n_defined)[()], n_defined[()]
