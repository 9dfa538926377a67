"""Where things are: neutral landmarks of an identity, their motion under AUs, lids, lips, and the head's pose.

The canonical canvas is a frontal face of `CANVAS` (height, width) pixels, about 1 px per mm. Skin motion is a sum of Gaussian
pulls (see `muscles`) on a coarse grid; lids and lips are curves of their own, so that they can open and close.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from auharness.data.synthetic.identity import FaceShape, Identity
from auharness.data.synthetic.muscles import ACTION_UNITS, LID_AUS, RENDERED_AUS, Bulge, Pull
from auharness.data.synthetic.raster import Float, grid, resize, sample, smoothstep, spline

__all__ = [
    "CANVAS",
    "MIDDLE",
    "MIRROR",
    "PIVOT",
    "Eye",
    "Mouth",
    "Pose",
    "deformation",
    "eye_of",
    "gaussian",
    "moved_landmarks",
    "mouth_of",
    "neutral_landmarks",
    "place",
    "strengths",
]

CANVAS = (256, 192)  # height, width
MIDDLE = 95.5  # x of the mid-line
_STEP = 4  # canvas pixels per cell of the motion grid
_EYE_LINE = 118.0

MIRROR: tuple[int, ...] = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *(27, 28, 29, 30, 35, 34, 33, 32, 31),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65),
)
"""Landmark index -> index of its mirror image (dlib-68)."""

# mean face, image-left half, as (x - mid-line, y); the other half is mirrored
_HALF: dict[int, tuple[float, float]] = {
    **dict(
        enumerate(
            [
                (-66, 117),
                (-65, 135),
                (-62.5, 153),
                (-58.5, 171),
                (-52, 188),
                (-42, 202),
                (-28, 213),
                (-14, 220),
                (0, 222),
            ]
        )
    ),
    **dict(enumerate([(-55, 104), (-46, 98.5), (-35, 96.5), (-24, 98), (-13.5, 101)], start=17)),
    **dict(enumerate([(0, 118), (0, 130), (0, 141.5), (0, 152.5), (-14, 159), (-7, 161.5), (0, 163.5)], start=27)),
    **{36: (-46, 118.5), 37: (-37, 112.5), 38: (-27, 112.5), 39: (-16.5, 120), 40: (-27, 122.5), 41: (-37, 123)},
    **{
        48: (-25, 182),
        49: (-15, 177),
        50: (-6, 174.3),
        51: (0, 175.6),
        57: (0, 194),
        58: (-7.5, 193.2),
        59: (-16, 189),
    },
    **{60: (-21, 182.2), 61: (-8.5, 182), 62: (0, 182.6), 66: (0, 182.6), 67: (-8.5, 182)},
}


def _mean_face() -> Float:
    face = np.zeros((68, 2), np.float32)
    for index, (x, y) in _HALF.items():
        face[index] = MIDDLE + x, y
        face[MIRROR[index]] = MIDDLE - x, y
    return face


def _stretch(face: Float, shape: FaceShape) -> Float:
    """Apply the proportions of one subject to the mean face."""
    x, y = face[:, 0] - np.float32(MIDDLE), face[:, 1].copy()
    jaw, brows, nose, eyes, mouth = slice(0, 17), slice(17, 27), slice(27, 36), slice(36, 48), slice(48, 68)
    down = smoothstep(y, 135, 195)[jaw]
    chin = smoothstep(y, 205, 222)[jaw]
    x[jaw] *= shape.width * (1 + (shape.jaw - 1) * down) * (1 + (shape.chin - 1) * chin)
    x[31:36] *= shape.nose_width
    y[nose] = _EYE_LINE + (y[nose] - _EYE_LINE) * shape.nose_length
    lip = np.where(y[mouth] < 182.2, shape.upper_lip, shape.lower_lip)
    y[mouth] = 182 + (y[mouth] - 182) * lip
    x[mouth] *= shape.mouth_width
    for side in (slice(36, 42), slice(42, 48)):
        centre = x[side].mean()
        outward = np.abs(x[side]) - abs(centre)
        x[side] = centre * shape.eye_spacing + (x[side] - centre) * shape.eye_size
        y[side] -= shape.eye_tilt * outward / 15
    x[brows] *= (1 + shape.eye_spacing) / 2
    y[brows] -= (
        shape.brow_height + shape.brow_arch * np.tile([-0.3, 0.8, 1.0, 0.3, -0.5], 2)[[0, 1, 2, 3, 4, 9, 8, 7, 6, 5]]
    )
    below = y > _EYE_LINE + 4
    below[eyes] = False
    y[below] = _EYE_LINE + (y[below] - _EYE_LINE) * shape.length
    return np.asarray(np.stack([x + np.float32(MIDDLE), y], axis=1), np.float32)


@lru_cache(maxsize=32)
def neutral_landmarks(identity: Identity) -> Float:
    """Return the frontal resting landmarks [68, 2] of a subject in canvas pixels (dlib order), before any AU."""
    face = _stretch(_mean_face(), identity.shape)
    rng = np.random.default_rng([identity.seed, 303])
    jitter = identity.shape.asymmetry * np.clip(rng.standard_normal((68, 2)), -1.5, 1.5)
    jitter[:17, 0] *= 1.5
    jitter[60:, 1] = 0
    return np.asarray(face + jitter, np.float32)


def strengths(identity: Identity, aus: Mapping[int, float]) -> dict[int, float]:
    """Return AU -> visible strength: the asked intensity on top of the resting face, scaled by the subject's expressivity."""
    resting, scale = dict(identity.resting), dict(identity.expressivity)
    visible = {}
    for au in RENDERED_AUS:
        asked = float(aus.get(au, 0.0))
        # the resting bias fades out as the muscle acts
        strength = asked * scale[au] + resting.get(au, 0.0) * (1 - 0.7 * asked)
        if strength:
            visible[au] = strength
    return visible


