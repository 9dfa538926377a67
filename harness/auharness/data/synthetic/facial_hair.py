"""Brows drawn hair by hair, and beards, on the canonical canvas."""

import numpy as np

from auharness.data.synthetic.geometry import CANVAS, MIDDLE
from auharness.data.synthetic.hair import strands_texture
from auharness.data.synthetic.identity import Identity
from auharness.data.synthetic.raster import Float, blur, fill, grid, noise, resize, smoothstep, spline, stroke

__all__ = ["paint_beard", "paint_brows"]


def paint_brows(identity: Identity, landmarks: Float, sheet: Float, relief: Float, gloss: Float) -> None:
    """Paint both brows hair by hair at four times the canvas, in place; they move with the skin afterwards."""
    hair = identity.hair
    rng = np.random.default_rng([identity.seed, 606])
    scale = 4
    for first in (17, 22):
        line = landmarks[first : first + 5] if first == 17 else landmarks[[26, 25, 24, 23, 22]]
        curve = spline(np.asarray(line, np.float32), steps=10)
        left, top = float(curve[:, 0].min()) - 10, float(curve[:, 1].min()) - 12
        region = (40, 64)
        canvas = np.zeros((region[0] * scale, region[1] * scale), np.uint8)
        inward = 1 if first == 17 else -1
        for t in np.sort(rng.uniform(0, 1, round(200 * hair.brow_density))):
            root = curve[int(t * (len(curve) - 1))]
            width = hair.brow_width * min(1.0, 0.35 + 1.5 * t) * (0.92 if t > 0.9 else 1)
            start = root + np.array([rng.normal(0, 0.8), rng.uniform(-0.5, 0.5) * width])
            # hairs stand up near the nose and lie outwards along the tail
            angle = np.radians(70 * t**2.2 - 8 + rng.normal(0, 9))
            length = rng.uniform(3.0, 5.2)
            tip = start + length * np.array([-inward * np.cos(angle), -np.sin(angle) * (0.9 if t > 0.25 else 0.3)])
            stroke(
                canvas,
                np.array([start, tip], np.float32),
                width=0.3,
                value=int(rng.integers(150, 255)),
                offset=(left, top),
                scale=scale,
            )
        body = np.zeros_like(canvas)
        taper = (
            np.interp(np.linspace(0, 1, len(curve)), [0, 0.35, 0.9, 1], [0.16, 0.42, 0.5, 0.34])[:, None]
            * hair.brow_width
        )
        normal = np.array([[0, 1.0]], np.float32)
        fill(
            body,
            np.concatenate([curve - taper * normal, (curve + taper * normal)[::-1]]).astype(np.float32),
            offset=(left, top),
            scale=scale,
        )
        soft = 0.62 * hair.brow_density * blur(body.astype(np.float32) / 255, 3.0)
        ink = resize(np.maximum(canvas.astype(np.float32) / 255, soft), region[1], region[0], area=True)
        full = np.zeros(CANVAS, np.float32)
        x0, y0 = round(left), round(top)
        full[y0 : y0 + region[0], x0 : x0 + region[1]] = ink[:, : CANVAS[1] - x0]
        alpha = np.clip(1.15 * full, 0, 0.95)[..., None]
        sheet[..., :3] = sheet[..., :3] * (1 - alpha) + np.asarray(hair.brow_colour, np.float32) * alpha
        relief += 0.8 * full
        gloss *= 1 - 0.7 * alpha[..., 0]


def paint_beard(identity: Identity, landmarks: Float, sheet: Float, relief: Float, gloss: Float) -> None:
    """Paint stubble, moustache, goatee or beard over the lower face, in place."""
    kind = identity.skin.beard
    if kind == "none":
        return
    rng = np.random.default_rng([identity.seed, 707])
    x, y = grid(*CANVAS)
    mouth_y, chin_y, base_y = float(landmarks[48, 1]), float(landmarks[8, 1]), float(landmarks[33, 1])
    cheek = (
        mouth_y
        - 16
        + 14 * np.cos(np.clip((np.abs(x - MIDDLE) - 14) / 30, 0, 1) * np.pi)
        - 20 * smoothstep(np.abs(x - MIDDLE), 46, 60)
    )
    lower = smoothstep(y - cheek.astype(np.float32), -3, 7)
    lip = np.exp(-((((x - MIDDLE) / 24) ** 2 + ((y - mouth_y - 1) / 9.5) ** 2) ** 3))
    upper_lip = np.exp(
        -(
            (((x - MIDDLE) / 29) ** 2 + ((y - (base_y + mouth_y) / 2 - 1.5 - ((x - MIDDLE) / 29) ** 2 * 8) / 6.5) ** 2)
            ** 2
        )
    )
    chin = np.exp(-((((x - MIDDLE) / 25) ** 2 + ((y - chin_y + 8) / 21) ** 2) ** 3))
    area = {
        "shadow": lower,
        "full": np.maximum(lower, upper_lip),
        "moustache": upper_lip,
        "goatee": np.maximum(upper_lip, chin * smoothstep(y, mouth_y + 7, mouth_y + 12)),
    }[kind]
    area = np.asarray(area * (1 - lip) * smoothstep(y, base_y, base_y + 5), np.float32)
    strands = strands_texture(rng, CANVAS, (MIDDLE, 120), curl=False) + 0.7 * noise(rng, *CANVAS, cell=(2, 1.4))
    if kind == "shadow":
        alpha = np.clip(area * (0.26 + 0.16 * noise(rng, *CANVAS, cell=(1.3, 1.3))), 0, 0.6)
    else:
        alpha = 0.9 * smoothstep(blur(area, 2) + 0.13 * strands, 0.30, 0.72)
    tint = np.asarray(identity.hair.brow_colour, np.float32) * 0.95
    colour = np.clip(tint * (1 + 0.3 * strands[..., None]), 0, 1)
    sheet[..., :3] = sheet[..., :3] * (1 - alpha[..., None]) + colour * alpha[..., None]
    if kind != "shadow":
        relief += alpha * (1.6 + 0.6 * strands)
    gloss *= 1 - 0.8 * alpha
