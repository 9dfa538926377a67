"""What does not move: backdrop, neck and clothes, drawn once per subject and scene as linear colour."""

from functools import lru_cache

import numpy as np

from auharness.data.synthetic.geometry import MIDDLE
from auharness.data.synthetic.identity import Identity, Scene
from auharness.data.synthetic.raster import Float, blur, fill, grid, noise, smoothstep, spline
from auharness.data.synthetic.shading import Light, shade

__all__ = ["stage"]


def _backdrop(scene: Scene, size: int) -> Float:
    rng = np.random.default_rng([scene.seed, 121])
    x, y = grid(size, size)
    base = np.asarray(scene.background, np.float32) ** 2
    toward = (x / size - 0.5) * scene.light[0] + (y / size - 0.5) * scene.light[1]
    level = 1 + 0.35 * toward - 0.25 * ((x / size - 0.5) ** 2 + (y / size - 0.5) ** 2)
    if scene.backdrop == "cloth":
        folds = noise(rng, size, size, cell=(size / 1.5, size / 9)) + 0.4 * noise(
            rng, size, size, cell=(size / 3, size / 22)
        )
        level = level * (1 + 0.16 * folds)
    colour = base * level[..., None]
    if scene.backdrop == "blobs":
        for channel in range(3):
            clutter = blur(noise(rng, size, size, cell=(size / 4, size / 5)), size / 40)
            colour[..., channel] *= np.exp(0.55 * clutter)
        colour *= np.exp(0.5 * np.sign(noise(rng, size, size, cell=(size / 3, size / 3))))[..., None] ** 0.4
        colour = blur(np.asarray(colour, np.float32), size / 50)
    return np.asarray(np.clip(colour, 0, 1.5), np.float32)


def _half_outline(points: list[tuple[float, float]]) -> Float:
    right = np.array([(MIDDLE + x, y) for x, y in points], np.float32)
    left = right[::-1].copy()
    left[:, 0] = 2 * MIDDLE - left[:, 0]
    return np.concatenate([right, left])


def _cover(size: int, outline: Float, *, scale: float, corner: tuple[float, float]) -> Float:
    canvas = np.zeros((size, size), np.uint8)
    fill(canvas, np.asarray(outline * scale + np.asarray(corner, np.float32), np.float32))
    return blur(canvas.astype(np.float32) / 255, max(0.7 * scale, 0.4))


@lru_cache(maxsize=16)
def stage(identity: Identity, scene: Scene, size: int) -> Float:
    """Return backdrop, neck and clothes [size, size, 3], linear, for a head that sits at the scene's centre."""
    rng = np.random.default_rng([identity.seed, 131])
    picture = _backdrop(scene, size)
    scale = scene.scale * size / 256
    corner = (scene.centre[0] * size - MIDDLE * scale, scene.centre[1] * size - 130 * scale)
    x, y = grid(size, size)
    x, y = np.asarray((x - corner[0]) / scale, np.float32), np.asarray((y - corner[1]) / scale, np.float32)
    light = Light(scene.light, (0, 0, 1), scene.key, scene.ambient)
    wide = 37 * identity.shape.jaw * identity.shape.width
    chin = 118 + 104 * identity.shape.length
    neck = _cover(
        size,
        _half_outline([(wide, 170), (wide, chin + 8), (wide + 6, chin + 24), (wide + 34, chin + 40), (wide, 420)]),
        scale=scale,
        corner=corner,
    )
    across = np.clip((x - MIDDLE) / (wide + 3), -1, 1)
    sinew = 1.6 * np.exp(-(((np.abs(x - MIDDLE) - 17 + 0.16 * (y - chin)) / 4) ** 2))
    relief = scale * (34 * np.sqrt(1 - 0.96 * across**2) + sinew)
    skin = np.asarray(identity.skin.tone, np.float32) ** 2 * (1 + 0.03 * noise(rng, size, size, cell=(9, 9)))[..., None]
    bare, _ = shade(
        np.asarray(skin, np.float32), np.asarray(relief, np.float32), np.full((size, size), 0.12, np.float32), light
    )
    # the jaw shades the throat
    bare *= (0.34 + 0.60 * smoothstep(y - 0.10 * np.abs(x - MIDDLE), chin - 6, chin + 34))[..., None]
    picture += (bare - picture) * neck[..., None]
    shoulders = [
        (wide - 6, chin + 38),
        (wide + 8, chin + 22),
        (wide + 30, chin + 34),
        (wide + 72, chin + 50),
        (wide + 96, chin + 90),
        (wide + 104, 460),
    ]
    collar = spline(
        np.array([(MIDDLE - wide + 6, chin + 38), (MIDDLE, chin + 58), (MIDDLE + wide - 6, chin + 38)], np.float32),
        steps=12,
    )
    outline = _half_outline(shoulders)
    half = len(shoulders)
    outline = np.concatenate([outline[:half], outline[half:], collar])
    cloth = _cover(size, outline, scale=scale, corner=corner)
    drape = (
        46 * np.exp(-(((x - MIDDLE) / 92) ** 2))
        + 1.3 * noise(rng, size, size, cell=(size / 9, size / 14))
        - 0.25 * np.clip(y - chin, 0, 200)
    )
    weave = 1 + 0.05 * noise(rng, size, size, cell=(2, 2))
    dyed = np.asarray(identity.clothing, np.float32) ** 2 * weave[..., None]
    worn, _ = shade(
        np.asarray(dyed, np.float32), np.asarray(scale * drape, np.float32), np.zeros((size, size), np.float32), light
    )
    hem = np.clip(blur(cloth, 2.2 * scale) * 2 - 1, 0, 1)
    picture += (worn * (0.72 + 0.28 * hem[..., None]) - picture) * cloth[..., None]
    return np.asarray(picture, np.float32)
