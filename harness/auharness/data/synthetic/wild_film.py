"""Filming people of the web: small crops of moving faces that are in the dark, out of focus or hidden half of the time.

A face is rendered at a few moments; the pictures between are weighted means. What veils a picture comes and goes
without regard to what the face does, and the sound goes on: then it alone tells what the face does.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from auharness.data.synthetic.geometry import asked_for
from auharness.data.synthetic.identity import Scene, sample_identity, sample_scene
from auharness.data.synthetic.motion import activation_curves, head_pose, named_rng, named_seed, smooth_noise
from auharness.data.synthetic.occlusion import Occluder, draw_occluder
from auharness.data.synthetic.raster import Byte, Float
from auharness.data.synthetic.render import render_face
from auharness.data.synthetic.scene import as_colour
from auharness.data.synthetic.talks import AUS

__all__ = ["Shot", "Veil", "draw_veils", "film_person"]

_DATASET = "affwild2"
_EVERY = 6  # pictures per rendering
_SPREAD = (9.0, 6.0, 2.0)  # degrees; the vendor's crops are turned upright
_LIMIT = 24.0  # degrees; the renderer's limit is 25
_CLEAR, _VEILED = (0.6, 1.8), (0.8, 2.4)  # shortest and longest, in seconds
_VEILS = {"dark": 0.4, "blur": 0.35, "hand": 0.25}
_NEVER_HIDDEN = 1.2  # seconds of a film below which a stretch is shortened


@dataclass(frozen=True)
class Shot:
    """One picture of one person.

    Attributes:
        crop: the face, uint8 [pixels, pixels, 3] RGB.
        landmarks: float32 [68, 2] in pixels of the crop.
        seen: whether a detector would find the face.
    """

    crop: Byte
    landmarks: NDArray[np.float32]
    seen: bool


@dataclass(frozen=True)
class Veil:
    """What hides the face from picture `start` to before picture `stop`: `dark`, `blur` or `hand`."""

    kind: str
    start: int
    stop: int
    strength: float


def draw_veils(pictures: int, rate: float, *, rng: np.random.Generator) -> list[Veil]:
    """Return what hides a face when, in order and without overlap; a good half of the time something does.

    Args:
        pictures: of the film.
        rate: pictures per second.
        rng: source of randomness.
    """
    pace = rate * min(1.0, pictures / rate / (4 * _NEVER_HIDDEN))
    found = []
    start = round(pace * rng.uniform(0, _CLEAR[1]))
    while start < pictures:
        kind = str(rng.choice(list(_VEILS), p=list(_VEILS.values())))
        stop = start + max(2, round(pace * rng.uniform(*_VEILED)))
        found.append(Veil(kind, start, min(stop, pictures), float(rng.uniform())))
        start = stop + max(2, round(pace * rng.uniform(*_CLEAR)))
    return found


def film_person(video: str, labels: NDArray[np.bool_], *, rate: float, pixels: int, seed: int) -> Iterator[Shot]:
    """Yield every picture of a video.

    Args:
        video: its name.
        labels: [pictures, AU] in the order of `AUS`.
        rate: pictures per second.
        pixels: side of the crops.
        seed: the stand-in's seed.
    """
    identity = sample_identity(named_seed(seed, _DATASET, video, "identity"))
    scene = _scene(video, seed)
    rng = named_rng(seed, _DATASET, video, "film")
    strength = activation_curves(labels, fps=rate, rng=rng)
    pose = np.clip(head_pose(rng, len(labels), fps=rate, spread=_SPREAD), -_LIMIT, _LIMIT)
    blinks = smooth_noise(rng, len(labels), channels=1, width=2)[:, 0] > 2.2
    lens = _Lens(
        draw_veils(len(labels), rate, rng=rng), draw_occluder("hand", identity, pixels, rng), scene, pixels, rng
    )

    def render(place: int) -> tuple[Float, Float]:
        shown = {au: asked_for(float(share)) for au, share in zip(AUS, strength[place], strict=True) if share > 0}
        if blinks[place]:
            shown[45] = 1.0
        yaw, pitch, roll = pose[place].tolist()
        look = named_seed(seed, _DATASET, video, f"look {place // (5 * _EVERY)}")
        picture, points = render_face(
            identity, replace(scene, noise=0.0), shown, pose=(yaw, pitch, roll), size=pixels, noise_seed=look
        )
        return np.asarray(picture, np.float32), points

    ahead = render(0)
    for place in range(len(labels)):
        if place % _EVERY == 0:
            behind, ahead = ahead, render(min(place + _EVERY, len(labels) - 1))
        share = place % _EVERY / _EVERY
        face = np.asarray(cv2.addWeighted(behind[0], 1 - share, ahead[0], share, 0), np.float32)
        crop, seen = lens.shoot(face, place)
        yield Shot(crop, np.asarray((1 - share) * behind[1] + share * ahead[1], np.float32), seen)


def _scene(video: str, seed: int) -> Scene:
    """Return any light and camera, with the vendor's crop: the upright face fills the frame."""
    scene = sample_scene(_DATASET, named_seed(seed, _DATASET, video, "scene"))
    rng = named_rng(seed, _DATASET, video, "crop")
    grey = sum(scene.background) / 3
    return replace(
        scene,
        background=as_colour(grey + 0.5 * (np.asarray(scene.background) - grey)),
        scale=float(rng.uniform(1.35, 1.5)),
        centre=(float(0.5 + 0.012 * rng.standard_normal()), float(0.47 + 0.012 * rng.standard_normal())),
        softness=1 + 0.5 * (scene.softness - 1),
    )


class _Lens:
    """What comes between the face and the file."""

    def __init__(self, veils: list[Veil], hand: Occluder, scene: Scene, pixels: int, rng: np.random.Generator) -> None:
        self.veils = veils
        self.hand = hand
        self.pixels = pixels
        self.rng = rng
        self.grain = (1.0 + 0.5 * scene.noise) * rng.standard_normal((2 * pixels, 2 * pixels, 1), dtype=np.float32)

    def shoot(self, face: Float, place: int) -> tuple[Byte, bool]:
        """Return one picture, and whether a detector would find the face in it."""
        veil = next((veil for veil in self.veils if veil.start <= place < veil.stop), None)
        kind, strength = (veil.kind, veil.strength) if veil else ("", 0.0)
        if kind == "hand":
            face = self.hand.over(face, away=0.1 * strength)
        elif kind == "blur":
            width = (0.04 + 0.03 * strength) * self.pixels
            face = np.asarray(cv2.GaussianBlur(face, (0, 0), width), np.float32)
        elif kind == "dark":
            face = face * np.float32(0.04 + 0.05 * strength)
        top, left = self.rng.integers(0, self.pixels, 2).tolist()
        grain = self.grain[top : top + self.pixels, left : left + self.pixels]
        return np.asarray(np.clip(face + grain, 0, 255), np.uint8), kind in ("", "hand")