def place(landmarks: Float, spot: tuple[int, float, float], *, mirror: bool = False) -> tuple[float, float]:
    """Return the canvas position of an (anchor, out, down) spot, on the image-left half or mirrored."""
    anchor, out, down = spot
    x, y = landmarks[MIRROR[anchor] if mirror else anchor]
    return float(x + out if mirror else x - out), float(y + down)


def gaussian(spot: Pull | Bulge, landmarks: Float, x: Float, y: Float, *, mirror: bool = False) -> Float:
    """Return the Gaussian window of a pull or bulge at (x, y)."""
    centre_x, centre_y = place(landmarks, (spot.anchor, spot.out, spot.down), mirror=mirror)
    return np.asarray(
        np.exp(-0.5 * (((x - centre_x) / spot.width) ** 2 + ((y - centre_y) / spot.height) ** 2)), np.float32
    )


def _jaw(landmarks: Float, x: Float, y: Float) -> Float:
    """Return the downward motion (pixels) of AU26 at (x, y): the jaw turns about its joints, the cheeks stretch."""
    lip, chin = float(landmarks[57, 1]), float(landmarks[8, 1])
    across = np.exp(-(((x - MIDDLE) / 50) ** 4))
    return np.asarray(15 * smoothstep(y, lip - 26, lip + 0.35 * (chin - lip)) * across, np.float32)


def _motion(landmarks: Float, x: Float, y: Float) -> Float:
    """Return the displacement [au, *x.shape, 2] of every AU at strength 1 at points (x, y)."""
    moves = np.zeros((len(RENDERED_AUS), *x.shape, 2), np.float32)
    for row, au in enumerate(RENDERED_AUS):
        for pull in ACTION_UNITS[au].pulls:
            for mirror in (False, True) if pull.mirrored else (False,):
                window = gaussian(pull, landmarks, x, y, mirror=mirror)
                moves[row, ..., 0] += window * (pull.pull_out if mirror else -pull.pull_out)
                moves[row, ..., 1] += window * pull.pull_down
        if au == 26:
            moves[row, ..., 1] += _jaw(landmarks, x, y)
    return moves


@lru_cache(maxsize=16)
def _bases(identity: Identity) -> tuple[Float, Float]:
    landmarks = neutral_landmarks(identity)
    x, y = grid(*CANVAS, step=_STEP)
    return _motion(landmarks, x, y), _motion(landmarks, landmarks[:, 0], landmarks[:, 1])


def _combine(basis: Float, visible: Mapping[int, float]) -> Float:
    weights = np.array([visible.get(au, 0.0) for au in RENDERED_AUS], np.float32)
    return np.asarray(np.tensordot(weights, basis, 1), np.float32)


