"""How a subject is seen: background, light, camera and framing of one recording, in the style of a dataset.

Colours are sRGB in 0..1 unless named linear.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Colour", "Scene", "as_colour", "sample_scene"]

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """One recording: background, light, camera and framing. Axes: x right, y down, z towards the camera."""

    seed: int
    backdrop: str  # plain, cloth, blobs
    background: Colour
    light: tuple[float, float, float]  # unit vector towards the key light
    key: Colour  # linear intensity per channel
    ambient: Colour
    exposure: float
    contrast: float
    saturation: float
    tint: Colour
    blur: float  # pixels at 256
    noise: float  # standard deviation in grey levels
    softness: float  # 1 = none; 2 = half the resolution
    scale: float  # canvas pixels to frame pixels at size 256
    centre: tuple[float, float]  # where the head sits, as a share of the frame


def as_colour(value: NDArray[np.float64] | NDArray[np.float32]) -> Colour:
    """Return three channels clipped to 0..1."""
    red, green, blue = (float(v) for v in np.clip(value, 0, 1))
    return red, green, blue


def _unit(x: float, y: float, z: float) -> tuple[float, float, float]:
    norm = float(np.sqrt(x * x + y * y + z * z))
    return x / norm, y / norm, z / norm


def _studio(rng: np.random.Generator, seed: int) -> Scene:
    """Like BP4D: even frontal studio light, plain mid-tone wall, sharp camera, the face fills the frame."""
    grey = rng.uniform(0.50, 0.64)
    strength = rng.uniform(0.62, 0.84)
    return Scene(
        seed=seed,
        backdrop="plain",
        background=as_colour(grey * (1 + np.array([0.05, 0.0, -0.06]) + 0.04 * rng.standard_normal(3))),
        light=_unit(rng.uniform(-0.45, 0.45), rng.uniform(-0.65, -0.25), 0.85),
        key=as_colour(strength * np.array([1.0, 0.98, 0.955])),
        ambient=as_colour(rng.uniform(0.30, 0.44) * np.array([1.0, 1.0, 1.0])),
        exposure=float(rng.uniform(0.94, 1.10)),
        contrast=float(rng.uniform(0.98, 1.08)),
        saturation=float(rng.uniform(0.95, 1.1)),
        tint=as_colour(np.array([1.0, 0.99, 0.98]) * (1 + 0.012 * rng.standard_normal(3))),
        blur=float(rng.uniform(0.25, 0.45)),
        noise=float(rng.uniform(1.0, 2.0)),
        softness=1.0,
        scale=float(rng.uniform(0.90, 1.02)),
        centre=(float(0.5 + 0.025 * rng.standard_normal()), float(0.49 + 0.015 * rng.standard_normal())),
    )


def _lounge(rng: np.random.Generator, seed: int) -> Scene:
    """Like DISFA: dark bluish-green cloth, light from one side, softer and noisier video, a smaller face."""
    side = rng.choice([-1.0, 1.0])
    hue = rng.uniform(0, 1)
    back = (1 - hue) * np.array([0.13, 0.22, 0.34]) + hue * np.array([0.13, 0.27, 0.25])
    strength = rng.uniform(0.72, 0.92)
    return Scene(
        seed=seed,
        backdrop="cloth",
        background=as_colour(back * rng.uniform(0.8, 1.2)),
        light=_unit(side * rng.uniform(0.55, 1.0), rng.uniform(-0.55, -0.15), 0.75),
        key=as_colour(strength * np.array([1.0, 0.98, 0.92])),
        ambient=as_colour(rng.uniform(0.22, 0.32) * np.array([0.84, 0.97, 1.08])),
        exposure=float(rng.uniform(0.90, 1.08)),
        contrast=float(rng.uniform(0.92, 1.04)),
        saturation=float(rng.uniform(0.78, 0.95)),
        tint=as_colour(np.array([0.93, 0.985, 0.975]) * (1 + 0.012 * rng.standard_normal(3))),
        blur=float(rng.uniform(0.55, 0.85)),
        noise=float(rng.uniform(2.5, 4.0)),
        softness=float(rng.uniform(1.15, 1.4)),
        scale=float(rng.uniform(0.72, 0.82)),
        centre=(float(0.5 + 0.035 * rng.standard_normal()), float(0.49 + 0.02 * rng.standard_normal())),
    )


def _wild(rng: np.random.Generator, seed: int) -> Scene:
    """Anything: random light, colour cast, clutter, camera and framing."""
    cast = 1 + 0.10 * rng.standard_normal(3)
    strength = rng.uniform(0.4, 0.95)
    return Scene(
        seed=seed,
        backdrop=str(rng.choice(["blobs", "blobs", "plain"])),
        background=as_colour(rng.uniform(0.15, 0.75) * (1 + 0.25 * rng.standard_normal(3))),
        light=_unit(rng.uniform(-1, 1), rng.uniform(-0.9, 0.1), rng.uniform(0.45, 0.9)),
        key=as_colour(strength * cast),
        ambient=as_colour(rng.uniform(0.18, 0.45) * (2 - cast)),
        exposure=float(rng.uniform(0.75, 1.15)),
        contrast=float(rng.uniform(0.88, 1.12)),
        saturation=float(rng.uniform(0.7, 1.2)),
        tint=as_colour(1 - np.abs(0.06 * rng.standard_normal(3))),
        blur=float(rng.uniform(0.3, 1.1)),
        noise=float(rng.uniform(1.0, 6.0)),
        softness=float(rng.uniform(1.0, 1.8)),
        scale=float(rng.uniform(0.6, 1.0)),
        centre=(float(rng.uniform(0.44, 0.56)), float(rng.uniform(0.45, 0.53))),
    )


def _lamps(rng: np.random.Generator, seed: int) -> Scene:
    """Like CASME II: four lamps on a high-speed colour camera, even and bright; the vendor's tight crop of the face."""
    return Scene(
        seed=seed,
        backdrop="plain",
        background=as_colour(
            rng.uniform(0.42, 0.55) * (1 + np.array([0.0, 0.02, 0.01]) + 0.02 * rng.standard_normal(3))
        ),
        light=_unit(rng.uniform(-0.3, 0.3), rng.uniform(-0.5, -0.2), 0.9),
        key=as_colour(rng.uniform(0.60, 0.76) * np.array([0.99, 1.0, 0.97])),
        ambient=as_colour(rng.uniform(0.36, 0.48) * np.array([0.98, 1.0, 1.0])),
        exposure=float(rng.uniform(0.92, 1.08)),
        contrast=float(rng.uniform(0.96, 1.06)),
        saturation=float(rng.uniform(0.75, 0.95)),
        tint=as_colour(np.array([0.97, 1.0, 0.98]) * (1 + 0.01 * rng.standard_normal(3))),
        blur=float(rng.uniform(0.35, 0.6)),
        noise=float(rng.uniform(1.2, 2.2)),
        softness=1.0,
        scale=float(rng.uniform(1.40, 1.48)),
        centre=(float(0.5 + 0.012 * rng.standard_normal()), float(0.47 + 0.012 * rng.standard_normal())),
    )


