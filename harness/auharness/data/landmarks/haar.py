"""A face box from OpenCV's Haar cascades, with the mean shape placed into it: no download, no points of its own."""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from auharness.data.landmarks.mean_shape import place_mean_shape

__all__ = ["detect_face_box", "haar_landmarks"]

_LONG_SIDE = 512
_SMALLEST_FACE = 0.15
# cascade and minNeighbors, tried in this order until one finds a face
_ATTEMPTS = (
    ("haarcascade_frontalface_default.xml", 5),
    ("haarcascade_frontalface_default.xml", 3),
    ("haarcascade_frontalface_alt2.xml", 3),
)


@lru_cache(maxsize=4)
def _cascade(name: str) -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / name))


def detect_face_box(image: npt.NDArray[np.uint8]) -> tuple[float, float, float, float] | None:
    """Return the largest frontal face as (x, y, width, height) in pixels, or None.

    The picture is searched in grey, histogram-equalised, at a long side of at most 512 pixels, for faces of at least
    0.15 of its shorter side; looser settings are tried only when the stricter find nothing.

    Args:
        image: `[H, W, 3]` RGB.
    """
    scale = min(1.0, _LONG_SIDE / max(image.shape[:2]))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    grey = cv2.equalizeHist(grey)
    smallest = max(30, round(_SMALLEST_FACE * min(grey.shape)))
    for name, neighbours in _ATTEMPTS:
        boxes = _cascade(name).detectMultiScale(
            grey, scaleFactor=1.1, minNeighbors=neighbours, minSize=(smallest, smallest)
        )
        if len(boxes):
            # ties are broken by position, so that the order of detections does not matter
            x, y, width, height = max((tuple(map(int, box)) for box in boxes), key=lambda b: (b[2] * b[3], b))
            return x / scale, y / scale, width / scale, height / scale
    return None


def haar_landmarks(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32] | None:
    """Return the mean shape placed into the Haar face box, `[68, 2]` in pixels, or None if no face is found."""
    box = detect_face_box(image)
    return None if box is None else place_mean_shape(box)
