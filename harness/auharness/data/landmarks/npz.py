"""The npz landmark cache: any detector's 68 points of one sequence in one file, a missing face as an explicit row.

Arrays: `frame` int32 `[n]` (the label file's frame numbers, unique), `points` float32 `[n, 68, 2]` in pixels of the
undistorted frame (whole numbers are pixel centres), `valid` bool `[n]`.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from auharness.errors import DataError

__all__ = ["LandmarkTable", "read_npz", "write_npz"]


@dataclass(frozen=True, slots=True)
class LandmarkTable:
    """The landmarks of one sequence."""

    frame: npt.NDArray[np.int32]
    """`[n]`, unique."""
    points: npt.NDArray[np.float32]
    """`[n, 68, 2]` in pixels; undefined where not valid."""
    valid: npt.NDArray[np.bool_]
    """`[n]`, False where no face was found."""

    def row(self, frame: int) -> npt.NDArray[np.float32] | None:
        """Return the points of a frame, `[68, 2]`, or None where no face was found.

        Raises:
            KeyError: if the frame has no row.
        """
        found = np.flatnonzero(self.frame == frame)
        if len(found) == 0:
            raise KeyError(frame)
        return self.points[found[0]] if self.valid[found[0]] else None


def read_npz(path: Path) -> LandmarkTable:
    """Read one npz landmark file.

    Raises:
        DataError: if an array is missing, of another shape, or frames repeat.
        FileNotFoundError: if it does not exist.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: content[name] for name in ("frame", "points", "valid")}
    except FileNotFoundError:
        raise
    except Exception as error:  # on damaged bytes numpy and zipfile raise whatever they stumble over
        said = " ".join(f"{error}".split()) or type(error).__name__
        raise DataError(f"{path}: expected an npz file with frame, points and valid, got {said:.200}") from None
    n = len(arrays["frame"]) if arrays["frame"].ndim == 1 else -1
    if arrays["points"].shape != (n, 68, 2) or arrays["valid"].shape != (n,):
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        raise DataError(f"{path}: expected frame [n], points [n, 68, 2] and valid [n], got {shapes}")
    if len(np.unique(arrays["frame"])) != n:
        raise DataError(f"{path}: expected one row per frame, got a frame twice")
    with np.errstate(over="ignore", invalid="ignore"):  # a number without bounds is no face, as an infinite one
        frame, points = arrays["frame"].astype(np.int32), arrays["points"].astype(np.float32)
    return LandmarkTable(frame, points, arrays["valid"].astype(np.bool_))


def write_npz(path: Path, table: LandmarkTable) -> None:
    """Write one npz landmark file so that a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with partial.open("wb") as file:
        np.savez(
            file,
            frame=table.frame.astype(np.int32),
            points=table.points.astype(np.float32),
            valid=table.valid.astype(np.bool_),
        )
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
