"""Text landmark files with one `x y` line per point between braces (`.pts`)."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from auharness.errors import DataError

__all__ = ["read_pts"]


def read_pts(path: Path, num_points: int) -> npt.NDArray[np.float32]:
    """Return the points of one frame, `[num_points, 2]` in pixels, as written.

    Header lines (`version: 1`, `n_points: 49`) and braces are skipped.

    Raises:
        DataError: if a line is not two numbers, or their count differs.
        FileNotFoundError: if the file does not exist.
    """
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1):
        text = line.strip()
        if not text or text in "{}" or ":" in text:
            continue
        try:
            x, y = (float(value) for value in text.split())
        except ValueError:
            raise DataError(f"{path} line {number}: expected two numbers 'x y', got {text[:40]!r}") from None
        rows.append((x, y))
    if len(rows) != num_points:
        raise DataError(f"{path}: expected {num_points} points, got {len(rows)}")
    return np.array(rows, dtype=np.float32)
