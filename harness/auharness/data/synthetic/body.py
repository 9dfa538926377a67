"""What does not move: backdrop, neck and clothes, drawn once per subject and scene as linear colour."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from auharness.data.synthetic.geometry import MIDDLE
from auharness.data.synthetic.identity import Identity, Scene
from auharness.data.synthetic.raster import Float, blur, fill, grid, noise, smoothstep, spline
from auharness.data.synthetic.shading import Light, shade

__all__ = ["backdrop", "body", "stage"]


@lru_cache(maxsize=16)
def backdrop(scene: Scene, size: int) -> Float:
    """Return what is behind the subject, [size, size, 3], linear."""
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
    colour = np.asarray(base * level[..., None], np.float32)
    if scene.backdrop == "blobs":
        shared = noise(rng, size, size, cell=(size / 5, size / 7))
        for channel in range(3):
            clutter = 0.5 * shared + 0.14 * noise(rng, size, size, cell=(size / 4, size / 5))
            colour[..., channel] *= np.exp(clutter)
        colour = blur(colour, size / 50)
    return np.asarray(np.clip(colour, 0, 1.5), np.float32)


def _half_outline(points: list[tuple[float, float]]) -> Float:
    right = np.array([(MIDDLE + x, y) for x, y in points], np.float32)
    left = right[::-1].copy()
    left[:, 0] = 2 * MIDDLE - left[:, 0]
    return np.concatenate([right, left])


@dataclass(frozen=True)
class _Frame:
    """A frame's pixels in canvas coordinates, and how canvas points get there."""

    x: Float
    y: Float
    scale: float
    corner: tuple[float, float]

    @classmethod
    def of(cls, scene: Scene, size: int) -> "_Frame":
        scale = scene.scale * size / 256
        corner = scene.centre[0] * size - MIDDLE * scale, scene.centre[1] * size - 130 * scale
        x, y = grid(size, size)
        return cls(
            np.asarray((x - corner[0]) / scale, np.float32),
            np.asarray((y - corner[1]) / scale, np.float32),
            scale,
            corner,
        )

    def cover(self, outline: Float) -> Float:
        """Return the coverage in 0..1 of a canvas polygon."""
        canvas = np.zeros(self.x.shape, np.uint8)
        fill(canvas, np.asarray(outline * self.scale + np.asarray(self.corner, np.float32), np.float32))
        return blur(canvas.astype(np.float32) / 255, max(0.7 * self.scale, 0.4))


def _neck(identity: Identity, frame: _Frame, light: Light, *, wide: float, chin: float) -> tuple[Float, Float]:
    """Return the neck's linear colour and its coverage."""
    rng = np.random.default_rng([identity.seed, 131])
    x, y = frame.x - np.float32(MIDDLE), frame.y
    outline = [(wide, 170.0), (wide, chin + 8), (wide + 6, chin + 24), (wide + 34, chin + 40), (wide, 420.0)]
    across = np.clip(x / (wide + 3), -1, 1)
    sinew = 1.4 * np.exp(-(((np.abs(x) - 17 + 0.16 * (y - chin)) / 4.5) ** 2))
    relief = np.asarray(frame.scale * (34 * np.sqrt(1 - 0.96 * across**2) + sinew), np.float32)
    mottling = 1 + 0.03 * noise(rng, *x.shape, cell=(9, 9))
    skin = np.asarray(np.asarray(identity.skin.tone, np.float32) ** 2 * mottling[..., None], np.float32)
    colour, _ = shade(skin, relief, np.full(x.shape, 0.12, np.float32), light)
    # the jaw shades the throat
    colour *= (0.34 + 0.60 * smoothstep(y - 0.10 * np.abs(x), chin - 6, chin + 34))[..., None]
    return colour, frame.cover(_half_outline(outline))


def _clothes(identity: Identity, frame: _Frame, light: Light, *, wide: float, chin: float) -> tuple[Float, Float]:
    """Return the clothes' linear colour and their coverage."""
    rng = np.random.default_rng([identity.seed, 132])
    x, y = frame.x - np.float32(MIDDLE), frame.y
    height, width = x.shape
    shoulders = _half_outline(
        [
            (wide - 6, chin + 38),
            (wide + 8, chin + 22),
            (wide + 30, chin + 34),
            (wide + 72, chin + 50),
            (wide + 96, chin + 90),
            (wide + 104, 460),
        ]
    )
    neckline = chin + rng.uniform(44, 66)
    collar = [(MIDDLE - wide + 6, chin + 38), (MIDDLE, neckline), (MIDDLE + wide - 6, chin + 38)]
    cover = frame.cover(np.concatenate([shoulders, spline(np.array(collar, np.float32), steps=12)]))
    folds = 1.3 * noise(rng, height, width, cell=(height / 9, width / 14))
    drape = frame.scale * (46 * np.exp(-((x / 92) ** 2)) + folds - 0.25 * np.clip(y - chin, 0, 200))
    weave = 1 + 0.05 * noise(rng, height, width, cell=(2, 2))
    dyed = np.asarray(np.asarray(identity.clothing, np.float32) ** 2 * weave[..., None], np.float32)
    colour, _ = shade(dyed, np.asarray(drape, np.float32), np.zeros(x.shape, np.float32), light)
    hem = np.clip(blur(cover, 2.2 * frame.scale) * 2 - 1, 0, 1)
    return colour * (0.72 + 0.28 * hem[..., None]), cover


@lru_cache(maxsize=16)
def body(identity: Identity, scene: Scene, size: int) -> Float:
    """Return neck and clothes [size, size, 4], linear colour times alpha, alpha, for a head at the scene's centre."""
    frame = _Frame.of(scene, size)
    light = Light(scene.light, (0, 0, 1), scene.key, scene.ambient)
    wide = 36 * identity.shape.jaw * identity.shape.width
    chin = 118 + 104 * identity.shape.length
    neck, neck_cover = _neck(identity, frame, light, wide=wide, chin=chin)
    cloth, cloth_cover = _clothes(identity, frame, light, wide=wide, chin=chin)
    bare = (neck_cover * (1 - cloth_cover))[..., None]
    worn = cloth_cover[..., None]
    return np.asarray(np.concatenate([neck * bare + cloth * worn, bare + worn], axis=2), np.float32)


@lru_cache(maxsize=16)
def stage(identity: Identity, scene: Scene, size: int) -> Float:
    """Return backdrop, neck and clothes [size, size, 3], linear, for a subject without hair behind the neck."""
    person = body(identity, scene, size)
    return np.asarray(backdrop(scene, size) * (1 - person[..., 3:]) + person[..., :3], np.float32)
