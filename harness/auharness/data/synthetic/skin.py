"""The still layers of a subject on the canonical canvas: outline, relief, skin colour, ears, brows, beard and hair."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from auharness.data.synthetic.facial_hair import paint_beard, paint_brows
from auharness.data.synthetic.geometry import CANVAS, MIDDLE, neutral_landmarks
from auharness.data.synthetic.hair import paint_hair
from auharness.data.synthetic.identity import Identity
from auharness.data.synthetic.raster import Byte, Float, blur, fill, grid, noise, smoothstep, spline
from auharness.data.synthetic.wrinkles import au_relief

__all__ = ["Layers", "still_layers"]


@dataclass(frozen=True)
class Layers:
    """What moves as one sheet: colour and coverage, gloss, relief per AU, and the smooth depth used by the pose.

    `sheet` [height, width, 4] uint8: sRGB, alpha. `gloss` (0..1), `relief`, `depth` (pixels): [height, width].
    """

    sheet: Byte
    gloss: Float
    relief: Float
    au_relief: dict[int, Float]
    depth: Float


def _outline(identity: Identity, landmarks: Float) -> Float:
    """Return the head's coverage in 0..1 without hair or ears."""
    jaw = spline(landmarks[:17], steps=8)
    half = (jaw[-1, 0] - jaw[0, 0]) / 2
    angle = np.linspace(0, np.pi, 60, dtype=np.float32)
    middle = (jaw[-1, 0] + jaw[0, 0]) / 2
    skull_x = middle + half * 1.015 * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.94
    skull_y = jaw[0, 1] - 92 * identity.shape.length * np.abs(np.sin(angle)) ** 0.95
    canvas = np.zeros(CANVAS, np.uint8)
    fill(canvas, np.concatenate([jaw, np.stack([skull_x, skull_y], axis=1).astype(np.float32)]))
    return blur(canvas.astype(np.float32) / 255, 0.8)


def _blob(x: float, y: float, width: float, height: float) -> Float:
    across, down = grid(*CANVAS)
    return np.asarray(np.exp(-0.5 * (((across - x) / width) ** 2 + ((down - y) / height) ** 2)), np.float32)


def _pair(x: float, y: float, width: float, height: float) -> Float:
    """A Gaussian at `x` right of the mid-line and its mirror image."""
    return _blob(MIDDLE - x, y, width, height) + _blob(MIDDLE + x, y, width, height)


def _nose(identity: Identity, landmarks: Float) -> Float:
    shape = identity.shape
    across, down = grid(*CANVAS)
    root, tip, base = float(landmarks[27, 1]) - 4, float(landmarks[30, 1]), float(landmarks[33, 1])
    along = np.clip((down - root) / (tip - root), 0, 1)
    rise = np.where(down < root, np.exp(-(((down - root) / 7) ** 2)) * 2.5, 2.5 + 12 * along**1.25)
    # the underside of the nose falls steeply back to the lip
    under = 1 - smoothstep(down, base - 7.0, base + 4.0)
    bridge = rise * np.exp(-0.5 * ((across - MIDDLE) / (4.6 + 2.4 * along * shape.nose_width)) ** 2) * under
    wing_x = 11.0 * shape.nose_width
    ball = 7.5 * _blob(MIDDLE, tip + 2.0, 6.4 * shape.nose_width, 5.6)
    wings = 6.5 * _pair(wing_x, base - 5.5, 4.4, 4.6)
    return np.asarray(shape.nose_height * (bridge + (ball + wings) * under), np.float32)


