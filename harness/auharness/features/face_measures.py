"""Distances and angles of a face in 68 points (dlib order), free of place, in-plane turn and size."""

from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "Measures", "measures_of", "upright", "yaw_degrees"]

Floats = npt.NDArray[np.float64]
Measures = dict[str, Floats]
"""Measure -> `[T]`; lengths in eye distances, up and outward positive."""

# depth of the nose tip before the outer corners of the eyes, as a share of half their distance: generic heads of the
# literature lie between 0.6 and 1.0
_NOSE_DEPTH = 0.75
_CANTHI = 0.55  # inner corners' distance in eye distances, so that both units give lengths alike


def upright(points: Floats, *, unit: Literal["eyes", "canthi"] = "eyes") -> Floats:
    """Return `[T,68,2]` with the middle of the eyes at 0, the eye centres level, and lengths in eye distances.

    Args:
        points: `[T,68,2]`, x to the right, y down.
        unit: the distance of the eye centres, or of the inner corners (39, 42) divided by 0.55, their usual ratio.
    """
    left, right = points[:, 36:42].mean(1), points[:, 42:48].mean(1)
    across = right - left
    length = np.linalg.norm(across, axis=1)
    canthi = np.linalg.norm(points[:, 39] - points[:, 42], axis=1)
    scale = canthi / _CANTHI if unit == "canthi" else length
    cos, sin = (across / np.maximum(length, 1e-9)[:, None]).T
    turn = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], 1)
    centred = points - ((left + right) / 2)[:, None]
    return np.asarray(centred @ turn.transpose(0, 2, 1) / np.maximum(scale, 1e-9)[:, None, None])


def yaw_degrees(faces: Floats) -> Floats:
    """Return `[T]` degrees by which the head turns to the image right, from upright faces `[T,68,2]`.

    From how far the nose tip leaves the middle of the outer eye corners; within about 5 degrees on a usual head.
    """
    half = (faces[:, 45, 0] - faces[:, 36, 0]) / 2
    aside = faces[:, 30, 0] - (faces[:, 45, 0] + faces[:, 36, 0]) / 2
    return np.asarray(np.degrees(np.arctan2(aside, np.maximum(half, 1e-9) * _NOSE_DEPTH)))


def measures_of(
    faces: Floats, *, vertical: Literal["unit", "nose"] = "unit", neutral: Floats | None = None
) -> Measures:
    """Return the measures of upright faces `[T,68,2]`.

    Args:
        faces: as `upright` gives them.
        vertical: `nose` scales heights so that the nose (27-33) has its usual length in every frame.
        neutral: `[1,68,2]`, the face with the usual length; default the median of all frames.
    """

    def apart(first: int, second: int, of: Floats) -> Floats:
        return np.asarray(np.linalg.norm(of[:, first] - of[:, second], axis=1))

    nose = apart(27, 33, faces)
    nostrils = -faces[:, [31, 35], 1].mean(1)
    if vertical == "nose":
        usual = np.median(nose) if neutral is None else apart(27, 33, neutral)[0]
        faces = faces * np.stack([np.ones_like(nose), usual / np.maximum(nose, 1e-9)], -1)[:, None]
    up = -faces[..., 1]
    line = up[:, [39, 42]].mean(1)
    lids = [
        (apart(upper, lower, faces) + apart(upper_, lower_, faces)) / (2 * apart(outer, inner, faces))
        for upper, lower, upper_, lower_, outer, inner in ((37, 41, 38, 40, 36, 39), (44, 46, 43, 47, 45, 42))
    ]
    corner = [
        np.arctan2(up[:, 48] - up[:, 51], np.abs(faces[:, 51, 0] - faces[:, 48, 0])),
        np.arctan2(up[:, 54] - up[:, 51], np.abs(faces[:, 54, 0] - faces[:, 51, 0])),
    ]
    gap = apart(62, 66, faces)
    return {
        "inner_brow": up[:, [21, 22]].mean(1) - line,
        "outer_brow": (up[:, [17, 18]].mean(1) - up[:, 36] + up[:, [25, 26]].mean(1) - up[:, 45]) / 2,
        "mid_brow": up[:, [19, 24]].mean(1) - line,
        "frown": apart(21, 22, faces),
        "lids": np.asarray(sum(lids) / 2),
        # the lower lid's way to the mouth corner
        "lower_lid": (
            apart(40, 48, faces) + apart(41, 48, faces) + apart(46, 54, faces) + apart(47, 54, faces)
        ) / 4,
        "nose": nose,
        "nostrils": nostrils,
        "upper_lip": apart(33, 51, faces),
        "width": apart(48, 54, faces),
        "corner_rise": np.asarray(sum(corner) / 2),
        "corner_drop": up[:, [62, 66]].mean(1) - up[:, [48, 54]].mean(1),
        "chin": apart(57, 8, faces),
        "lips_thin": apart(51, 62, faces) + apart(66, 57, faces),
        "lips_press": apart(51, 57, faces),
        "gap": gap,
        "jaw": apart(8, 33, faces),
        "opening": gap / np.maximum(apart(60, 64, faces), 1e-9),
    }  # fmt: skip
