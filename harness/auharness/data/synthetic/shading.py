"""Light on a relief: normals, wrapped Lambert with warm terminator, soft specular, cavities and cast shadow.

All colours here are linear (sRGB squared), so that lights add.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from auharness.data.synthetic.identity import Colour
from auharness.data.synthetic.raster import Float, blur, resize, spread

__all__ = ["Light", "irradiance", "shade"]

_WRAP = (0.30, 0.16, 0.12)  # red light travels furthest under skin


@dataclass(frozen=True)
class Light:
    """A key light from `direction` (unit, x right, y down, z to the viewer) and an even ambient, linear per channel."""

    direction: tuple[float, float, float]
    view: tuple[float, float, float]
    key: Colour
    ambient: Colour


def _slopes(relief: Float) -> tuple[Float, Float]:
    across = np.asarray(cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8), np.float32)
    down = np.asarray(cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8), np.float32)
    return across, down


def _cast_shadow(relief: Float, light: Light) -> Float:
    """Return light's visibility in 0..1: the relief marched towards the light at a quarter of the resolution."""
    height, width = relief.shape
    small = resize(relief, width // 4, height // 4, area=True) / 4
    x, y, z = light.direction
    flat = float(np.hypot(x, y)) + 1e-6
    climb = max(z, 0.15) / flat
    hidden = np.zeros_like(small)
    for step in (1.5, 3.0, 5.0, 8.0):
        move = np.array([[1, 0, step * x / flat], [0, 1, step * y / flat]], np.float32)
        toward = cv2.warpAffine(
            small,
            move,
            (width // 4, height // 4),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        hidden = np.maximum(hidden, (toward - small - climb * step) / (0.6 + 0.25 * step))
    soft = np.asarray(np.clip(hidden, 0, 1), np.float32)
    return resize(np.asarray(1 - 0.75 * blur(soft, 0.9), np.float32), width, height)


def irradiance(relief: Float, light: Light) -> tuple[Float, Float]:
    """Return the light on a relief (linear, [height, width, 3]) and the specular term [height, width] in 0..1."""
    across, down = _slopes(relief)
    inverse = 1 / np.sqrt(1 + across * across + down * down)
    x, y, z = light.direction
    facing = (z - x * across - y * down) * inverse
    height, width = relief.shape
    small = resize(relief, width // 2, height // 2, area=True)
    cavity = resize(blur(small, 3.0) - small, width, height)
    open_sky = np.clip(1 - 0.14 * cavity, 0.45, 1.12)
    visible = _cast_shadow(relief, light)
    ambient = open_sky * (0.72 - 0.28 * down * inverse)
    planes = []
    for channel, wrap in enumerate(_WRAP):
        weight = np.float32(light.key[channel] / (1 + wrap))
        diffuse = np.maximum(facing + np.float32(wrap), 0) * visible
        planes.append(weight * diffuse + np.float32(light.ambient[channel]) * ambient)
    lit = np.asarray(cv2.merge(planes), np.float32)
    half = np.asarray(light.direction) + np.asarray(light.view)
    hx, hy, hz = half / np.linalg.norm(half)
    shine = np.maximum((hz - hx * across - hy * down) * inverse, 0) * visible
    for _ in range(4):
        shine = shine * shine
    return lit, np.asarray(shine, np.float32)


def shade(albedo: Float, relief: Float, gloss: Float, light: Light) -> tuple[Float, Float]:
    """Return the shaded linear colour [height, width, 3] and the irradiance, for features that are drawn on top."""
    lit, shine = irradiance(relief, light)
    key = np.asarray(light.key, np.float32)
    colour = albedo * lit
    colour += spread(gloss * shine) * (np.float32(0.17) * key)
    return np.asarray(colour, np.float32), lit
