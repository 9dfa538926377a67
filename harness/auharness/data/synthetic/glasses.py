"""Glasses: a thin frame drawn once per subject on the canonical canvas."""

from functools import lru_cache

import numpy as np

from auharness.data.synthetic.geometry import CANVAS, neutral_landmarks
from auharness.data.synthetic.identity import Identity
from auharness.data.synthetic.raster import Float, resize, stroke

__all__ = ["frame_of_glasses"]

_SCALE = 3
_ROUNDNESS = {"round": 2.0, "square": 4.5, "half": 3.4}  # exponent of the superellipse


@lru_cache(maxsize=16)
def frame_of_glasses(identity: Identity) -> Float | None:
    """Return the frame's coverage [height, width, 1] in 0..1, or None for a subject without glasses."""
    if identity.glasses == "none":
        return None
    landmarks = neutral_landmarks(identity)
    canvas = np.zeros((CANVAS[0] * _SCALE, CANVAS[1] * _SCALE), np.uint8)
    angle = np.linspace(0, 2 * np.pi, 73, dtype=np.float32)
    power = 2 / _ROUNDNESS[identity.glasses]
    rims = []
    for eye in (slice(36, 42), slice(42, 48)):
        centre = landmarks[eye].mean(axis=0)
        x = centre[0] + 24 * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
        y = centre[1] + 4 + 18.5 * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power
        rim = np.stack([x, y], axis=1).astype(np.float32)
        shown = rim[36:] if identity.glasses == "half" else rim
        stroke(canvas, shown, width=2.0 if identity.glasses == "square" else 1.4, scale=_SCALE)
        rims.append((float(x.min()), float(x.max()), float(centre[1])))
    bridge_y = (rims[0][2] + rims[1][2]) / 2
    bridge = [(rims[0][1], bridge_y + 1), ((rims[0][1] + rims[1][0]) / 2, bridge_y - 2), (rims[1][0], bridge_y + 1)]
    stroke(canvas, np.array(bridge, np.float32), width=1.6, scale=_SCALE)
    for rim_x, ear in ((rims[0][0], landmarks[0]), (rims[1][1], landmarks[16])):
        stroke(canvas, np.array([(rim_x, bridge_y), (ear[0], ear[1] + 1)], np.float32), width=1.4, scale=_SCALE)
    return resize(canvas.astype(np.float32) / 255, CANVAS[1], CANVAS[0], area=True)[..., None]
