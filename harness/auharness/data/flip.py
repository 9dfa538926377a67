"""Horizontal flips that keep landmarks true: a mirrored left eye is a right eye, so indices swap with the pixels."""

import numpy as np
import numpy.typing as npt

__all__ = ["FLIP_68", "flip_image", "flip_landmarks"]


def _swap_index() -> npt.NDArray[np.intp]:
    index = np.arange(68)
    # jaw, brows, nostrils, upper outer lip and upper inner lip run from one side to the other: read backwards
    for start, stop in ((0, 17), (17, 27), (31, 36), (48, 55), (55, 60), (60, 65), (65, 68)):
        index[start:stop] = index[start:stop][::-1]
    # eyes run around: the outer corner and upper lid backwards, then the lower lid
    index[36:48] = [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    index.setflags(write=False)
    return index


FLIP_68 = _swap_index()
"""Index of each dlib-68 point's mirror partner; applying it twice gives the identity."""


def flip_landmarks(points: npt.NDArray[np.float32], width: int) -> npt.NDArray[np.float32]:
    """Mirror landmarks at the vertical axis of a picture and swap left with right.

    Args:
        points: `[..., 68, 2]` in pixels; whole numbers are pixel centres.
        width: picture width in pixels.

    Returns:
        `[..., 68, 2]` with x -> width - 1 - x, in the 68-point order of the mirrored face.
    """
    flipped = points[..., FLIP_68, :].copy()
    flipped[..., 0] = width - 1 - flipped[..., 0]
    return flipped


def flip_image(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Mirror a picture `[H, W, C]` at its vertical axis; returns a contiguous copy."""
    return np.ascontiguousarray(image[:, ::-1])
