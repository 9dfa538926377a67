"""Filming an emotion: key frames of a face that moves, speaks, turns and blinks, and every frame between them.

A clip is rendered at a few moments; the frames between are weighted means, as in films that were converted from another
rate. Shifts and turns in the picture, light, blur, occlusion and grain are another in every frame.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from auharness.data.synthetic.emotions import Emotion, EmotionClip
from auharness.data.synthetic.geometry import asked_for
from auharness.data.synthetic.identity import Identity, Scene, sample_identity, sample_scene
from auharness.data.synthetic.motion import named_rng, named_seed, smooth_noise
from auharness.data.synthetic.muscles import RENDERED_AUS
from auharness.data.synthetic.occlusion import Occluder, draw_occluder
from auharness.data.synthetic.raster import Byte, Float, smoothstep
from auharness.data.synthetic.render import render_face
from auharness.data.synthetic.scene import as_colour

__all__ = ["KeyFrame", "film_emotion", "key_frames"]

_DATASET = "dfew"
_EVERY = 8  # frames per key frame at most, as far as there are few
_KEYS = (4, 20)
_FACE = {1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24}  # AUs that show without any emotion
_LIMIT = 24.0  # degrees; the renderer's limit is 25


@dataclass(frozen=True)
class KeyFrame:
    """What the face does at one moment.

    Attributes:
        shown: AU number -> share of its full appearance, 0..1.
        pose: yaw, pitch and roll in degrees.
    """

    shown: dict[int, float]
    pose: tuple[float, float, float]


def film_emotion(clip: EmotionClip, emotion: Emotion, *, pixels: int, seed: int) -> Iterator[Byte]:
    """Yield every frame of a clip, uint8 [pixels, pixels, 3] RGB."""
    identity = sample_identity(named_seed(seed, _DATASET, f"person {clip.person}", "identity"))
    scene = _scene(clip, seed)
    rng = named_rng(seed, _DATASET, clip.name, "camera")
    pictures = []
    for place, key in enumerate(key_frames(clip, emotion, seed=seed)):
        asked = {au: asked_for(share) for au, share in key.shown.items()}
        look = named_seed(seed, _DATASET, clip.name, f"look {place // 3}")
        picture, _ = render_face(
            identity, replace(scene, noise=0.0), asked, pose=key.pose, size=pixels, noise_seed=look
        )
        pictures.append(picture.astype(np.float32))
    camera = _Camera(clip, scene, identity, pixels, rng)
    for frame, at in enumerate(np.linspace(0, len(pictures) - 1, clip.frames).tolist()):
        low = min(int(at), len(pictures) - 2)
        face = cv2.addWeighted(pictures[low], 1 - at + low, pictures[low + 1], at - low, 0)
        yield camera.shoot(np.asarray(face, np.float32), frame)


def key_frames(clip: EmotionClip, emotion: Emotion, *, seed: int) -> list[KeyFrame]:
    """Return what the face does at moments that are evenly spread over the clip, its first and last frame included.

    The emotion rises to an apex below full strength, stays and mostly falls off again; where a clip was cut it may
    have begun before. Prototypes are incomplete, resting faces differ, and half of all people speak.
    """
    rng = named_rng(seed, _DATASET, clip.name, "face")
    count = int(np.clip(clip.frames // _EVERY + 3, *_KEYS))
    course = _course(np.linspace(0, 1, count, dtype=np.float32), rng)
    shown = np.tile(_resting(rng), (count, 1))
    strength = rng.uniform(0.7, 1.0)
    for au in emotion.core + emotion.extra:
        if rng.uniform() < (0.94 if au in emotion.core else 0.4):
            shown[:, RENDERED_AUS.index(au)] += strength * rng.uniform(0.65, 1.1) * course
    if rng.uniform() < 0.3:
        stray = int(rng.choice(sorted(_FACE)))
        shown[:, RENDERED_AUS.index(stray)] += rng.uniform(0.1, 0.35) * course
    _speak_and_blink(shown, rng)
    base = rng.standard_normal(3) * (8, 4.5, 3)
    drift = smooth_noise(rng, count, channels=3, width=2) * (3.5, 2, 1.5)
    poses = np.clip(base + drift, -_LIMIT, _LIMIT)
    return [
        KeyFrame(
            {
                au: float(share)
                for au, share in zip(RENDERED_AUS, np.clip(row, 0, 1).tolist(), strict=True)
                if share > 0
            },
            (float(pose[0]), float(pose[1]), float(pose[2])),
        )
        for row, pose in zip(shown, poses, strict=True)
    ]


def _course(moment: Float, rng: np.random.Generator) -> Float:
    """Return how strong the emotion is at moments 0..1 of the clip, 0..1."""
    onset = rng.uniform(-0.25, 0.25)
    apex = onset + rng.uniform(0.2, 0.4)
    falls = apex + rng.uniform(0.1, 0.4)
    left = rng.uniform(0.2, 1.0)
    fall = 1 - (1 - left) * smoothstep(moment, falls, falls + rng.uniform(0.2, 0.4))
    return np.asarray(smoothstep(moment, onset, apex) * fall, np.float32)


def _resting(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the resting face of the clip, a share of every AU."""
    return np.array([0.05 * abs(rng.standard_normal()) if au in _FACE else 0.0 for au in RENDERED_AUS])


