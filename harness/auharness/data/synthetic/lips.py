"""The mouth: lips as coloured relief before shading; cavity, teeth and tongue after it."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from auharness.data.synthetic.geometry import CANVAS, MIDDLE
from auharness.data.synthetic.identity import Identity
from auharness.data.synthetic.openings import Mouth
from auharness.data.synthetic.raster import Float, blur, fill, grid, noise, resize, stroke

__all__ = ["MouthLayer", "draw_cavity", "lay_lips", "mouth_layer"]

_WIDE, _TALL = 96, 88
_LEFT = (CANVAS[1] - _WIDE) // 2
_SCALE = 2
_TOOTH = 5.6  # width
_TOOTH_MIDDLE = MIDDLE + _TOOTH / 2  # two front teeth meet at the mid-line


@dataclass(frozen=True)
class MouthLayer:
    """Masks of the mouth region in 0..1, [88, 96]: both lips, the line between, the cavity; `top` is the first row."""

    upper: Float
    lower: Float
    line: Float
    cavity: Float
    top: int


def _mask(*edges: Float, top: int) -> Float:
    canvas = np.zeros((_TALL * _SCALE, _WIDE * _SCALE), np.uint8)
    fill(canvas, np.concatenate([edges[0], edges[1][::-1]]), offset=(_LEFT, top), scale=_SCALE)
    return resize(canvas.astype(np.float32) / 255, _WIDE, _TALL, area=True)


def mouth_layer(mouth: Mouth) -> MouthLayer:
    """Return the masks of a mouth."""
    top = int(np.clip(mouth.upper_outer[:, 1].mean() - 26, 0, CANVAS[0] - _TALL))
    ink = np.zeros((_TALL * _SCALE, _WIDE * _SCALE), np.uint8)
    for edge in (mouth.upper_inner, mouth.lower_inner):
        stroke(ink, edge[1:-1], width=1.0, offset=(_LEFT, top), scale=_SCALE)
    corners = np.concatenate([mouth.upper_inner[:2], mouth.upper_inner[-2:]])
    for pair in (corners[:2], corners[2:]):
        stroke(ink, pair, width=1.6, offset=(_LEFT, top), scale=_SCALE)
    line = resize(ink.astype(np.float32) / 255, _WIDE, _TALL, area=True)
    return MouthLayer(
        upper=_mask(mouth.upper_outer, mouth.upper_inner, top=top),
        lower=_mask(mouth.lower_inner, mouth.lower_outer, top=top),
        line=line,
        cavity=_mask(mouth.upper_inner, mouth.lower_inner, top=top),
        top=top,
    )


@lru_cache(maxsize=16)
def _lip_texture(identity: Identity) -> Float:
    rng = np.random.default_rng([identity.seed, 111])
    return noise(rng, _TALL, _WIDE, cell=(9, 1.6))


def lay_lips(
    albedo: Float, relief: Float, gloss: Float, identity: Identity, layer: MouthLayer, *, pressed: float
) -> None:
    """Colour and raise the lips on the canvas (linear albedo), in place, before shading; `pressed` (0..1) lips pale."""
    window = np.s_[layer.top : layer.top + _TALL, _LEFT : _LEFT + _WIDE]
    both = np.clip(layer.upper + layer.lower, 0, 1)
    soft = 0.25 * both + 0.75 * blur(both, 0.8)
    tint = np.asarray(identity.skin.lips, np.float32) ** 2
    tint = tint + (0.9 * np.asarray(identity.skin.tone, np.float32) ** 2 - tint) * np.float32(0.75 * pressed)
    texture = _lip_texture(identity)
    flesh = tint * ((1 + 0.07 * texture) * (1 - 0.12 * layer.upper))[..., None]
    target = albedo[window]
    target += (flesh - target) * (0.92 * soft)[..., None]
    target *= (1 - (0.62 + 0.2 * pressed) * np.clip(layer.line, 0, 1))[..., None]
    swell = 3.6 * identity.shape.upper_lip * blur(layer.upper, 2.0) + 5.2 * identity.shape.lower_lip * blur(
        layer.lower, 2.3
    )
    relief[window] += swell - 2.2 * blur(layer.line, 1.0) - 5.0 * blur(layer.cavity, 2.0) + 0.12 * texture * both
    gloss[window] += both * (0.45 - 0.5 * gloss[window])


def draw_cavity(colour: Float, lit: Float, mouth: Mouth, layer: MouthLayer) -> None:
    """Draw cavity, teeth and tongue over the shaded linear `colour`, in place."""
    if mouth.gap < 0.7:
        return
    window = np.s_[layer.top : layer.top + _TALL, _LEFT : _LEFT + _WIDE]
    x, y = grid(_TALL, _WIDE)
    columns = x[0] + _LEFT
    roof = np.interp(columns, mouth.upper_inner[:, 0], mouth.upper_inner[:, 1]) - layer.top
    floor = np.interp(columns, mouth.lower_inner[:, 0], mouth.lower_inner[:, 1]) - layer.top
    half = max(float(np.ptp(mouth.upper_inner[:, 0])) / 2, 1.0)
    across = (columns - float(mouth.upper_inner[:, 0].mean())) / half
    light = lit[window][20:60, 24:72].mean(axis=(0, 1)) * 0.9 + 0.06
    deep = np.broadcast_to(np.array([0.055, 0.012, 0.012], np.float32), (_TALL, _WIDE, 3)).copy()
    tongue_y = floor + 3.5 - 0.30 * (floor - roof)
    tongue = (
        np.clip(1 - (((columns - columns.mean()) / (0.66 * half)) ** 2 + ((y - tongue_y - 5.0) / 7.5) ** 2), 0, 1)
        ** 0.5
    )
    deep += (np.array([0.27, 0.075, 0.075], np.float32) - deep) * (
        0.8 * tongue * np.clip((floor - roof - 5) / 6, 0, 1)
    )[..., None]
    enamel = np.array([0.74, 0.68, 0.58], np.float32)
    edge = np.clip(1.04 - across**2, 0, 1)
    for start, size, sign, share in ((roof - 0.8, 8.4 * edge**0.6, 1, 1.0), (floor + 1.8, 5.0 * edge, -1, 0.75)):
        down = (y - start) * sign
        tooth = np.clip(down + 0.6, 0, 1) * np.clip(size - down + 0.5, 0, 1)
        if sign < 0:
            tooth = tooth * np.clip((floor - roof - 9) / 3, 0, 1)
        gaps = 1 - 0.34 * np.exp(-(((((columns - _TOOTH_MIDDLE) / _TOOTH % 1) - 0.5) * _TOOTH / 0.55) ** 2))
        dark = (1 - 0.62 * np.abs(across) ** 1.7) * gaps * np.clip(0.55 + 0.13 * down, 0, 1)
        deep += (enamel * share * dark[..., None] - deep) * tooth[..., None]
    cover = layer.cavity[..., None]
    target = colour[window]
    target += (deep * light * 1.05 - target) * cover