def deformation(identity: Identity, visible: Mapping[int, float]) -> tuple[Float, Float]:
    """Return, per canvas pixel, the neutral (x, y) that the moved skin there came from; each [height, width]."""
    field = _combine(_bases(identity)[0], visible)
    x, y = grid(*CANVAS, step=_STEP)
    offset = np.zeros_like(field)
    for _ in range(5):
        # invert p' = p + d(p); half steps converge where the jaw stretches the cheeks
        at_x = (x + offset[..., 0]) / _STEP - 0.375
        at_y = (y + offset[..., 1]) / _STEP - 0.375
        offset = offset - 0.65 * (offset + sample(field, at_x, at_y))
    dense = resize(np.asarray(offset, np.float32), CANVAS[1], CANVAS[0])
    full_x, full_y = grid(*CANVAS)
    return full_x + dense[..., 0], full_y + dense[..., 1]


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
    rise = 7.6 * identity.shape.aperture * identity.shape.eye_size * max(up, -0.6)
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
    """The lips' four edges from the image-left to the image-right corner, [n, 2] each, and the gap (pixels) at the middle."""

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
    gap = (6.2 + help_part) * part + 12.5 * jaw * (0.7 + 0.3 * min(part, 1.0))
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
    """Return the frontal landmarks [68, 2] under AUs (canvas pixels) with the two eyes (image left, right) and the mouth."""
    moved = neutral_landmarks(identity) + _combine(_bases(identity)[1], visible)
    eyes = eye_of(identity, moved, visible, left=True), eye_of(identity, moved, visible, left=False)
    mouth = mouth_of(identity, moved, visible)
    for eye, (first, second, third, fourth) in zip(eyes, ((37, 38, 40, 41), (44, 43, 47, 46)), strict=True):
        moved[first], moved[second] = eye.upper[4], eye.upper[8]
        moved[third], moved[fourth] = eye.lower[8], eye.lower[4]
    moved[60:65] = mouth.upper_inner[[2, 8, 12, 16, 22]]
    moved[[67, 66, 65]] = mouth.lower_inner[[8, 12, 16]]
    return np.asarray(moved, np.float32), eyes, mouth


@dataclass(frozen=True)
class Pose:
    """A posed head in the frame: image = scale * (R @ (x, y, z) - pivot) + centre, orthographic."""

    rotation: Float
    scale: float
    centre: tuple[float, float]

    @classmethod
    def of(cls, degrees: tuple[float, float, float], *, scale: float, centre: tuple[float, float]) -> "Pose":
        """Return the pose for (yaw, pitch, roll) in degrees: + turns to the image right, looks up, tilts clockwise."""
        yaw, pitch, roll = np.radians(degrees)
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        nod = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
        tilt = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
        return cls(np.asarray(tilt @ nod @ turn, np.float32), scale, centre)

    def project(self, points: Float, depth: Float) -> Float:
        """Return image points [n, 2] of canvas points [n, 2] at `depth` [n]."""
        x = points[:, 0] - np.float32(PIVOT[0])
        y = points[:, 1] - np.float32(PIVOT[1])
        posed = np.stack([x, y, depth - np.float32(PIVOT[2])], axis=1) @ self.rotation[:2].T
        return np.asarray(posed * np.float32(self.scale) + np.asarray(self.centre, np.float32), np.float32)

    def unproject(self, depth: Float, size: int) -> tuple[Float, Float]:
        """Return the canvas (x, y) seen by each pixel of a size x size frame, for a canvas depth map; fixed-point inversion."""
        step = 4 if size % 4 == 0 else 1
        u, v = grid(size, size, step=step)
        inverse = np.linalg.inv(self.rotation[:2, :2])
        slope = inverse @ self.rotation[:2, 2]
        du, dv = (u - self.centre[0]) / self.scale, (v - self.centre[1]) / self.scale
        flat_x = inverse[0, 0] * du + inverse[0, 1] * dv + PIVOT[0]
        flat_y = inverse[1, 0] * du + inverse[1, 1] * dv + PIVOT[1]
        height = np.full(u.shape, 30, np.float32)
        for _ in range(7):
            x = flat_x - slope[0] * (height - PIVOT[2])
            y = flat_y - slope[1] * (height - PIVOT[2])
            height = 0.3 * height + 0.7 * sample(depth, x, y)
        return resize(np.asarray(x, np.float32), size, size), resize(np.asarray(y, np.float32), size, size)


PIVOT = (MIDDLE, 150.0, -12.0)
"""Canvas point (x, y, depth) about which the head turns."""