def _relief(identity: Identity, landmarks: Float, cover: Float) -> Float:
    """Return the height of the resting face in pixels, sharp enough for shading."""
    shape = identity.shape
    across, down = grid(*CANVAS)
    up = np.where(down < 118, 100.0, 116.0)
    radius = ((across - MIDDLE) / (71 * shape.width)) ** 2 + ((down - 118) / up) ** 2
    height = 52 * np.sqrt(np.clip(1 - radius, 0, 1)) + 15 * np.sqrt(np.clip(blur(cover, 9) * 2 - 1, 0, 1))
    eye_y, mouth_y, chin_y = float(landmarks[36:48, 1].mean()), float(landmarks[48, 1]), float(landmarks[8, 1])
    brow_y = float(landmarks[[19, 24], 1].mean())
    height += 3.2 * _pair(26, brow_y + 1, 16, 5.5) - 2.0 * _pair(68, brow_y + 4, 12, 18)
    height -= 7.0 * _pair(23, eye_y - 2, 13, 8.5) - 4.2 * _pair(31, eye_y + 0.5, 9.5, 6.5)
    height += 4.5 * shape.cheekbone * _pair(41, eye_y + 27, 15, 12) - 2.5 * _pair(44, mouth_y + 2, 10, 16)
    height += 5.0 * _blob(MIDDLE, mouth_y, 22, 15) - 3.6 * _blob(MIDDLE, mouth_y + 16, 13, 4.0)
    height += 5.5 * shape.chin * _blob(MIDDLE, chin_y - 13, 12, 8.5) - 1.3 * _blob(MIDDLE, mouth_y - 11.5, 2.4, 4.5)
    height += 0.9 * _pair(4.6, mouth_y - 11, 1.7, 4.5)
    return np.asarray(height + _nose(identity, landmarks), np.float32)


def _depth(identity: Identity, landmarks: Float) -> Float:
    """Return the gentle depth map of the pose: slopes below 2, so that turning by 25 degrees never folds the sheet."""
    across, down = grid(*CANVAS)
    radius = ((across - MIDDLE) / (71 * identity.shape.width)) ** 2 + ((down - 124) / 114) ** 2
    dome = 54 * np.clip(1 - radius, 0, 1)
    return blur(np.asarray(dome, np.float32) + 0.8 * blur(_nose(identity, landmarks), 2.0), 2.5)


def _skin_colour(identity: Identity, landmarks: Float, rng: np.random.Generator) -> Float:
    """Return the resting skin's sRGB colour [height, width, 3] in 0..1."""
    skin = identity.skin
    eye_y, mouth_y = float(landmarks[36:48, 1].mean()), float(landmarks[48, 1])
    tone = np.asarray(skin.tone, np.float32)
    colour = np.broadcast_to(tone, (*CANVAS, 3)).copy()
    red = (
        0.9 * _pair(42, eye_y + 32, 17, 13)
        + 0.8 * _blob(MIDDLE, float(landmarks[30, 1]) + 3, 12, 8)
        + 0.35 * _blob(MIDDLE, mouth_y + 26, 16, 9)
    )
    red += 0.22 * noise(rng, *CANVAS, cell=(26, 26))
    colour += skin.redness * red[..., None] * np.array([0.035, -0.055, -0.05], np.float32) * (0.4 + 0.6 * tone.mean())
    socket = _pair(24, eye_y - 4, 14, 8) + (0.7 + 0.8 * skin.wrinkles) * _pair(29, eye_y + 10, 11, 4)
    colour *= 1 - 0.09 * socket[..., None] * np.array([0.7, 1.0, 0.85], np.float32)
    fine = 0.55 * noise(rng, *CANVAS, cell=(9, 9)) + 0.45 * noise(rng, *CANVAS, cell=(2, 2))
    colour *= 1 + 0.018 * skin.mottling * fine[..., None]
    if skin.freckles > 0:
        spots = smoothstep(noise(rng, *CANVAS, cell=(1.7, 1.7)), 1.0, 1.8) * np.clip(
            _pair(30, eye_y + 26, 26, 14) + _blob(MIDDLE, eye_y + 20, 16, 14), 0, 1
        )
        colour *= 1 - 0.34 * skin.freckles * spots[..., None] * np.array([0.35, 0.6, 0.8], np.float32)
    for _ in range(int(rng.integers(0, 4))):
        x, y = MIDDLE + rng.uniform(-48, 48), rng.uniform(70, 205)
        colour *= 1 - 0.55 * _blob(x, y, 1.1, 1.1)[..., None]
    nostrils = np.clip(_pair(6.6 * identity.shape.nose_width, float(landmarks[33, 1]) - 2.2, 2.5, 1.4) * 1.3, 0, 1)
    crease = np.clip(_pair(15.2 * identity.shape.nose_width, float(landmarks[31, 1]) - 3, 1.5, 3.6), 0, 1)
    colour *= 1 - (0.66 * nostrils + 0.16 * crease)[..., None] * np.array([0.85, 1.0, 1.0], np.float32)
    return np.asarray(colour, np.float32)


