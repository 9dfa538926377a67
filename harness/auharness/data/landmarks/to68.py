"""Vendor point sets as dlib-68: 66 points (DISFA) lack the inner mouth corners, 49 (BP4D) lack the jaw as well."""

from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from auharness.data.landmarks.mean_shape import INNER_CORNER, MEAN_SHAPE, fit_similarity, transform

__all__ = ["POINT_SETS", "to_68"]

POINT_SETS = MappingProxyType(
    {
        68: tuple(range(68)),
        66: tuple(i for i in range(68) if i not in (60, 64)),
        49: tuple(i for i in range(17, 68) if i not in (60, 64)),
    }
)
"""Number of points -> the dlib-68 index (0-based) of each of them, in file order."""


def to_68(points: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return 68 points from 68, 66 or 49; given points are kept as they are.

    Inner mouth corners (60, 64) are put a fifth of the way from the outer corner to the middle of the two inner lip
    points beside them. The jaw (0-16) of the 49-point set is the mean shape's, fitted by a similarity to the 49
    points: good enough to draw and to bound a face, not a measurement.

    Args:
        points: `[68 | 66 | 49, 2]` in pixels.

    Returns:
        `[68, 2]` in pixels.

    Raises:
        ValueError: if the number of points is another one.
    """
    given = np.asarray(points, dtype=np.float32)
    if given.ndim != 2 or given.shape[1] != 2 or len(given) not in POINT_SETS:
        raise ValueError(f"expected [68, 2], [66, 2] or [49, 2] points, got {list(given.shape)}")
    full = np.empty((68, 2), dtype=np.float32)
    index = list(POINT_SETS[len(given)])
    full[index] = given
    if len(given) < 68:
        for inner, outer, upper, lower in ((60, 48, 61, 67), (64, 54, 63, 65)):
            full[inner] = full[outer] + INNER_CORNER * ((full[upper] + full[lower]) / 2 - full[outer])
    if len(given) == 49:
        full[:17] = transform(fit_similarity(MEAN_SHAPE[index], given), MEAN_SHAPE[:17])
    return full
