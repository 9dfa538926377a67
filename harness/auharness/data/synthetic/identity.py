"""Who is seen: the sampled identity of a subject (`Scene` and `sample_scene`, how it is seen, come along).

All lengths are pixels of the canonical face canvas (`geometry.CANVAS`, about 1 px per mm); colours are sRGB in 0..1.
"""

from dataclasses import dataclass

import numpy as np

from auharness.data.synthetic.muscles import RENDERED_AUS
from auharness.data.synthetic.scene import Colour, Scene, as_colour, sample_scene

__all__ = ["Colour", "FaceShape", "Hair", "Identity", "Scene", "Skin", "sample_identity", "sample_scene"]


@dataclass(frozen=True)
class FaceShape:
    """Proportions, 1.0 = the mean face unless a unit is named."""

    width: float
    length: float
    jaw: float
    chin: float
    eye_size: float
    eye_spacing: float
    eye_tilt: float  # pixels, outer corner up
    aperture: float
    nose_width: float
    nose_length: float
    nose_height: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    brow_height: float  # pixels, up
    brow_arch: float  # pixels, up
    cheekbone: float
    asymmetry: float  # pixels, standard deviation per landmark


@dataclass(frozen=True)
class Skin:
    """Surface of the face: tone, texture and the tendency to wrinkle (0 smooth .. 1 deeply lined)."""

    tone: Colour
    redness: float
    mottling: float
    freckles: float
    gloss: float
    wrinkles: float
    lips: Colour
    beard: str  # none, shadow, moustache, goatee, full


@dataclass(frozen=True)
class Hair:
    """Hair of the head and the brows."""

    style: str  # bald, buzz, short, parted, fringe, long, bob, bun, curly
    colour: Colour
    volume: float  # pixels above the skull
    hairline: float  # pixels, down
    parting: float  # -1..1, image left to right
    brow_colour: Colour
    brow_width: float  # pixels
    brow_density: float


@dataclass(frozen=True)
class Identity:
    """One subject: deterministic in `seed`, hashable, so that renders can cache what does not move.

    `expressivity` scales each AU's visible strength for this subject; `resting` is the bias of the neutral face, in AU
    intensity units (may be negative), added to what is asked for.
    """

    seed: int
    shape: FaceShape
    skin: Skin
    hair: Hair
    iris: Colour
    lashes: float  # 0 sparse .. 1 dark and long
    glasses: str  # none, round, square, half
    clothing: Colour
    expressivity: tuple[tuple[int, float], ...]
    resting: tuple[tuple[int, float], ...]


_TONES = np.array(
    [(244, 208, 189), (235, 192, 168), (217, 168, 140), (194, 143, 112), (160, 111, 84), (122, 82, 62), (94, 64, 51)],
    np.float32,
)
_HAIRS = np.array(
    [
        (26, 22, 22),
        (48, 34, 28),
        (84, 56, 38),
        (124, 86, 52),
        (176, 134, 84),
        (206, 176, 130),
        (138, 66, 36),
        (150, 148, 146),
    ],
    np.float32,
)
_IRISES = np.array(
    [(74, 46, 26), (98, 64, 34), (118, 98, 52), (88, 112, 84), (92, 126, 156), (112, 138, 158)], np.float32
)


def _shape(rng: np.random.Generator, masculine: float) -> FaceShape:
    def around(mean: float, spread: float) -> float:
        return float(mean + spread * np.clip(rng.standard_normal(), -2, 2))

    return FaceShape(
        width=around(1, 0.035),
        length=around(0.99 + 0.03 * masculine, 0.03),
        jaw=around(0.95 + 0.09 * masculine, 0.04),
        chin=around(0.95 + 0.12 * masculine, 0.08),
        eye_size=around(1.06 - 0.06 * masculine, 0.05),
        eye_spacing=around(1, 0.03),
        eye_tilt=around(0.8, 1.1),
        aperture=around(1.05 - 0.1 * masculine, 0.12),
        nose_width=around(0.97 + 0.1 * masculine, 0.09),
        nose_length=around(1, 0.045),
        nose_height=around(1, 0.16),
        mouth_width=around(1, 0.06),
        upper_lip=around(1.06 - 0.15 * masculine, 0.17),
        lower_lip=around(1.06 - 0.12 * masculine, 0.15),
        brow_height=around(0.8 - 1.6 * masculine, 1.5),
        brow_arch=around(1.4 - 1.6 * masculine, 1.0),
        cheekbone=around(1, 0.25),
        asymmetry=0.45,
    )


