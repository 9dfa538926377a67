"""Hair on the canonical canvas: strands on the head, brows drawn hair by hair, beards, and the long hair behind the head."""

from functools import lru_cache

import numpy as np

from auharness.data.synthetic.geometry import CANVAS, MIDDLE
from auharness.data.synthetic.identity import Identity
from auharness.data.synthetic.raster import Float, blur, fill, grid, noise, resize, sample, smoothstep, spline, stroke

__all__ = ["BACK_ORIGIN", "back_hair", "paint_beard", "paint_brows", "paint_hair"]

BACK_ORIGIN = (64, 24)
"""Where the canvas starts inside the larger picture of the hair behind the head (x, y)."""

_BACK = (360, 320)  # height, width


def _strands(rng: np.random.Generator, shape: tuple[int, int], origin: tuple[float, float], *, curl: bool) -> Float:
    """Return strand texture of unit scale: noise drawn out along rays from `origin`, or blobs for curls."""
    height, width = shape
    if curl:
        return np.asarray(
            0.75 * noise(rng, height, width, cell=(5, 5)) + 0.5 * noise(rng, height, width, cell=(2.5, 2.5)), np.float32
        )
    x, y = grid(height, width)
    angle = np.arctan2(x - origin[0], y - origin[1] + 1e-3) / np.pi
    radius = np.hypot(x - origin[0], y - origin[1])
    polar = 0.7 * noise(rng, 64, 512, cell=(12, 2.2)) + 0.6 * noise(rng, 64, 512, cell=(16, 6))
    wave = 0.006 * np.sin(radius / 13 + 4 * angle)
    return sample(polar, np.asarray((angle + wave + 1) * 255.5, np.float32), np.asarray(radius / 6, np.float32))


def _colour(identity: Identity, strands: Float) -> Float:
    base = np.asarray(identity.hair.colour, np.float32)
    return np.asarray(np.clip(base * (1 + 0.27 * strands[..., None]) + 0.012 * strands[..., None], 0, 1), np.float32)


def _hairline(identity: Identity, landmarks: Float) -> Float:
    """Return the lower edge of the hair [n, 2] from the image-left sideburn over the forehead to the right one."""
    hair = identity.hair
    edge = float(landmarks[16, 0] - landmarks[0, 0]) / 2
    top = 62.0 + hair.hairline
    sideburn = {"buzz": 122.0, "short": 130.0, "parted": 128.0, "curly": 126.0, "bun": 112.0}.get(hair.style, 150.0)
    profile = [
        (-1.05, sideburn),
        (-0.93, sideburn - 4),
        (-0.89, 104),
        (-0.85, top + 24),
        (-0.66, top + 5),
        (-0.33, top - 2),
        (0, top - 3),
    ]
    if hair.style in ("long", "bob"):
        length = 214.0 if hair.style == "bob" else 246.0
        profile = [
            (-1.25, length),
            (-0.98, length - 4),
            (-0.93, 165),
            (-0.92, 120),
            (-0.78, top + 20),
            (-0.45, top + 3),
            (0, top - 8),
        ]
    if hair.style == "fringe":
        profile = [
            (-1.25, 216),
            (-1.0, 212),
            (-0.95, 165),
            (-0.92, 118),
            (-0.83, top + 22),
            (-0.45, top + 15),
            (0, top + 12),
        ]
    left = np.array([(MIDDLE + share * edge, y) for share, y in profile], np.float32)
    right = left[-2::-1].copy()
    right[:, 0] = 2 * MIDDLE - right[:, 0]
    line = np.concatenate([left, right])
    if hair.style in ("parted", "long", "bob"):
        # one side of the parting sweeps lower over the forehead
        sweep = np.exp(-(((line[:, 0] - MIDDLE) / edge + 0.55 * np.sign(hair.parting)) ** 2) / 0.08)
        line[:, 1] += 9 * sweep * (line[:, 1] < 110)
    return line


def _head_hair_mask(identity: Identity, landmarks: Float) -> Float:
    hair = identity.hair
    edge = float(landmarks[16, 0] - landmarks[0, 0]) / 2
    line = spline(_hairline(identity, landmarks), steps=8)
    angle = np.linspace(np.pi, 0, 60, dtype=np.float32)
    bulk = hair.volume
    crown = np.stack(
        [
            MIDDLE
            + (edge * 1.0 + bulk * (0.9 if hair.style == "curly" else 0.55))
            * np.sign(np.cos(angle))
            * np.abs(np.cos(angle)) ** 0.82,
            118 - (94 * identity.shape.length + bulk) * np.abs(np.sin(angle)) ** 0.86,
        ],
        axis=1,
    ).astype(np.float32)
    canvas = np.zeros(CANVAS, np.uint8)
    fill(canvas, np.concatenate([crown, line[::-1]]))
    return canvas.astype(np.float32) / 255


