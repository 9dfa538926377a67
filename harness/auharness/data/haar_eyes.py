"""Alignment by OpenCV's cascades: the face's box, turned until the eyes are level, held steady over the clip.

Papers on expressions in the wild name the cascade and the eyes but no value; the values here are customary ones. A
frame's box, tilt and eye midpoint are replaced by their medians over five frames, so that a detector that trembles or
misses a frame does not look like motion. Where fewer than two of the five have a face (a single detection is mostly a
false one), the whole picture is the crop, as with `align=none`. Frames without a detection of their own, and single
ones, are counted as without a face.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from math import atan2, degrees, hypot
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from auharness.data.align import warp_face
from auharness.data.landmarks.haar import detect_eyes, detect_face_box
from auharness.data.landmarks.mean_shape import central_box, place_mean_shape, transform

__all__ = ["Pose", "align_by_pose", "find_pose", "pose_matrix", "steady"]

Image = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]
Pose = npt.NDArray[np.float64]
"""`[6]`: box x, y and side, tilt in degrees (clockwise), eye midpoint x and y; NaN where not found, in pixels."""

MARGIN = 0.15
"""Added to every side of the box, as a share of it."""
LARGEST_TILT = 30.0
"""Degrees; eyes that tilt more are taken for a false detection."""
CLOSEST_EYES = 0.2
"""Share of the box's width that two eyes are apart at least."""
WINDOW = 5
"""Frames in a median."""
CONFIRMED = 2
"""Frames of the window that a value must be found in, where it holds so many."""

_NOTHING: Pose = np.full(6, np.nan)
# a picture this small is a face crop already: only a large face in it is the face
_CROP_SIDE = 256
_LARGE_FACE = 0.4

T = TypeVar("T")


def find_pose(image: Image) -> Pose:
    """Return where the face of one picture is; all NaN without a face, tilt and midpoint NaN without two eyes.

    Args:
        image: `[H,W,3]` RGB. In one of at most 256 pixels a face fills at least 0.4 of the shorter side.
    """
    small = max(image.shape[:2]) <= _CROP_SIDE
    box = detect_face_box(image, smallest=_LARGE_FACE) if small else detect_face_box(image)
    if box is None:
        return _NOTHING
    eyes = detect_eyes(image, box)
    x, y, width, height = box
    side = min(width, height)
    pose = np.array([x + (width - side) / 2, y + (height - side) / 2, side, np.nan, np.nan, np.nan])
    if eyes is not None:
        (left_x, left_y), (right_x, right_y) = eyes
        across, down = right_x - left_x, right_y - left_y
        tilt = degrees(atan2(down, across))
        if abs(tilt) <= LARGEST_TILT and hypot(across, down) >= CLOSEST_EYES * width:
            pose[3:] = tilt, (left_x + right_x) / 2, (left_y + right_y) / 2
    return pose


def steady(frames: Iterable[tuple[T, Pose]]) -> Iterator[tuple[T, Pose, bool]]:
    """Yield every frame with the median pose of the five frames around it, and whether it has a face of its own.

    Holds three frames at a time. Values that were not found are left out of the medians; those found in fewer than two
    frames of the window are NaN.

    >>> sides = [100, 104, np.nan, 100, 180, 102]
    >>> poses = [np.array([side, side, side, np.nan, np.nan, np.nan]) for side in sides]
    >>> [(int(pose[2]), found) for _, pose, found in steady(zip(sides, poses, strict=True))]
    [(102, True), (100, True), (102, False), (103, True), (102, True), (102, True)]
    """
    ahead = WINDOW // 2
    waiting: deque[tuple[T, Pose]] = deque()
    poses: deque[Pose] = deque(maxlen=WINDOW)
    for frame, pose in frames:
        waiting.append((frame, pose))
        poses.append(pose)
        if len(waiting) > ahead:
            yield _released(waiting, poses)
    while waiting:
        if len(poses) > len(waiting) + ahead:
            poses.popleft()
        yield _released(waiting, poses)


def _released(waiting: deque[tuple[T, Pose]], poses: deque[Pose]) -> tuple[T, Pose, bool]:
    frame, own = waiting.popleft()
    needed = min(CONFIRMED, len(poses))
    known = [column[np.isfinite(column)] for column in np.stack(poses).T]
    median = np.array([np.median(values) if len(values) >= needed else np.nan for values in known])
    return frame, median, bool(np.isfinite(own[0]) and np.isfinite(median[0]))


def align_by_pose(
    image: Image, points: Points | None, pose: Pose, *, size: int
) -> tuple[npt.NDArray[np.uint8], Points]:
    """Return the crop `[size,size,3]` and its landmarks `[68,2]` in crop pixels.

    The picture is turned about the eye midpoint; border pixels are mirrored, and enlarging is bicubic.

    Args:
        image: `[H,W,3]` RGB.
        points: `[68,2]` in pixels of the picture, or None: the mean shape is placed into the box.
        pose: where the face is; without a box the whole picture is the crop.
        size: side of the crop in pixels.
    """
    height, width = image.shape[:2]
    if not np.isfinite(pose[0]):
        matrix = np.array([[size / width, 0, 0.5 * size / width - 0.5], [0, size / height, 0.5 * size / height - 0.5]])
        shape = place_mean_shape(central_box(height, width)) if points is None else points
        way = cv2.INTER_AREA if height >= size and width >= size else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(image, (size, size), interpolation=way), np.uint8), transform(matrix, shape)
    matrix = pose_matrix(pose, size=size)
    if points is None:
        # the face is upright in its crop, whatever its tilt in the picture
        inner = size / (1 + 2 * MARGIN)
        moved = place_mean_shape((MARGIN * inner, MARGIN * inner, inner, inner))
    else:
        moved = transform(matrix, points)
    larger = np.hypot(*matrix[:, 0]) > 1
    return warp_face(image, matrix, size=size, way=cv2.INTER_CUBIC if larger else cv2.INTER_LINEAR), moved


def pose_matrix(pose: Pose, *, size: int) -> npt.NDArray[np.float64]:
    """Return the `[2,3]` matrix from picture pixels to crop pixels of a pose with a box; no eyes are no turn."""
    x, y, side, tilt, middle_x, middle_y = pose
    if np.isnan(tilt):
        tilt, middle_x, middle_y = 0.0, x, y
    angle = np.deg2rad(tilt)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = np.array([middle_x, middle_y])
    scale = size / (side * (1 + 2 * MARGIN))
    corner = np.array([x, y]) - MARGIN * side
    # boxes are measured at pixel borders, the matrix at pixel centres
    shift = scale * (turn @ (0.5 - middle) + middle - corner) - 0.5
    return np.column_stack([scale * turn, shift])
