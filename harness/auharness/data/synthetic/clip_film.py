"""Filming a micro-expression: a few renderings of a barely moving face, and every frame between them.

From rest to apex the skin moves by a few pixels, so renderings at a few steps on the way differ by less than one, and
the weighted mean of two neighbours stands for all that lies between them, at a tenth of the cost. The resting face
differs more from clip to clip than the movement changes it: a single frame says little. Head drift, light and sensor
noise are another in every frame.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from auharness.data.synthetic.clips import Clip
from auharness.data.synthetic.geometry import asked_for
from auharness.data.synthetic.identity import Identity, Scene, sample_identity, sample_scene
from auharness.data.synthetic.motion import named_rng, named_seed, smooth_noise
from auharness.data.synthetic.muscles import RENDERED_AUS
from auharness.data.synthetic.raster import Byte, Float, smoothstep
from auharness.data.synthetic.render import render_face

__all__ = ["Studio", "film_clip", "time_course"]

_STEP = 48  # side of a rendering per step from rest to apex; a step moves the skin by a pixel at most
_MARGIN = 1.13  # side of a rendering over the height of the frame: room for the drift
_SEAM = 0.03  # softness of the border between the halves of a face, as a share of the side
_FPS = 200
_NEVER_AT_REST = (26, 45)  # a dropped jaw, closed eyes
# these move less skin, or less far, and must show as well as a brow
_GAIN = {7: 1.8, 12: 1.5, 14: 2.0, 15: 1.7, 17: 1.7}


@dataclass(frozen=True)
class Studio:
    """What all clips of a dataset share.

    Attributes:
        dataset: dataset name, part of every seed and the style of the scene.
        grey: whether the camera sees no colour.
        strength: least and largest share of an AU's full appearance at the apex.
        resting: spread of every AU over the resting faces of the clips, as a share of its full appearance.
        pose_spread: standard deviation of yaw, pitch and roll over clips, in degrees.
        drift: standard deviation of the head's place within a clip, as a share of the height.
    """

    dataset: str
    grey: bool
    strength: tuple[float, float]
    resting: float = 0.12
    pose_spread: tuple[float, float, float] = (4.0, 3.0, 1.5)
    drift: float = 0.002


def film_clip(clip: Clip, studio: Studio, *, width: int, height: int, seed: int) -> Iterator[Byte]:
    """Yield every frame from `clip.first` to `clip.last`, uint8 [height, width, 3] RGB or [height, width] grey."""
    names = (studio.dataset, clip.subject, str(clip.place))
    side = 4 * round(_MARGIN * height / 4)
    identity = sample_identity(named_seed(seed, studio.dataset, clip.subject, "identity"))
    scene = sample_scene(studio.dataset, named_seed(seed, studio.dataset, clip.subject, "scene"))
    pictures = _pictures(clip, studio, identity, scene, side=side, seed=seed)
    if studio.grey:
        pictures = [np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32) for picture in pictures]
    rng = named_rng(seed, *names, "camera")
    course = time_course(clip, rng) * (len(pictures) - 1)
    wander = _wander(len(course), rng) * (studio.drift * height, studio.drift * height, 0.15, 0.002)
    light = _light(len(course), rng)
    for at, moved, gain in zip(course.tolist(), wander.tolist(), light.tolist(), strict=True):
        low = min(int(at), len(pictures) - 2)
        face = cv2.addWeighted(pictures[low], gain * (1 - at + low), pictures[low + 1], gain * (at - low), 0)
        window = _window(side, width, height, moved)
        frame = cv2.warpAffine(face, window, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        grain = np.asarray(rng.standard_normal(frame.shape, dtype=np.float32) * np.float32(scene.noise), np.float32)
        yield np.asarray(cv2.add(frame, grain, dtype=cv2.CV_8U), np.uint8)


def time_course(clip: Clip, rng: np.random.Generator) -> Float:
    """Return how far the movement is, 0..1, in every frame on disk: it rises to the apex and mostly leaves again."""
    frame = np.arange(clip.first, clip.last + 1, dtype=np.float32)
    left = float(rng.uniform(0, 0.3))
    rise = smoothstep(frame, clip.onset, clip.apex)
    fall = 1 - (1 - left) * smoothstep(frame, clip.apex, clip.offset)
    tremor = 0.02 * smooth_noise(rng, len(frame), channels=1, width=5)[:, 0]
    return np.asarray(np.clip(rise * fall + tremor * (rise > 0), 0, 1), np.float32)


def _pictures(clip: Clip, studio: Studio, identity: Identity, scene: Scene, *, side: int, seed: int) -> list[Float]:
    """Return the face at every step from rest to apex, each [side, side, 3] in 0..255."""
    rng = named_rng(seed, studio.dataset, clip.subject, str(clip.place), "face")
    gain = {au: _GAIN.get(au, 1.0) for au in RENDERED_AUS}
    resting = {
        au: 0.0 if au in _NEVER_AT_REST else gain[au] * studio.resting * abs(rng.standard_normal()) for au in gain
    }
    apex = {au: gain[au] * rng.uniform(*studio.strength) for au in gain}
    yaw, pitch, roll = (np.clip(rng.standard_normal(3), -2, 2) * studio.pose_spread).tolist()
    gaze = named_seed(seed, studio.dataset, clip.subject, str(clip.place), "gaze")
    # the sensor's noise belongs to the frames between
    quiet = replace(scene, noise=0.0, exposure=scene.exposure * float(np.exp(0.08 * rng.standard_normal())))

    def render(acting: frozenset[int], share: float) -> tuple[Float, Float]:
        shown = {au: min(level + share * apex[au] * (au in acting), 1.0) for au, level in resting.items()}
        asked = {au: asked_for(strength) for au, strength in shown.items()}
        picture, points = render_face(identity, quiet, asked, pose=(yaw, pitch, roll), size=side, noise_seed=gaze)
        return picture.astype(np.float32), points

    # halves of the picture: the subject's left is on its right
    on_left, on_right = (frozenset(au for where, au in clip.code.actions if where != other) for other in "LR")
    pictures = []
    for share in np.linspace(0, 1, 1 + round(side / _STEP)).tolist():
        picture, points = render(on_left, share)
        if on_left != on_right and share:
            picture += _right_of_picture(points, side) * (render(on_right, share)[0] - picture)
        pictures.append(picture)
    return pictures


def _right_of_picture(points: Float, side: int) -> Float:
    """Return a soft mask [side, side, 1] of what lies right of the line from the nose's root to the chin."""
    top, chin = points[27], points[8]
    row, column = np.mgrid[:side, :side].astype(np.float32)
    middle = top[0] + (row - top[1]) * (chin[0] - top[0]) / (chin[1] - top[1])
    return smoothstep(column - middle, -_SEAM * side, _SEAM * side)[..., None]


def _wander(frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the slow drift of the head [frames, 4], mean 0 and variance 1: x, y, turn and size."""
    return smooth_noise(rng, frames, channels=4, width=0.15 * _FPS)


def _light(frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the brightness [frames] about 1: slow changes, and lamps on 50 Hz mains that peak in every other frame."""
    slow = 0.004 * smooth_noise(rng, frames, channels=1, width=0.1 * _FPS)[:, 0]
    mains = 0.004 * np.cos(np.pi * np.arange(frames) + rng.uniform(0, 2 * np.pi))
    return np.asarray(1 + slow + mains + 0.002 * rng.standard_normal(frames), np.float64)


def _window(side: int, width: int, height: int, moved: Sequence[float]) -> NDArray[np.float64]:
    """Return the matrix [2, 3] from the frame to the rendering's middle, shifted, turned and scaled by `moved`."""
    x, y, turn, size = moved
    angle = np.radians(turn)
    linear = (1 + size) * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([(side - 1) / 2 + x, (side - 1) / 2 + y])
    return np.column_stack([linear, middle - linear @ [(width - 1) / 2, (height - 1) / 2]])