def paint_hair(identity: Identity, landmarks: Float, sheet: Float, relief: Float, gloss: Float) -> None:
    """Paint the hair of the head over `sheet` [.., 4] (sRGB, alpha), and raise `relief`; in place."""
    hair = identity.hair
    if hair.style == "bald":
        return
    rng = np.random.default_rng([identity.seed, 505])
    strands = _strands(rng, CANVAS, (MIDDLE + 40 * hair.parting, 18), curl=hair.style == "curly")
    solid = _head_hair_mask(identity, landmarks)
    edge = 4.5 if hair.style == "curly" else 2.2
    ragged = blur(solid, edge) + 0.20 * strands
    mask = (
        smoothstep(ragged, 0.38, 0.62)
        if hair.style != "buzz"
        else 0.82 * smoothstep(blur(solid, 4) + 0.08 * noise(rng, *CANVAS, cell=(1.5, 1.5)), 0.2, 0.8)
    )
    colour = _colour(identity, strands if hair.style != "buzz" else 0.6 * noise(rng, *CANVAS, cell=(1.3, 1.3)))
    # the scalp side of the hairline lies in the hair's own shadow
    sheet[..., :3] *= 1 - 0.30 * (blur(solid, 5) * (1 - mask))[..., None]
    if hair.style in ("parted", "long"):
        x, y = grid(*CANVAS)
        line = np.exp(
            -(((x - MIDDLE - 36 * hair.parting - 0.12 * (y - 40) * np.sign(hair.parting)) / 1.4) ** 2)
        ) * smoothstep(y, 18, 34)
        colour *= 1 - 0.35 * np.asarray(line, np.float32)[..., None]
    sheet[..., :3] = sheet[..., :3] * (1 - mask[..., None]) + colour * mask[..., None]
    sheet[..., 3] = np.maximum(sheet[..., 3], mask)
    lift = 0.25 if hair.style == "buzz" else 1.0
    relief += (
        mask * lift * (2.5 + 0.5 * hair.volume * blur(solid, 8) + (1.5 if hair.style == "curly" else 0.8) * strands)
    )
    gloss *= 1 - mask
    gloss += 0.55 * mask * (0.2 if hair.style in ("buzz", "curly") else 1)
    if hair.style == "bun":
        _paint_bun(identity, sheet, relief)


def _paint_bun(identity: Identity, sheet: Float, relief: Float) -> None:
    rng = np.random.default_rng([identity.seed, 506])
    x, y = grid(*CANVAS)
    radius = np.hypot((x - MIDDLE) / 25, (y - 17) / 18)
    mask = (1 - smoothstep(np.asarray(radius, np.float32), 0.92, 1.04)) * np.clip(1 - sheet[..., 3], 0, 1)
    strands = _strands(rng, CANVAS, (MIDDLE - 14, 40), curl=False)
    sheet[..., :3] = sheet[..., :3] * (1 - mask[..., None]) + 0.9 * _colour(identity, strands) * mask[..., None]
    sheet[..., 3] = np.maximum(sheet[..., 3], mask)
    relief += np.asarray(mask * (6 + 14 * np.sqrt(np.clip(1 - radius**2, 0, 1)) + 0.8 * strands), np.float32)


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
    strands = _strands(rng, CANVAS, (MIDDLE, 120), curl=False) + 0.7 * noise(rng, *CANVAS, cell=(2, 1.4))
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


@lru_cache(maxsize=16)
def back_hair(identity: Identity) -> Float | None:
    """Return the hair behind head and neck, [360, 320, 4] linear premultiplied colour and alpha, or None for short hair.

    The canvas starts at `BACK_ORIGIN` inside it.
    """
    hair = identity.hair
    if hair.style not in ("long", "bob", "fringe"):
        return None
    rng = np.random.default_rng([identity.seed, 808])
    bottom, flare = {"long": (318.0, 1.16), "bob": (214.0, 1.24), "fringe": (246.0, 1.12)}[hair.style]
    half = 66 * identity.shape.width + hair.volume * 0.55
    side = [
        (0.6, 16),
        (0.95, 52),
        (1.05, 110),
        (1.08, 170),
        (flare, bottom - 26),
        (flare * 0.93, bottom),
        (0.5, bottom + 6),
    ]
    right = np.array([(MIDDLE + share * half, y) for share, y in side], np.float32)
    left = right[::-1].copy()
    left[:, 0] = 2 * MIDDLE - left[:, 0]
    outline = spline(np.concatenate([right, left]) + np.array(BACK_ORIGIN, np.float32), steps=10, closed=True)
    canvas = np.zeros(_BACK, np.uint8)
    fill(canvas, outline)
    strands = _strands(rng, _BACK, (MIDDLE + BACK_ORIGIN[0], -60), curl=False)
    solid = canvas.astype(np.float32) / 255
    mask = smoothstep(blur(solid, 2.5) + 0.2 * strands, 0.38, 0.62)
    x, _ = grid(*_BACK)
    # darker towards the neck, where the head shades it
    shade = 0.30 + 0.55 * smoothstep(np.abs(x - MIDDLE - BACK_ORIGIN[0]), 30, 74)
    colour = _colour(identity, strands) ** 2 * shade[..., None]
    return np.asarray(np.concatenate([colour * mask[..., None], mask[..., None]], axis=2), np.float32)
