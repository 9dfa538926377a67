"""Vendor and cached landmark files by kind: `mat66`, `mat49`, `mat68`, `pts66`, `pts49`, `pts68`, `npz68`."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from auharness.data.landmarks.mat import read_mat
from auharness.data.landmarks.npz import LandmarkTable, read_npz
from auharness.data.landmarks.pts import read_pts
from auharness.data.landmarks.to68 import POINT_SETS, to_68
from auharness.errors import DataError, UsageError, near
from auharness.records import LandmarkFile

__all__ = ["KINDS", "load_landmarks", "npz_row", "usable"]

KINDS = (*(f"{form}{count}" for form in ("mat", "pts") for count in POINT_SETS), "npz68")
"""Known values of `LandmarkFile.kind`: the format and the number of points."""


def load_landmarks(
    root: Path, source: LandmarkFile, *, image: npt.NDArray[np.uint8] | None = None
) -> npt.NDArray[np.float32] | None:
    """Return the landmarks of one frame as dlib-68, `[68, 2]` in pixels, or None where there is no face.

    No face is: no file for the frame, a row marked as invalid, points that are empty or not finite, or (with `image`)
    eyes outside the picture.

    Args:
        root: the dataset root.
        source: which file, format and frame.
        image: the frame `[H, W, 3]`; only its size is used.

    Raises:
        DataError: if the file is there but cannot be read, or an npz file has no row for the frame.
        UsageError: if the kind is unknown.
    """
    if source.kind not in KINDS:
        raise UsageError(f"landmark kind {source.kind!r}: expected one of {', '.join(KINDS)}{near(source.kind, KINDS)}")
    path = root / source.path
    form, count = source.kind[:3], int(source.kind[3:])
    try:
        if form == "npz":
            points = npz_row(path, source.frame)
        else:
            points = to_68((read_mat if form == "mat" else read_pts)(path, count))
    except FileNotFoundError:
        return None
    size = None if image is None else (image.shape[0], image.shape[1])
    return points if points is not None and usable(points, size) else None


def npz_row(path: Path, frame: int) -> npt.NDArray[np.float32] | None:
    """Return one row of an npz landmark file, or None where it says that there is no face.

    Raises:
        DataError: if the frame has no row: a missing face must be written as one.
        FileNotFoundError: if the file does not exist.
    """
    table = _table(path, path.stat().st_mtime_ns)
    try:
        return table.row(frame)
    except KeyError:
        raise DataError(f"{path}: expected a row for frame {frame}, got none (a missing face is valid=False)") from None


@lru_cache(maxsize=4)
def _table(path: Path, mtime_ns: int) -> LandmarkTable:
    # the time of change is part of the key, so an edited file is read again
    return read_npz(path)


def usable(points: npt.NDArray[np.float32], size: tuple[int, int] | None = None) -> bool:
    """Tell whether 68 points describe a face: finite, eyes at least 2 pixels apart and inside the picture.

    Args:
        points: `[68, 2]` in pixels.
        size: (height, width) of the picture, if known.
    """
    if not np.isfinite(points).all():
        return False
    eyes = np.stack([points[36:42].mean(axis=0), points[42:48].mean(axis=0)])
    if np.hypot(*(eyes[1] - eyes[0])) < 2:
        return False
    if size is None:
        return True
    return bool((eyes >= 0).all() and (eyes <= np.array([size[1] - 1, size[0] - 1])).all())
