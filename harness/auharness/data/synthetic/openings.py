"""What opens and closes: eyelids and lips as curves, and all landmarks of a face under AUs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from auharness.data.synthetic.geometry import landmark_motion, neutral_landmarks
from auharness.data.synthetic.identity import Identity
from auharness.data.synthetic.muscles import LID_AUS
from auharness.data.synthetic.raster import Float, spline

__all__ = ["Eye", "Mouth", "eye_of", "mouth_of", "moved_landmarks"]


@dataclass(frozen=True)
class Eye:
    """One eye: upper and lower lid from the outer to the inner corner, [n, 2] each, and the eyeball's centre."""

    upper: Float
    lower: Float
    centre: tuple[float, float]
    opening: float


_LID = np.linspace(0, 1, 13, dtype=np.float32)
_UPPER_ARCH = np.asarray(np.abs(np.sin(np.pi * _LID**0.92)) ** 0.72, np.float32)
_LOWER_ARCH = np.asarray(np.abs(np.sin(np.pi * _LID**1.12)) ** 0.85, np.float32)


def eye_of(identity: Identity, moved: Float, visible: Mapping[int, float], *, left: bool) -> Eye:
    """Return an eye's lids, given the moved landmarks; `left` means the image-left eye."""
    outer, inner = (moved[36], moved[39]) if left else (moved[45], moved[42])
    up = low = 1.0
    for au, (upper_change, lower_change) in LID_AUS.items():
        up += upper_change * visible.get(au, 0.0)
        low += lower_change * visible.get(au, 0.0)
    rise = 7.0 * identity.shape.aperture * identity.shape.eye_size * max(up, -0.6)
    drop = 4.6 * identity.shape.eye_size * float(np.clip(low, 0.05, 1.3))
    rise = max(rise, 0.25 - drop)
    axis = outer + (inner - outer) * _LID[:, None]
    upper, lower = axis.copy(), axis.copy()
    upper[:, 1] -= rise * _UPPER_ARCH
    lower[:, 1] += drop * _LOWER_ARCH
    middle = (outer + inner) / 2
    return Eye(upper, lower, (float(middle[0]), float(middle[1] - 1.6)), rise + drop)


@dataclass(frozen=True)
class Mouth:
    """The lips' four edges from the image-left to the right corner, [n, 2] each, and the gap (pixels) at the middle."""

    upper_outer: Float
    upper_inner: Float
    lower_inner: Float
    lower_outer: Float
    gap: float


_ACROSS = np.linspace(0, 1, 25, dtype=np.float32)


def _edge(points: Float, x: Float) -> Float:
    """Return a smooth edge through landmarks, sampled at the given x."""
    curve = spline(points, steps=5)
    order = np.maximum.accumulate(curve[:, 0])
    return np.asarray(np.stack([x, np.interp(x, order, curve[:, 1])], axis=1), np.float32)


def mouth_of(identity: Identity, moved: Float, visible: Mapping[int, float]) -> Mouth:
    """Return the lips, given the moved landmarks; they part only by AU25, AU26 and what helps them (10, 12, 20)."""
    left, right = moved[48], moved[54]
    x = np.asarray(left[0] + (right[0] - left[0]) * _ACROSS, np.float32)
    upper = _edge(moved[48:55], x)
    lower = _edge(moved[[48, 59, 58, 57, 56, 55, 54]], x)
    part, jaw = max(visible.get(25, 0.0), 0.0), max(visible.get(26, 0.0), 0.0)
    help_part = 2.2 * visible.get(12, 0.0) + 3.0 * visible.get(10, 0.0) + 1.5 * visible.get(20, 0.0)
    gap = (6.2 + help_part) * part + 14.5 * jaw * (0.75 + 0.25 * min(part, 1.0))
    profile = np.abs(np.sin(np.pi * _ACROSS)) ** (0.62 if jaw < 0.3 else 0.75)
    thick = lower[:, 1] - upper[:, 1]
    opening = np.minimum(gap * profile, np.maximum(thick - 0.45 * _rest_thickness(identity) * profile, 0))
    shape = identity.shape
    share = 0.47 * shape.upper_lip / (0.47 * shape.upper_lip + 0.53 * shape.lower_lip)
    flesh = np.maximum(thick - opening, 0)
    # the cupid's bow is a dent of the outer edge only
    bow = np.exp(-(((_ACROSS - 0.5) / 0.07) ** 2)) * 0.5
    upper_inner = np.stack([x, upper[:, 1] + share * flesh + bow], axis=1)
    lower_inner = np.stack([x, upper_inner[:, 1] + opening], axis=1)
    return Mouth(upper, upper_inner.astype(np.float32), lower_inner.astype(np.float32), lower, float(opening[12]))


def _rest_thickness(identity: Identity) -> float:
    neutral = neutral_landmarks(identity)
    return float(neutral[57, 1] - neutral[51, 1])


def moved_landmarks(identity: Identity, visible: Mapping[int, float]) -> tuple[Float, tuple[Eye, Eye], Mouth]:
    """Return the frontal landmarks [68, 2] under AUs (canvas pixels), both eyes (image left first), the mouth."""
    moved = neutral_landmarks(identity) + landmark_motion(identity, visible)
    eyes = eye_of(identity, moved, visible, left=True), eye_of(identity, moved, visible, left=False)
    mouth = mouth_of(identity, moved, visible)
    for eye, (first, second, third, fourth) in zip(eyes, ((37, 38, 40, 41), (44, 43, 47, 46)), strict=True):
        moved[first], moved[second] = eye.upper[4], eye.upper[8]
        moved[third], moved[fourth] = eye.lower[8], eye.lower[4]
    moved[60:65] = mouth.upper_inner[[2, 8, 12, 16, 22]]
    moved[[67, 66, 65]] = mouth.lower_inner[[8, 12, 16]]
    return np.asarray(moved, np.float32), eyes, mouth
