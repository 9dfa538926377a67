"""Small typed drawing helpers over OpenCV: splines, anti-aliased masks, resampling, smooth noise.

Coordinates are (x, y) in pixels with pixel centres at integers; images are [height, width] or [height, width, channel].
"""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Byte",
    "Float",
    "blur",
    "fill",
    "grid",
    "noise",
    "resize",
    "sample",
    "smoothstep",
    "spline",
    "spread",
    "stroke",
]

Float = NDArray[np.float32]
Byte = NDArray[np.uint8]
_AnyFloat = NDArray[np.floating[Any]]

_SHIFT = 4  # fractional bits of OpenCV's sub-pixel coordinates


def grid(height: int, width: int, *, step: int = 1) -> tuple[Float, Float]:
    """Return pixel-centre coordinates (x, y), each [height // step, width // step], of a grid of `step`-pixel cells."""
    xs = np.arange(width // step, dtype=np.float32) * step + np.float32((step - 1) / 2)
    ys = np.arange(height // step, dtype=np.float32) * step + np.float32((step - 1) / 2)
    return np.broadcast_to(xs, (len(ys), len(xs))), np.broadcast_to(ys[:, None], (len(ys), len(xs)))


def smoothstep(x: _AnyFloat, low: float, high: float) -> Float:
    """Return the cubic ramp from 0 at `low` to 1 at `high`, elementwise."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def blur(image: _AnyFloat, sigma: float) -> Float:
    """Return the Gaussian blur of a float image; `sigma` in pixels."""
    return np.asarray(cv2.GaussianBlur(image.astype(np.float32, copy=False), (0, 0), sigma), np.float32)


def resize(image: _AnyFloat, width: int, height: int, *, area: bool = False) -> Float:
    """Return the image resampled to width x height; `area` averages (for shrinking), else bilinear."""
    mode = cv2.INTER_AREA if area else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image.astype(np.float32, copy=False), (width, height), interpolation=mode), np.float32)


def sample(image: Float, x: _AnyFloat, y: _AnyFloat) -> Float:
    """Return bilinear samples of a float image at (x, y), the border replicated."""
    found = cv2.remap(
        image,
        x.astype(np.float32, copy=False),
        y.astype(np.float32, copy=False),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(found, np.float32)


def spread(mask: Float) -> Float:
    """Return a mask [height, width] as three equal channels; several times faster to multiply by than a broadcast."""
    return np.asarray(cv2.merge([mask, mask, mask]), np.float32)


@lru_cache(maxsize=32)
def _spline_basis(steps: int) -> Float:
    t = np.arange(steps, dtype=np.float32) / steps
    weights = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2)
    return np.asarray(np.stack(weights, axis=1) / 2, np.float32)


def spline(points: Float, *, steps: int = 6, closed: bool = False) -> Float:
    """Return a Catmull-Rom curve through `points` [n, 2], `steps` samples a segment, the last point kept if open."""
    if closed:
        padded = np.concatenate([points[-1:], points, points[:2]])
    else:
        padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    windows = np.stack([padded[i : len(padded) - 3 + i] for i in range(4)], axis=1)
    curve = np.asarray(np.einsum("sk,nkd->nsd", _spline_basis(steps), windows).reshape(-1, 2), np.float32)
    return curve if closed else np.concatenate([curve, points[-1:].astype(np.float32)])


def _fixed_point(points: Float, offset: tuple[float, float], scale: float) -> NDArray[np.int32]:
    moved = (points - np.asarray(offset, np.float32) + 0.5) * scale - 0.5
    return np.round(moved * (1 << _SHIFT)).astype(np.int32)


def fill(
    canvas: Byte, points: Float, *, value: int = 255, offset: tuple[float, float] = (0, 0), scale: float = 1
) -> None:
    """Fill a polygon [n, 2] into `canvas`, which shows the region at `offset`, enlarged `scale` times."""
    cv2.fillPoly(canvas, [_fixed_point(points, offset, scale)], value, cv2.LINE_AA, _SHIFT)


def stroke(
    canvas: Byte,
    points: Float,
    *,
    width: float = 1,
    value: int = 255,
    offset: tuple[float, float] = (0, 0),
    scale: float = 1,
) -> None:
    """Draw an open polyline [n, 2] into `canvas`; `width` in pixels before the enlargement."""
    thick = max(1, round(width * scale))
    cv2.polylines(canvas, [_fixed_point(points, offset, scale)], False, value, thick, cv2.LINE_AA, _SHIFT)


def noise(rng: np.random.Generator, height: int, width: int, *, cell: tuple[float, float]) -> Float:
    """Return smooth value noise [height, width] about 0 and of unit scale; `cell` is its grain (height, width)."""
    rows, columns = max(2, round(height / cell[0])), max(2, round(width / cell[1]))
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
