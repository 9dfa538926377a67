"""Eyes drawn at three times the canvas: eyeball, iris, lashes, the upper lid's fold, the lower lid's furrow."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from auharness.data.synthetic.identity import Identity
from auharness.data.synthetic.openings import Eye
from auharness.data.synthetic.raster import Float, blur, fill, grid, noise, resize, stroke

__all__ = ["draw_eye"]

_WIDE, _TALL = 48, 36  # canvas pixels around one eye
_SCALE = 3
_RADIUS = 6.3  # of the iris


@lru_cache(maxsize=16)
def _iris(identity: Identity) -> Float:
    """Return the iris sprite [n, n, 4], linear colour and alpha, at `_SCALE`."""
    rng = np.random.default_rng([identity.seed, 909])
    half = round(_RADIUS * _SCALE) + 2
    x, y = grid(2 * half + 1, 2 * half + 1)
    radius = np.hypot(x - half, y - half) / (_RADIUS * _SCALE)
    angle = (np.arctan2(y - half, x - half) / np.pi + 1) * 31.5
    fibres = np.interp(angle.ravel(), np.arange(64), noise(rng, 2, 64, cell=(1, 1))[0]).reshape(x.shape)
    base = np.asarray(identity.iris, np.float32) ** 2
    ring = 1 + 0.45 * np.exp(-(((radius - 0.55) / 0.2) ** 2)) - 0.75 * np.clip((radius - 0.78) / 0.2, 0, 1)
    colour = base * (ring * (1.12 + 0.2 * fibres))[..., None]
    pupil = np.clip((radius - 0.40) / 0.07, 0, 1)[..., None]
    alpha = np.clip((1.0 - radius) / 0.09, 0, 1)
    return np.asarray(np.concatenate([colour * pupil + 0.004, alpha[..., None]], axis=2), np.float32)


def _ball(identity: Identity, eye: Eye, *, origin: tuple[float, float], gaze: tuple[float, float]) -> Float:
    """Return the eyeball's linear colour [tall, wide, 3] at `_SCALE`, unlit."""
    x, y = grid(_TALL * _SCALE, _WIDE * _SCALE)
    lid_x = (eye.upper[:, 0] - origin[0]) * _SCALE
    lid_y = (eye.upper[:, 1] - origin[1]) * _SCALE
    order = np.argsort(lid_x)
    lid = np.interp(x[0], lid_x[order], lid_y[order])
    corner = np.abs(x[0] - lid_x.mean()) / (np.ptp(lid_x) / 2)
    white = np.array([0.58, 0.54, 0.51], np.float32) * (1 - 0.45 * np.clip(corner, 0, 1) ** 3)[None, :, None]
    ball = np.broadcast_to(white, (*x.shape, 3)).copy()
    pink = np.clip(corner - 0.72, 0, 0.4)[None, :, None] * np.array([0.0, 0.55, 0.5], np.float32)
    ball *= 1 - pink
    sprite = _iris(identity)
    half = sprite.shape[0] // 2
    cx = round((eye.centre[0] + gaze[0] - origin[0]) * _SCALE)
    cy = round((eye.centre[1] + gaze[1] - origin[1]) * _SCALE)
    patch = ball[cy - half : cy + half + 1, cx - half : cx + half + 1]
    patch += (sprite[..., :3] - patch) * sprite[..., 3:]
    # the upper lid and its lashes shade the top of the ball
    ball *= (1 - 0.62 * np.exp(-np.clip((y - lid) / (2.3 * _SCALE), 0, 9)))[..., None]
    return ball


def _glint(eye: Eye, light_x: float, light_y: float, *, origin: tuple[float, float]) -> Float:
    x, y = grid(_TALL * _SCALE, _WIDE * _SCALE)
    at_x = (eye.centre[0] + 2.4 * light_x - origin[0]) * _SCALE
    at_y = (eye.centre[1] - 1.6 + 1.6 * light_y - origin[1]) * _SCALE
    return np.asarray(np.exp(-((((x - at_x) / 3.0) ** 2 + ((y - at_y) / 2.7) ** 2) ** 2)), np.float32)