def _array(rng: np.random.Generator, seed: int) -> Scene:
    """Like SAMM: an array of small lamps on a high-speed grey camera, darker and noisier; the face fills the frame."""
    return Scene(
        seed=seed,
        backdrop="plain",
        background=as_colour(np.full(3, rng.uniform(0.25, 0.40))),
        light=_unit(rng.uniform(-0.5, 0.5), rng.uniform(-0.45, -0.1), 0.85),
        key=as_colour(np.full(3, rng.uniform(0.58, 0.74))),
        ambient=as_colour(np.full(3, rng.uniform(0.26, 0.38))),
        exposure=float(rng.uniform(0.86, 1.04)),
        contrast=float(rng.uniform(1.0, 1.12)),
        saturation=1.0,
        tint=(1.0, 1.0, 1.0),
        blur=float(rng.uniform(0.3, 0.5)),
        noise=float(rng.uniform(1.8, 3.0)),
        softness=1.0,
        scale=float(rng.uniform(1.32, 1.42)),
        centre=(float(0.5 + 0.015 * rng.standard_normal()), float(0.47 + 0.015 * rng.standard_normal())),
    )


_STYLES = {"bp4d": _studio, "disfa": _lounge, "casme2": _lamps, "samm": _array}


def sample_scene(domain: str, seed: int) -> Scene:
    """Return the recording of this seed in the style of a dataset; an unknown `domain` is an in-the-wild mix."""
    tag = sum((i + 1) * ord(letter) for i, letter in enumerate(domain))
    return _STYLES.get(domain, _wild)(np.random.default_rng([seed, 202, tag]), seed)
