"""MATLAB landmark files as DISFA ships them: one file per frame, variable `pts`, one point per row."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat

from auharness.errors import DataError

__all__ = ["read_mat"]


def read_mat(path: Path, num_points: int) -> npt.NDArray[np.float32]:
    """Return the points of one frame, `[num_points, 2]` in pixels, as written by the vendor.

    Raises:
        DataError: if the file is not a MATLAB file, or has no `pts` of this shape.
        FileNotFoundError: if it does not exist.
    """
    path.stat()
    try:
        content = loadmat(str(path), appendmat=False, variable_names=["pts"])
    except Exception as error:
        # on damaged bytes scipy's parser raises whatever it stumbles over
        fault = str(error) or type(error).__name__
        raise DataError(f"{path}: expected a MATLAB file (before 7.3) with 'pts', got: {fault}") from None
    if "pts" not in content:
        raise DataError(f"{path}: expected a variable 'pts' of {num_points} points, got none")
    points = np.asarray(content["pts"])
    if points.shape != (num_points, 2) or points.dtype.kind not in "fiu":
        raise DataError(f"{path}: expected 'pts' of shape {num_points}x2, got {'x'.join(map(str, points.shape))}")
    with np.errstate(over="ignore"):  # a number without bounds is no face, as an infinite one
        return points.astype(np.float32)
