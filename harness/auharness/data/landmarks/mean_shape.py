"""The fallback face: a symmetric dlib-68 shape in a unit face box, and the fit of one point set onto another."""

import numpy as np
import numpy.typing as npt

from auharness.data.flip import FLIP_68

__all__ = ["INNER_CORNER", "MEAN_SHAPE", "central_box", "fit_similarity", "place_mean_shape", "transform"]

INNER_CORNER = 0.2
"""How far the inner mouth corner lies from the outer one towards the middle of its two inner neighbours."""

# The image-left half of a frontal neutral face in a unit box that runs from the middle of the forehead to the chin,
# which is the region that frontal face detectors mark. Proportions: eye centres 0.39 of the box apart,
# eye line to mouth 1.08 eye distances, nose width one eye length, mouth 0.9 eye distances wide.
_HALF: dict[int, tuple[float, float]] = {
    0: (0.065, 0.375), 1: (0.070, 0.485), 2: (0.085, 0.595), 3: (0.110, 0.700), 4: (0.155, 0.795),
    5: (0.220, 0.875), 6: (0.300, 0.940), 7: (0.395, 0.985), 8: (0.500, 1.000),
    17: (0.135, 0.285), 18: (0.185, 0.245), 19: (0.255, 0.230), 20: (0.330, 0.238), 21: (0.405, 0.262),
    27: (0.500, 0.350), 28: (0.500, 0.420), 29: (0.500, 0.490), 30: (0.500, 0.560),
    31: (0.415, 0.605), 32: (0.457, 0.622), 33: (0.500, 0.632),
    36: (0.220, 0.362), 37: (0.272, 0.334), 38: (0.335, 0.334), 39: (0.388, 0.366), 40: (0.335, 0.380),
    41: (0.272, 0.380),
    48: (0.325, 0.775), 49: (0.390, 0.742), 50: (0.455, 0.724), 51: (0.500, 0.735), 57: (0.500, 0.845),
    58: (0.450, 0.840), 59: (0.385, 0.818),
    61: (0.455, 0.765), 62: (0.500, 0.768), 66: (0.500, 0.788), 67: (0.455, 0.786),
}  # fmt: skip


def _whole() -> npt.NDArray[np.float32]:
    points = np.full((68, 2), np.nan, dtype=np.float64)
    half = {**_HALF, 60: _inner_corner()}
    for index, (x, y) in half.items():
        points[index] = x, y
        points[FLIP_68[index]] = 1.0 - x, y
    shape = points.astype(np.float32)
    shape.setflags(write=False)
    return shape


def _inner_corner() -> tuple[float, float]:
    outer, upper, lower = (np.array(_HALF[i]) for i in (48, 61, 67))
    x, y = outer + INNER_CORNER * ((upper + lower) / 2 - outer)
    return float(x), float(y)


MEAN_SHAPE = _whole()
"""`[68, 2]` in the unit face box: x to the right, y down, both in [0, 1]."""


def place_mean_shape(box: tuple[float, float, float, float]) -> npt.NDArray[np.float32]:
    """Return the mean shape in a face box.

    Args:
        box: (x, y, width, height) in pixels, as face detectors give it.

    Returns:
        `[68, 2]` in pixels; the face keeps its proportions and is centred in the box.
    """
    x, y, width, height = box
    side = min(width, height)
    corner = np.array([x + (width - side) / 2, y + (height - side) / 2])
    # minus one half: the box is measured at pixel borders, points at pixel centres
    return (corner + side * MEAN_SHAPE - 0.5).astype(np.float32)


def central_box(height: int, width: int) -> tuple[float, float, float, float]:
    """Return the face box assumed when no face is found: central, 0.6 of the shorter side, (x, y, width, height)."""
    side = 0.6 * min(height, width)
    return (width - side) / 2, (height - side) / 2, side, side


def fit_similarity(source: npt.ArrayLike, target: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the `[2, 3]` matrix of the similarity (rotation, one scale, shift) that maps source to target best.

    Args:
        source: `[n, 2]`, not all points equal.
        target: `[n, 2]`.

    The least-squares solution in closed form with points as complex numbers: target = a * source + b.
    """
    s, t = (np.asarray(p, dtype=np.float64) @ np.array([1, 1j]) for p in (source, target))
    centred = s - s.mean()
    a = np.vdot(centred, t - t.mean()) / np.vdot(centred, centred)
    b = t.mean() - a * s.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def transform(matrix: npt.NDArray[np.float64], points: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Apply a `[2, 3]` matrix to points `[n, 2]`."""
    moved = np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return moved.astype(np.float32)
