"""Face alignment: the FFHQ crop by one warp, an eye-mouth similarity, or none; landmarks move with the pixels.

The FFHQ crop is a rotated square around the eyes and mouth: half its side is max(2.0 x eye distance, 1.8 x eye-mouth
distance), its centre lies 0.1 of the way from the eyes to the mouth (x_scale 1, y_scale 1, em_scale 0.1, the
parameters of the FG-Net aligner). The published recipe pads, blurs, warps to 4096 pixels and filters down; here one
bilinear warp goes to 512 pixels and an area average to the wanted size. Where the square leaves the picture, the
picture is mirrored at its border, without blur.
"""

from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from auharness.data.landmarks.mean_shape import MEAN_SHAPE, fit_similarity, transform
from auharness.errors import DataError

__all__ = ["METHODS", "Method", "align_face", "crop_matrix", "warp_face"]

Method = Literal["ffhq", "similarity", "none"]
METHODS: tuple[str, ...] = get_args(Method)

_WARP_SIZE = 512
_EM_SCALE = 0.1
_EYE_FACTOR = 2.0
_MOUTH_FACTOR = 1.8
# share of the crop's side that the mean shape's face box fills in the similarity crop
_SIMILARITY_FILL = 0.8


def crop_matrix(
    landmarks: npt.NDArray[np.float32], *, method: str, size: int, image_size: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Return the `[2, 3]` matrix from picture pixels to crop pixels; whole numbers are pixel centres in both.

    Args:
        landmarks: `[68, 2]` in pixels of the picture.
        method: `ffhq`, `similarity` (eye centres and mouth centre onto the mean shape's) or `none` (resize only).
        size: side of the crop in pixels.
        image_size: (height, width) of the picture.

    Raises:
        DataError: if the eyes coincide or a point is not finite.
    """
    if method == "none":
        height, width = image_size
        unit = np.array([[1 / width, 0, 0.5 / width], [0, 1 / height, 0.5 / height]])
    else:
        anchors = _anchors(landmarks.astype(np.float64))
        unit = _ffhq(*anchors) if method == "ffhq" else _similarity(*anchors)
    # `unit` maps to [0, 1] across the crop, borders included
    matrix = size * unit
    matrix[:, 2] -= 0.5
    return matrix


def align_face(
    image: npt.NDArray[np.uint8], landmarks: npt.NDArray[np.float32], *, method: str, size: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Return the aligned crop `[size, size, 3]` and the landmarks in crop pixels `[68, 2]`.

    Args:
        image: `[H, W, 3]` RGB.
        landmarks: `[68, 2]` in pixels of the picture; whole numbers are pixel centres.
        method: `ffhq`, `similarity` or `none`.
        size: side of the crop in pixels.

    Raises:
        DataError: if the eyes coincide or a point is not finite.
    """
    height, width = image.shape[:2]
    matrix = crop_matrix(landmarks, method=method, size=size, image_size=(height, width))
    moved = transform(matrix, landmarks)
    if method == "none":
        shrinks = height >= size and width >= size
        crop = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    else:
        crop = warp_face(image, matrix, size=size)
    return np.asarray(crop, dtype=np.uint8), moved


def _anchors(points: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Return the centres of the image-left eye, the image-right eye and the mouth corners."""
    left, right = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    mouth = (points[48] + points[54]) / 2
    if not np.isfinite(points).all() or np.hypot(*(right - left)) < 1e-3:
        raise DataError("landmarks: expected two eyes apart and finite points, got a degenerate face")
    return left, right, mouth


def _ffhq(
    left: npt.NDArray[np.float64], right: npt.NDArray[np.float64], mouth: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    eyes = (left + right) / 2
    across, down = right - left, mouth - eyes
    # the crop's x axis: the eye line and the line to the mouth, turned by a quarter, averaged
    axis = across - np.array([-down[1], down[0]])
    axis /= np.hypot(*axis)
    half = max(_EYE_FACTOR * np.hypot(*across), _MOUTH_FACTOR * np.hypot(*down))
    rotation = np.array([axis, [-axis[1], axis[0]]]) / (2 * half)
    return np.column_stack([rotation, 0.5 - rotation @ (eyes + _EM_SCALE * down)])


def _similarity(
    left: npt.NDArray[np.float64], right: npt.NDArray[np.float64], mouth: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    face = np.stack(_anchors(MEAN_SHAPE.astype(np.float64)))
    target = 0.5 + _SIMILARITY_FILL * (face - 0.5)
    return fit_similarity(np.stack([left, right, mouth]), target)


def warp_face(
    image: npt.NDArray[np.uint8], matrix: npt.NDArray[np.float64], *, size: int, way: int = cv2.INTER_LINEAR
) -> npt.NDArray[np.uint8]:
    """Return the crop `[size, size, 3]` that a matrix from picture pixels to crop pixels cuts out.

    Args:
        image: `[H, W, 3]` RGB; mirrored at its border.
        matrix: `[2, 3]`; whole numbers are pixel centres in both.
        size: side of the crop in pixels.
        way: interpolation of the warp, one of OpenCV's.
    """
    work = max(_WARP_SIZE, size)
    # pixel centres of the crop to pixel centres of the working picture
    ratio = work / size
    to_work = ratio * matrix
    to_work[:, 2] += 0.5 * (ratio - 1)
    shrink = int(1 / np.hypot(*to_work[:, 0]))
    if shrink >= 2:
        # a bilinear warp looks at two pixels only: average first when it would skip some
        image, to_work = _shrunk(image, to_work, shrink)
    warped = cv2.warpAffine(image, to_work, (work, work), flags=way, borderMode=cv2.BORDER_REFLECT_101)
    if work != size:
        warped = cv2.resize(warped, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(warped, dtype=np.uint8)


def _shrunk(
    image: npt.NDArray[np.uint8], matrix: npt.NDArray[np.float64], shrink: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    height, width = image.shape[:2]
    small = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    scale = np.array([width / small[0], height / small[1]])
    linear = matrix[:, :2] * scale
    shift = matrix[:, 2] + matrix[:, :2] @ (0.5 * (scale - 1))
    return np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), dtype=np.uint8), np.column_stack(
        [linear, shift]
    )
