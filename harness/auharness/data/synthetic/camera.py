"""The camera: exposure, colour, softness and sensor noise, from linear light to 8-bit sRGB."""

from functools import lru_cache

import cv2
import numpy as np

from auharness.data.synthetic.identity import Scene
from auharness.data.synthetic.raster import Byte, Float, blur, resize

__all__ = ["develop"]

_LUMA = np.array([0.30, 0.59, 0.11], np.float32)
_TILE = 384


@lru_cache(maxsize=2)
def _grain(_: int) -> Float:
    """Return one square of sensor noise [384, 384, 3], unit variance, partly shared by the channels."""
    rng = np.random.default_rng(141)
    own = rng.standard_normal((_TILE, _TILE, 3), dtype=np.float32)
    shared = rng.standard_normal((_TILE, _TILE, 1), dtype=np.float32)
    mixed = 0.75 * shared + 0.66 * own
    return np.asarray(0.62 * mixed + 0.62 * blur(mixed, 0.8) / 0.36 * 0.8, np.float32)


def _noise(size: int, rng: np.random.Generator) -> Float:
    tile = _grain(0)
    repeats = -(-size // (_TILE - 64))
    wide = np.tile(tile, (repeats, repeats, 1)) if repeats > 1 else tile
    dx, dy = (int(v) for v in rng.integers(0, wide.shape[0] - size + 1, 2))
    crop = wide[dy : dy + size, dx : dx + size]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    return crop if rng.random() < 0.5 else -crop


def _grading(scene: Scene) -> Float:
    """Return the matrix [3, 4] of saturation and contrast about mid-grey."""
    mix = scene.saturation * np.eye(3) + (1 - scene.saturation) * _LUMA
    return np.asarray(
        np.column_stack([1.06 * scene.contrast * mix, np.full(3, 0.5 - 0.5 * scene.contrast)]), np.float32
    )


def develop(linear: Float, scene: Scene, rng: np.random.Generator) -> Byte:
    """Return the photograph [size, size, 3] uint8 sRGB of linear light; `rng` draws this frame's noise and flicker."""
    size = linear.shape[0]
    flicker = 1 + 0.025 * float(np.clip(rng.standard_normal(), -2, 2))
    gain = np.asarray(scene.tint, np.float32) ** 2 * np.float32(scene.exposure * flicker)
    lit = linear * gain
    # a soft shoulder keeps highlights from clipping
    lit /= 1 + np.float32(0.16) * lit
    tone = np.asarray(cv2.transform(cv2.sqrt(np.maximum(lit, 0)), _grading(scene)), np.float32)
    if scene.softness > 1.01:
        low = max(16, round(size / scene.softness))
        tone = resize(resize(tone, low, low, area=True), size, size)
    if scene.blur * size / 256 > 0.2:
        tone = blur(np.asarray(tone, np.float32), scene.blur * size / 256)
    if scene.noise > 0:
        tone = tone + np.float32(scene.noise / 255) * _noise(size, rng)
    return np.asarray(cv2.convertScaleAbs(np.maximum(tone, 0), alpha=255), np.uint8)
