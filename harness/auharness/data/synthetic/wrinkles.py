"""Relief of action units: one height map per AU (creases and bulges, in pixels) for one face."""

import numpy as np

from auharness.data.synthetic.geometry import CANVAS, gaussian, place
from auharness.data.synthetic.muscles import ACTION_UNITS, ActionUnit, Crease
from auharness.data.synthetic.raster import Byte, Float, blur, grid, spline, stroke

__all__ = ["au_relief"]


def _draw(canvas: Byte, landmarks: Float, crease: Crease) -> None:
    """Draw a crease that fades out at both ends, on one or both halves."""
    for mirror in (False, True) if crease.mirrored else (False,):
        points = np.array([place(landmarks, spot, mirror=mirror) for spot in crease.points], np.float32)
        curve = spline(points, steps=8)
        for i in range(len(curve) - 1):
            t = (i + 0.5) / (len(curve) - 1)
            stroke(canvas, curve[i : i + 2], width=1, value=round(255 * min(1.0, (4 * t * (1 - t)) ** 0.6 + 0.12)))


def _grooves(unit: ActionUnit, landmarks: Float) -> Float:
    """Return the summed grooves of a unit: a valley with raised banks, `depth` pixels deep."""
    relief = np.zeros(CANVAS, np.float32)
    for width in sorted({crease.width for crease in unit.creases}):
        for depth in sorted({crease.depth for crease in unit.creases if crease.width == width}):
            canvas = np.zeros(CANVAS, np.uint8)
            for crease in unit.creases:
                if crease.width == width and crease.depth == depth:
                    _draw(canvas, landmarks, crease)
            line = canvas.astype(np.float32) / 255
            # a one-pixel line keeps peak 1 after the blur when scaled by sqrt(2 pi) sigma
            valley = blur(line, width) * np.float32(2.5 * width)
            banks = blur(line, 2.4 * width) * np.float32(2.5 * 2.4 * width)
            relief -= depth * (np.minimum(valley, 1.1) - 0.5 * np.minimum(banks, 1.2))
    return relief


def au_relief(landmarks: Float, wrinkles: float) -> dict[int, Float]:
    """Return AU -> relief [height, width] in pixels at strength 1; `wrinkles` (0..1) deepens the creases."""
    x, y = grid(*CANVAS)
    depth = 0.75 + 0.7 * wrinkles
    relief = {}
    for au, unit in ACTION_UNITS.items():
        if not unit.creases and not unit.bulges:
            continue
        height = depth * _grooves(unit, landmarks)
        for bulge in unit.bulges:
            for mirror in (False, True) if bulge.mirrored else (False,):
                height += bulge.amount * gaussian(bulge, landmarks, x, y, mirror=mirror)
        relief[au] = np.asarray(height, np.float32)
    return relief