def _lines(
    eye: Eye, visible: Mapping[int, float], *, origin: tuple[float, float], outward: int, lashes: float
) -> Float:
    """Return the ink [tall, wide, 3] of lashes, upper fold and lower furrow in 0..1, at canvas resolution."""
    ink = np.zeros((3, _TALL * _SCALE, _WIDE * _SCALE), np.uint8)
    wing = eye.upper[:1] + np.array([[2.4 * lashes * outward, -0.5]], np.float32)
    upper = np.concatenate([wing, eye.upper])
    stroke(ink[0], upper, width=0.7 + lashes, offset=origin, scale=_SCALE)
    stroke(
        ink[0],
        upper[:7] - np.array([[0, 0.9]], np.float32),
        width=1.4,
        value=round(200 * lashes),
        offset=origin,
        scale=_SCALE,
    )
    stroke(ink[0], eye.lower[1:9], width=0.7, value=110, offset=origin, scale=_SCALE)
    raised = 4.6 - 1.6 * visible.get(5, 0.0) - 1.2 * visible.get(4, 0.0) + 2.6 * visible.get(45, 0.0)
    arch = np.sin(np.linspace(0.12, 1, len(eye.upper)) * np.pi)[:, None] * np.array([[0, 1.0]], np.float32)
    stroke(
        ink[1],
        (eye.upper - max(raised, 1.8) * arch - np.array([[0, 0.8]], np.float32)).astype(np.float32),
        width=1.3,
        offset=origin,
        scale=_SCALE,
    )
    bag = 0.22 + 0.45 * max(visible.get(7, 0.0), 0.0) + 0.55 * max(visible.get(6, 0.0), 0.0)
    below = eye.lower + (4.2 * arch).astype(np.float32)
    stroke(ink[2], below[1:12], width=1.2, value=round(255 * min(bag, 1.0)), offset=origin, scale=_SCALE)
    soft = np.stack([ink[0] / 255.0, ink[1] / 255.0, ink[2] / 255.0], axis=2).astype(np.float32)
    soft[..., 1:] = blur(soft[..., 1:].copy(), 2.2)
    return resize(soft, _WIDE, _TALL, area=True)


def draw_eye(
    colour: Float,
    lit: Float,
    identity: Identity,
    eye: Eye,
    visible: Mapping[int, float],
    look: tuple[float, float, float, float],
) -> None:
    """Draw one eye over the shaded linear `colour` [height, width, 3], in place.

    Args:
        colour: shaded canvas.
        lit: irradiance of the canvas, from which the eyeball takes its light.
        identity: whose eye.
        eye: lids and centre.
        visible: AU strengths.
        look: gaze (x, y) in pixels, then the key light's (x, y) for the glint.
    """
    left, top = int(eye.centre[0] - _WIDE / 2), int(eye.centre[1] - _TALL / 2)
    origin = (float(left), float(top))
    window = np.s_[top : top + _TALL, left : left + _WIDE]
    target = colour[window]
    light = lit[window][6:-6, 8:-8].mean(axis=(0, 1)) * 0.95 + 0.05
    outward = -1 if eye.upper[0, 0] < eye.upper[-1, 0] else 1
    lines = _lines(eye, visible, origin=origin, outward=outward, lashes=identity.lashes)
    target *= (
        1
        - lines[..., 1:2] * np.array([0.42, 0.52, 0.52], np.float32)
        - lines[..., 2:] * np.array([0.42, 0.54, 0.54], np.float32)
    )
    if eye.opening > 0.8:
        opening = np.zeros((_TALL * _SCALE, _WIDE * _SCALE), np.uint8)
        fill(opening, np.concatenate([eye.upper, eye.lower[::-1]]), offset=origin, scale=_SCALE)
        cover = opening.astype(np.float32)[..., None] / 255
        ball = _ball(identity, eye, origin=origin, gaze=look[:2]) * light
        ball += _glint(eye, look[2], look[3], origin=origin)[..., None] * 0.75
        small = resize(np.concatenate([ball * cover, cover], axis=2), _WIDE, _TALL, area=True)
        target *= 1 - small[..., 3:]
        target += small[..., :3]
    lash = np.asarray(identity.hair.brow_colour, np.float32) ** 2 * 0.25
    target += (lash * light - target) * (0.9 * lines[..., :1])
