"""Where skin is: the resting landmarks of an identity and how action units move the skin around them.

The canonical canvas is a frontal face of `CANVAS` (height, width) pixels, about 1 px per mm. Skin motion is a sum of
Gaussian pulls (see `muscles`), kept per AU on a coarse grid; lids and lips have curves of their own (`openings`).
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from auharness.data.synthetic.identity import FaceShape, Identity
from auharness.data.synthetic.muscles import ACTION_UNITS, RENDERED_AUS, Bulge, Pull
from auharness.data.synthetic.raster import Float, grid, resize, sample, smoothstep

__all__ = [
    "CANVAS",
    "MIDDLE",
    "MIRROR",
    "asked_for",
    "deformation",
    "gaussian",
    "landmark_motion",
    "neutral_landmarks",
    "place",
    "strengths",
]

CANVAS = (256, 192)  # height, width
MIDDLE = 95.5  # x of the mid-line
_STEP = 4  # canvas pixels per cell of the motion grid
_EYE_LINE = 118.0
_HALF_SHOWN = 0.37  # intensity at which about half of the appearance shows

MIRROR: tuple[int, ...] = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *(27, 28, 29, 30, 35, 34, 33, 32, 31),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65),
)
"""Landmark index -> index of its mirror image (dlib-68)."""

# mean face, image-left half, as runs of (first index, x - mid-line and y of each point); the other half is mirrored
_HALF: tuple[tuple[int, tuple[float, ...]], ...] = (
    (0, (-63, 117, -62.5, 135, -60.5, 152, -56.5, 169, -49.5, 186, -39, 201, -25.5, 213, -12, 220, 0, 221.5)),  # jaw
    (17, (-55, 104, -46, 98.5, -35, 96.5, -24, 98, -13.5, 101)),  # brow
    (27, (0, 118, 0, 130, 0, 141.5, 0, 152.5, -14, 159, -7, 161.5, 0, 163.5)),  # nose
    (36, (-46, 118.5, -37, 112.5, -27, 112.5, -16.5, 120, -27, 122.5, -37, 123)),  # eye
    (48, (-25, 182, -15, 177, -6, 174.3, 0, 175.6)),  # upper lip
    (57, (0, 194, -7.5, 193.2, -16, 189)),  # lower lip
    (60, (-21, 182.2, -8.5, 182, 0, 182.6)),  # between the lips
    (66, (0, 182.6, -8.5, 182)),
)


def _mean_face() -> Float:
    face = np.zeros((68, 2), np.float32)
    for first, run in _HALF:
        for index, (x, y) in enumerate(zip(run[::2], run[1::2], strict=True), start=first):
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


def _response(intensity: float) -> float:
    """Return how much of the full appearance an intensity shows: traces stay faint, a marked AU is plain to see."""
    cubed, half = intensity**3, _HALF_SHOWN**3
    return cubed * (1 + half) / (cubed + half)


def asked_for(strength: float) -> float:
    """Return the AU intensity that shows this share of the full appearance on an average face, both in 0..1.

    >>> [round(asked_for(share), 3) for share in (0.0, 0.25, 1.0)]
    [0.0, 0.251, 1.0]
    """
    half = _HALF_SHOWN**3
    return float(np.cbrt(strength * half / (1 + half - strength)))


def strengths(identity: Identity, aus: Mapping[int, float]) -> dict[int, float]:
    """Return AU -> visible strength: what was asked, scaled by the subject's expressivity, on the resting face."""
    resting, scale = dict(identity.resting), dict(identity.expressivity)
    visible = {}
    for au in RENDERED_AUS:
        asked = _response(float(aus.get(au, 0.0)))
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
    return np.asarray(17 * smoothstep(y, lip - 26, lip + 0.35 * (chin - lip)) * across, np.float32)


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


def landmark_motion(identity: Identity, visible: Mapping[int, float]) -> Float:
    """Return the displacement [68, 2] of the skin at each resting landmark, in canvas pixels."""
    return _combine(_bases(identity)[1], visible)


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
