"""Hair on the canonical canvas: strands on the head, and the long hair behind it."""

from functools import lru_cache

import numpy as np

from auharness.data.synthetic.geometry import CANVAS, MIDDLE
from auharness.data.synthetic.identity import Identity
from auharness.data.synthetic.raster import Float, blur, fill, grid, noise, sample, smoothstep, spline

__all__ = ["BACK_ORIGIN", "back_hair", "paint_hair", "strands_texture"]

BACK_ORIGIN = (64, 24)
"""Where the canvas starts inside the larger picture of the hair behind the head (x, y)."""

_BACK = (360, 320)  # height, width


def strands_texture(
    rng: np.random.Generator, shape: tuple[int, int], origin: tuple[float, float], *, curl: bool
) -> Float:
    """Return strand texture of unit scale: noise drawn out along rays from `origin`, or blobs for curls."""
    height, width = shape
    if curl:
        return np.asarray(
            0.75 * noise(rng, height, width, cell=(5, 5)) + 0.5 * noise(rng, height, width, cell=(2.5, 2.5)), np.float32
        )
    x, y = grid(height, width)
    angle = np.arctan2(x - origin[0], y - origin[1] + 1e-3) / np.pi
    radius = np.hypot(x - origin[0], y - origin[1])
    polar = 0.75 * noise(rng, 64, 1024, cell=(10, 1.6)) + 0.45 * noise(rng, 64, 1024, cell=(14, 9))
    wave = 0.006 * np.sin(radius / 13 + 4 * angle)
    return sample(polar, np.asarray((angle + wave + 1) * 511.5, np.float32), np.asarray(radius / 6, np.float32))


def _colour(identity: Identity, strands: Float) -> Float:
    base = np.asarray(identity.hair.colour, np.float32)
    return np.asarray(np.clip(base * (1 + 0.15 * strands[..., None]) + 0.012 * strands[..., None], 0, 1), np.float32)


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
            * np.abs(np.cos(angle)) ** 0.92,
            118 - (92 * identity.shape.length + bulk) * np.abs(np.sin(angle)) ** 0.94,
        ],
        axis=1,
    ).astype(np.float32)
    canvas = np.zeros(CANVAS, np.uint8)
    fill(canvas, np.concatenate([crown, line[::-1]]))
    return np.asarray(canvas / 255, np.float32)


def paint_hair(identity: Identity, landmarks: Float, sheet: Float, relief: Float, gloss: Float) -> None:
    """Paint the hair of the head over `sheet` [.., 4] (sRGB, alpha), and raise `relief`; in place."""
    hair = identity.hair
    if hair.style == "bald":
        return
    rng = np.random.default_rng([identity.seed, 505])
    strands = strands_texture(rng, CANVAS, (MIDDLE + 40 * hair.parting, -6), curl=hair.style == "curly")
    solid = _head_hair_mask(identity, landmarks)
    edge = 4.5 if hair.style == "curly" else 2.2
    near = blur(solid, edge)
    ragged = near + 0.20 * strands * smoothstep(near, 0.12, 0.35)
    mask = (
        smoothstep(ragged, 0.38, 0.62)
        if hair.style != "buzz"
        else 0.82 * smoothstep(blur(solid, 4) + 0.08 * noise(rng, *CANVAS, cell=(1.5, 1.5)), 0.2, 0.8)
    )
    colour = _colour(identity, strands if hair.style != "buzz" else 0.6 * noise(rng, *CANVAS, cell=(1.3, 1.3)))
    # the scalp side of the hairline lies in the hair's own shadow
    sheet[..., :3] *= 1 - 0.30 * (blur(solid, 5) * (1 - mask))[..., None]
    if hair.style in ("long", "bob", "fringe"):
        # the locks beside the face pass into the hair behind it
        mask = mask * (1 - smoothstep(grid(*CANVAS)[1], 150, 196))
    if hair.style in ("parted", "long"):
        x, y = grid(*CANVAS)
        line = np.exp(
            -(((x - MIDDLE - 36 * hair.parting - 0.12 * (y - 40) * np.sign(hair.parting)) / 1.4) ** 2)
        ) * smoothstep(y, 18, 34)
        colour *= 1 - 0.35 * np.asarray(line, np.float32)[..., None]
    # beyond the skull there is no skin to show through
    weight = np.maximum(mask, 1 - sheet[..., 3])[..., None]
    sheet[..., :3] = sheet[..., :3] * (1 - weight) + colour * weight
    sheet[..., 3] = np.maximum(sheet[..., 3], mask)
    lift = 0.25 if hair.style == "buzz" else 1.0
    relief += (
        mask * lift * (2.5 + 0.5 * hair.volume * blur(solid, 8) + (1.2 if hair.style == "curly" else 0.3) * strands)
    )
    gloss *= 1 - mask
    gloss += 0.22 * mask * (0.2 if hair.style in ("buzz", "curly") else 1)
    if hair.style == "bun":
        _paint_bun(identity, sheet, relief)


def _paint_bun(identity: Identity, sheet: Float, relief: Float) -> None:
    rng = np.random.default_rng([identity.seed, 506])
    x, y = grid(*CANVAS)
    radius = np.hypot((x - MIDDLE) / 25, (y - 17) / 18)
    mask = (1 - smoothstep(np.asarray(radius, np.float32), 0.92, 1.04)) * np.clip(1 - sheet[..., 3], 0, 1)
    strands = strands_texture(rng, CANVAS, (MIDDLE - 14, 40), curl=False)
    sheet[..., :3] = sheet[..., :3] * (1 - mask[..., None]) + 0.9 * _colour(identity, strands) * mask[..., None]
    sheet[..., 3] = np.maximum(sheet[..., 3], mask)
    relief += np.asarray(mask * (6 + 14 * np.sqrt(np.clip(1 - radius**2, 0, 1)) + 0.8 * strands), np.float32)


@lru_cache(maxsize=16)
def back_hair(identity: Identity) -> Float | None:
    """Return the hair behind head and neck, [360, 320, 4] linear colour times alpha and alpha, or None for short hair.

    The canvas starts at `BACK_ORIGIN` inside it.
    """
    hair = identity.hair
    if hair.style not in ("long", "bob", "fringe"):
        return None
    rng = np.random.default_rng([identity.seed, 808])
    bottom, flare = {"long": (318.0, 1.16), "bob": (214.0, 1.24), "fringe": (246.0, 1.12)}[hair.style]
    half = 66 * identity.shape.width + hair.volume * 0.55
    side = [
        (0.5, 44),
        (0.88, 70),
        (1.03, 110),
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
    strands = strands_texture(rng, _BACK, (MIDDLE + BACK_ORIGIN[0], -60), curl=False)
    solid = canvas.astype(np.float32) / 255
    near = blur(solid, 2.5)
    mask = smoothstep(near + 0.2 * strands * smoothstep(near, 0.12, 0.35), 0.38, 0.62)
    x, _ = grid(*_BACK)
    # darker towards the neck, where the head shades it
    shade = 0.30 + 0.55 * smoothstep(np.abs(x - MIDDLE - BACK_ORIGIN[0]), 30, 74)
    colour = _colour(identity, strands) ** 2 * shade[..., None]
    return np.asarray(np.concatenate([colour * mask[..., None], mask[..., None]], axis=2), np.float32)