def _ears(identity: Identity, landmarks: Float, sheet: Float, relief: Float) -> None:
    """Paint both ears behind the head's outline, in place."""
    under = np.clip(1 - sheet[..., 3], 0, 1)
    for side, index in ((-1, 0), (1, 16)):
        x, y = float(landmarks[index, 0]) + 3.0 * side, float(landmarks[index, 1]) + 9
        canvas = np.zeros(CANVAS, np.uint8)
        angle = np.linspace(0, 2 * np.pi, 40, dtype=np.float32)
        lobe = 1 - 0.22 * np.clip(np.sin(angle), 0, 1)
        points = np.stack([x + side * 2 + 8.5 * lobe * np.cos(angle), y + 17 * np.sin(angle)], axis=1)
        fill(canvas, points.astype(np.float32))
        ear = blur(canvas.astype(np.float32) / 255, 0.7)
        hollow = _blob(x + side * 1.5, y + 1, 3.2, 7.5)
        tone = np.asarray(identity.skin.tone, np.float32) * np.array([1.0, 0.95, 0.94], np.float32)
        shade = (ear * under)[..., None]
        sheet[..., :3] = sheet[..., :3] * (1 - shade) + tone * (1 - 0.38 * hollow[..., None]) * shade
        sheet[..., 3] = np.maximum(sheet[..., 3], ear)
        relief += ear * under * (5 + 5 * blur(ear, 3) - 5 * hollow)


@lru_cache(maxsize=16)
def still_layers(identity: Identity) -> Layers:
    """Return the resting layers of a subject; about 60 ms, once per subject."""
    landmarks = neutral_landmarks(identity)
    rng = np.random.default_rng([identity.seed, 404])
    cover = _outline(identity, landmarks)
    relief = _relief(identity, landmarks, cover)
    per_au = au_relief(landmarks, identity.skin.wrinkles)
    for au, share in ((1, 0.22), (2, 0.12), (4, 0.10), (6, 0.12), (12, 0.24)):
        relief += share * identity.skin.wrinkles**1.3 * per_au[au]
    relief += 0.10 * identity.skin.mottling * noise(rng, *CANVAS, cell=(1.6, 1.6))
    sheet = np.concatenate([_skin_colour(identity, landmarks, rng), cover[..., None]], axis=2)
    gloss = np.full(CANVAS, 0.55 * identity.skin.gloss, np.float32)
    gloss *= (
        0.7
        + 0.5 * _blob(MIDDLE, 78, 30, 18)
        + 0.7 * _blob(MIDDLE, float(landmarks[30, 1]), 7, 14)
        + 0.3 * _pair(40, 140, 14, 10)
    )
    _ears(identity, landmarks, sheet, relief)
    paint_beard(identity, landmarks, sheet, relief, gloss)
    paint_brows(identity, landmarks, sheet, relief, gloss)
    paint_hair(identity, landmarks, sheet, relief, gloss)
    pixels = np.asarray(np.clip(sheet, 0, 1) * 255 + 0.5, np.uint8)
    return Layers(pixels, gloss, np.asarray(relief, np.float32), per_au, _depth(identity, landmarks))