def _skin(rng: np.random.Generator, tone_index: float, *, masculine: float, age: float) -> Skin:
    low = int(tone_index)
    tone = (1 - (tone_index - low)) * _TONES[low] + (tone_index - low) * _TONES[min(low + 1, len(_TONES) - 1)]
    tone = tone / 255 * (1 + 0.03 * rng.standard_normal() + 0.008 * rng.standard_normal(3))
    rosy = np.array([0.78, 0.40, 0.40]) if tone_index < 3.5 else np.array([0.48, 0.24, 0.23])
    mix = rng.uniform(0.35, 0.62) - 0.14 * masculine
    beards = ["none", "shadow", "moustache", "goatee", "full"]
    beard = str(rng.choice(beards, p=[0.38, 0.30, 0.08, 0.12, 0.12])) if masculine > 0.5 else "none"
    return Skin(
        tone=as_colour(tone),
        redness=float(rng.uniform(0.15, 0.6)),
        mottling=float(rng.uniform(0.4, 1.0)),
        freckles=float(max(0, rng.uniform(-2.0, 1.0))) if tone_index < 3 else 0.0,
        gloss=float(rng.uniform(0.5, 1.2)),
        wrinkles=float(np.clip(0.15 + 0.75 * age + 0.12 * rng.standard_normal(), 0.05, 1)),
        lips=as_colour((1 - mix) * tone * 0.92 + mix * rosy),
        beard=beard,
    )


def _hair(rng: np.random.Generator, tone_index: float, *, masculine: float, age: float) -> Hair:
    weights = (
        np.array([0.2, 0.22, 0.2, 0.13, 0.09, 0.06, 0.05, 0.05])
        if tone_index < 2.6
        else np.array([0.7, 0.25, 0.05, 0, 0, 0, 0, 0])
    )
    base = _HAIRS[int(rng.choice(len(_HAIRS), p=weights))] / 255
    brow = base * 0.72 if base.mean() > 0.25 else base * 0.95
    grey = max(0.0, age - 0.72) * 2.6 * rng.uniform(0.3, 1)
    base = (1 - grey) * base + grey * np.array([0.66, 0.65, 0.64])
    if masculine > 0.5:
        style = str(
            rng.choice(["bald", "buzz", "short", "parted", "curly", "long"], p=[0.08, 0.16, 0.34, 0.24, 0.12, 0.06])
        )
    else:
        style = str(
            rng.choice(["long", "bob", "fringe", "bun", "curly", "parted"], p=[0.3, 0.18, 0.16, 0.18, 0.12, 0.06])
        )
    volumes = {
        "bald": 0,
        "buzz": 1.5,
        "short": 7,
        "parted": 9,
        "fringe": 9,
        "long": 8,
        "bob": 10,
        "bun": 4,
        "curly": 17,
    }
    return Hair(
        style=style,
        colour=as_colour(base * (1 + 0.07 * rng.standard_normal() + 0.02 * rng.standard_normal(3))),
        volume=float(volumes[style] * rng.uniform(0.8, 1.25)),
        hairline=float(rng.uniform(-5, 4) - (6 * age if masculine > 0.5 else 0)),
        parting=float(rng.choice([-1, 1]) * rng.uniform(0.15, 0.55)),
        brow_colour=as_colour(brow),
        brow_width=float(np.clip(rng.normal(4.6 + 1.8 * masculine, 0.8), 3, 8)),
        brow_density=float(rng.uniform(0.6, 1)),
    )


def sample_identity(seed: int) -> Identity:
    """Return the subject of this seed: skin, hair, shape, and how strongly each AU shows on this face.

    >>> sample_identity(3) == sample_identity(3), sample_identity(3) == sample_identity(4)
    (True, False)
    """
    rng = np.random.default_rng([seed, 101])
    masculine = float(rng.random() < 0.47) * 0.75 + 0.25 * float(rng.random())
    age = float(rng.beta(1.6, 2.2))
    tone_index = float(rng.uniform(0, len(_TONES) - 1.001))
    shape = _shape(rng, masculine)
    resting = {1: 0.10, 2: 0.10, 4: 0.12, 5: 0.15, 7: 0.15, 12: 0.12, 15: 0.14, 17: 0.06, 24: 0.12}
    iris_pool = _IRISES if tone_index < 2.6 else _IRISES[:2]
    return Identity(
        seed=seed,
        shape=shape,
        skin=_skin(rng, tone_index, masculine=masculine, age=age),
        hair=_hair(rng, tone_index, masculine=masculine, age=age),
        iris=as_colour(iris_pool[int(rng.integers(len(iris_pool)))] / 255 * (1 + 0.07 * rng.standard_normal(3))),
        lashes=float(np.clip(1.0 - 0.7 * masculine + 0.12 * rng.standard_normal(), 0.1, 1)),
        glasses=str(rng.choice(["none", "round", "square", "half"], p=[0.84, 0.06, 0.06, 0.04])),
        clothing=as_colour(np.array([0.15, 0.15, 0.17]) + rng.uniform(0, 0.55) * rng.uniform(0.2, 1, 3)),
        expressivity=tuple((au, float(rng.uniform(0.72, 1.18))) for au in RENDERED_AUS),
        resting=tuple(
            (au, float(spread * np.clip(rng.standard_normal(), -1.8, 1.8))) for au, spread in resting.items()
        ),
    )