def _speak_and_blink(shown: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Open and close mouth and eyes [key frame, au], in place."""
    count = len(shown)
    if rng.uniform() < 0.5:
        for au, most in ((25, 0.8), (26, 0.45)):
            column = shown[:, RENDERED_AUS.index(au)]
            np.maximum(column, most * rng.uniform(0, 1, count) * (rng.uniform(size=count) < 0.7), out=column)
    shown[:, RENDERED_AUS.index(45)] = rng.uniform(size=count) < 0.06


def _scene(clip: EmotionClip, seed: int) -> Scene:
    """Return a film's light and camera, with the vendor's crop: the face fills the frame, but not always the same."""
    scene = sample_scene(_DATASET, named_seed(seed, _DATASET, clip.name, "scene"))
    rng = named_rng(seed, _DATASET, clip.name, "crop")
    centre = (float(0.5 + 0.02 * rng.standard_normal()), float(0.47 + 0.02 * rng.standard_normal()))
    grey = sum(scene.background) / 3
    return replace(
        scene,
        # films are less gaudy than the mix of everything
        background=as_colour(grey + 0.45 * (np.asarray(scene.background) - grey)),
        scale=float(rng.uniform(1.3, 1.5)),
        centre=centre,
        noise=0.35 * scene.noise,
        softness=1 + 0.6 * (scene.softness - 1),
    )


class _Camera:
    """What happens to a clip between the face and the file."""

    def __init__(
        self, clip: EmotionClip, scene: Scene, identity: Identity, pixels: int, rng: np.random.Generator
    ) -> None:
        self.pixels = pixels
        self.rng = rng
        count = clip.frames
        self.wander = smooth_noise(rng, count, channels=4, width=6) * (0.012 * pixels, 0.012 * pixels, 1.2, 0.012)
        self.light = np.exp(0.05 * smooth_noise(rng, count, channels=1, width=8)[:, 0])
        if rng.uniform() < 0.2:
            # somebody walks past a lamp, or a door opens
            turns = np.arange(count, dtype=np.float32) / max(1, count - 1) - rng.uniform(0.2, 0.8)
            self.light *= np.exp(rng.choice([-0.35, 0.3]) * smoothstep(turns, -0.1, 0.1))
        self.shake = _burst(rng, count, chance=0.3) * rng.uniform(0.02, 0.05) * pixels
        self.direction = float(rng.uniform(0, np.pi))
        self.occluder, self.away = self._occluder(clip, identity)
        self.grain = scene.noise * rng.standard_normal((2 * pixels, 2 * pixels, 1), dtype=np.float32)

    def shoot(self, face: NDArray[np.float32], frame: int) -> Byte:
        """Return one frame, uint8 [pixels, pixels, 3]."""
        side = self.pixels
        x, y, turn, size = self.wander[frame].tolist()
        window = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), turn, 1 + size)
        window[:, 2] += x, y
        seen = np.asarray(
            cv2.warpAffine(face, window, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101),
            np.float32,
        )
        if self.occluder is not None and self.away[frame] < 1:
            seen = self.occluder.over(seen, away=float(self.away[frame]))
        if self.shake[frame] >= 2:
            seen = np.asarray(cv2.filter2D(seen, -1, _streak(float(self.shake[frame]), self.direction)), np.float32)
        top, left = self.rng.integers(0, side, 2).tolist()
        grain = self.grain[top : top + side, left : left + side]
        return np.asarray(np.clip(seen * np.float32(self.light[frame]) + grain, 0, 255), np.uint8)

    def _occluder(self, clip: EmotionClip, identity: Identity) -> tuple[Occluder | None, Float]:
        """Return what covers the face, and how far away it is in every frame, 0 over the face to 1 out of sight."""
        chance = self.rng.uniform()
        if chance > 0.25:
            return None, np.ones(clip.frames, np.float32)
        kind = "hand" if chance < 0.15 else "hair"
        drawn = draw_occluder(kind, identity, self.pixels, self.rng)
        # a hand comes and goes; hair stays
        shift = float(self.rng.uniform(0.0, 0.12))
        there = _burst(self.rng, clip.frames, chance=1.0) if kind == "hand" else np.ones(clip.frames, np.float32)
        return drawn, np.asarray(1 - there * (1 - shift), np.float32)


def _burst(rng: np.random.Generator, frames: int, *, chance: float) -> Float:
    """Return 0..1 for every frame: something that comes and goes within the clip, or never."""
    moment = np.linspace(0, 1, frames, dtype=np.float32)
    begins, lasts = rng.uniform(-0.2, 0.7), rng.uniform(0.2, 0.6)
    rises = smoothstep(moment, begins, begins + 0.12) * (1 - smoothstep(moment, begins + lasts, begins + lasts + 0.12))
    return np.asarray(rises * (rng.uniform() < chance), np.float32)


def _streak(length: float, angle: float) -> Float:
    """Return the kernel of a motion blur: a line of `length` pixels."""
    half = int(np.ceil(length / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    x, y = length / 2 * np.cos(angle), length / 2 * np.sin(angle)
    cv2.line(kernel, (round(half - x), round(half - y)), (round(half + x), round(half + y)), 1.0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)
