"""A face box from OpenCV's Haar cascades, with the mean shape placed into it: no download, no points of its own."""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from auharness.data.landmarks.mean_shape import place_mean_shape

__all__ = ["detect_eyes", "detect_face_box", "haar_landmarks"]

Box = tuple[float, float, float, float]

_LONG_SIDE = 512
_SMALLEST_FACE = 0.15
# cascade and minNeighbors, tried in this order until one finds a face
_ATTEMPTS = (
    ("haarcascade_frontalface_default.xml", 5),
    ("haarcascade_frontalface_default.xml", 3),
    ("haarcascade_frontalface_alt2.xml", 3),
)

_EYES = "haarcascade_eye.xml"
_EYE_NEIGHBOURS = 5
# shares of the face box: where eyes are looked for, and how large they are
_EYE_ROWS = 0.6
_EYE_SIZES = (0.1, 0.5)


@lru_cache(maxsize=4)
def _cascade(name: str) -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / name))


def detect_face_box(image: npt.NDArray[np.uint8], *, smallest: float = _SMALLEST_FACE) -> Box | None:
    """Return the largest frontal face as (x, y, width, height) in pixels, or None.

    The picture is searched in grey, histogram-equalised, at a long side of at most 512 pixels; looser settings are
    tried only when the stricter find nothing.

    Args:
        image: `[H, W, 3]` RGB.
        smallest: side of the smallest face as a share of the picture's shorter side; never below 30 pixels.
    """
    scale = min(1.0, _LONG_SIDE / max(image.shape[:2]))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    grey = cv2.equalizeHist(grey)
    least = max(30, round(smallest * min(grey.shape)))
    for name, neighbours in _ATTEMPTS:
        boxes = _cascade(name).detectMultiScale(grey, scaleFactor=1.1, minNeighbors=neighbours, minSize=(least, least))
        if len(boxes):
            # ties are broken by position, so that the order of detections does not matter
            x, y, width, height = max((tuple(map(int, box)) for box in boxes), key=lambda b: (b[2] * b[3], b))
            return x / scale, y / scale, width / scale, height / scale
    return None


def detect_eyes(image: npt.NDArray[np.uint8], box: Box) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return the centres (x, y) of the image-left and the image-right eye in pixels, or None without one of each.

    Both are looked for in the upper 0.6 of the face box; in each half the largest counts.

    Args:
        image: `[H, W, 3]` RGB.
        box: (x, y, width, height) of the face in pixels.
    """
    left, top, width, height = (round(value) for value in box)
    part = image[max(top, 0) : top + round(_EYE_ROWS * height), max(left, 0) : left + width]
    grey = cv2.equalizeHist(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY))
    least, largest = (max(8, round(share * width)) for share in _EYE_SIZES)
    found = _cascade(_EYES).detectMultiScale(
        grey, scaleFactor=1.1, minNeighbors=_EYE_NEIGHBOURS, minSize=(least, least), maxSize=(largest, largest)
    )
    sides: tuple[list[tuple[int, float, float]], ...] = ([], [])
    for x, y, wide, high in (tuple(map(int, eye)) for eye in found):
        sides[x + wide / 2 > grey.shape[1] / 2].append((wide * high, x + wide / 2, y + high / 2))
    if not all(sides):
        return None
    (_, left_x, left_y), (_, right_x, right_y) = (max(side) for side in sides)
    corner_x, corner_y = max(left, 0), max(top, 0)
    return (corner_x + left_x, corner_y + left_y), (corner_x + right_x, corner_y + right_y)


def haar_landmarks(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32] | None:
    """Return the mean shape placed into the Haar face box, `[68, 2]` in pixels, or None if no face is found."""
    box = detect_face_box(image)
    return None if box is None else place_mean_shape(box)
