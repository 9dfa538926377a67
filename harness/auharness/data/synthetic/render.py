"""One frame of a synthetic face with its 68 landmarks: deform, light, draw eyes and mouth, pose, photograph.

A frame is a pure function of its arguments; what does not move is cached per subject and scene.
"""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from auharness.data.synthetic.body import backdrop, body, stage
from auharness.data.synthetic.camera import develop
from auharness.data.synthetic.eyes import draw_eye
from auharness.data.synthetic.geometry import deformation, neutral_landmarks, strengths
from auharness.data.synthetic.glasses import frame_of_glasses
from auharness.data.synthetic.hair import BACK_ORIGIN, back_hair
from auharness.data.synthetic.identity import Identity, Scene
from auharness.data.synthetic.lips import draw_cavity, lay_lips, mouth_layer
from auharness.data.synthetic.muscles import RENDERED_AUS
from auharness.data.synthetic.openings import Eye, Mouth, moved_landmarks
from auharness.data.synthetic.pose import PIVOT, Pose
from auharness.data.synthetic.raster import Float, resize, sample, spread
from auharness.data.synthetic.shading import Light, shade
from auharness.data.synthetic.skin import still_layers
from auharness.errors import UsageError

__all__ = ["render_face"]

_SMALLEST = 192  # frames below this are drawn larger and averaged down


def render_face(
    identity: Identity,
    scene: Scene,
    aus: Mapping[int, float],
    *,
    pose: tuple[float, float, float] = (0, 0, 0),
    size: int = 256,
    noise_seed: int = 0,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return a frame, uint8 [size, size, 3] RGB, and its landmarks, float32 [68, 2] pixel (x, y) in dlib order.

    Args:
        identity: whose face.
        scene: background, light, camera and framing.
        aus: AU number -> intensity in 0..1; AUs left out are at rest.
        pose: yaw, pitch, roll in degrees (|yaw|, |pitch| <= 25): + turns to the image right, looks up, tilts clockwise.
        size: frame side in pixels.
        noise_seed: this frame's sensor noise, light flicker and small gaze shift.

    Raises:
        UsageError: an AU that cannot be rendered.
    """
    unknown = sorted(set(aus) - set(RENDERED_AUS))
    if unknown:
        raise UsageError(
            f"render_face: aus names AU {unknown}, expected AUs out of {list(RENDERED_AUS)}; leave the others out"
        )
    rng = np.random.default_rng([noise_seed, identity.seed, scene.seed])
    drawn = size * -(-_SMALLEST // size)
    visible = strengths(identity, aus)
    moved, eyes, mouth = moved_landmarks(identity, visible)
    scale = scene.scale * drawn / 256
    posed = _pose(scene, pose, drawn, scale)
    head = _head(identity, scene, visible, (eyes, mouth), posed, rng)
    picture = _surroundings(identity, scene, posed, drawn)
    layers = still_layers(identity)
    x, y = posed.unproject(layers.depth, drawn)
    _over(picture, _remap(head, x, y))
    if drawn != size:
        picture = resize(picture, size, size, area=True)
    neutral = neutral_landmarks(identity)
    depth = sample(layers.depth, neutral[None, :, 0], neutral[None, :, 1])[0]
    points = (posed.project(moved, depth) + 0.5) * np.float32(size / drawn) - 0.5
    return develop(picture, scene, rng), np.asarray(points, np.float32)


def _pose(scene: Scene, degrees: tuple[float, float, float], size: int, scale: float) -> Pose:
    """Return the pose whose resting head sits at the scene's centre (the eye line's height plus 12 canvas pixels)."""
    centre = (scene.centre[0] * size, scene.centre[1] * size + (PIVOT[1] - 130) * scale)
    return Pose.of(degrees, scale=scale, centre=centre)


def _head(
    identity: Identity,
    scene: Scene,
    visible: Mapping[int, float],
    features: tuple[tuple[Eye, Eye], Mouth],
    pose: Pose,
    rng: np.random.Generator,
) -> Float:
    """Return the lit frontal head [height, width, 4]: linear colour times alpha, and alpha."""
    layers = still_layers(identity)
    relief = layers.relief.copy()
    for au, strength in visible.items():
        if au in layers.au_relief and strength > 0:
            cv2.scaleAdd(layers.au_relief[au], strength, relief, relief)
    creases = np.minimum(relief - layers.relief, 0)
    x, y = deformation(identity, visible)
    sheet = np.asarray(cv2.remap(layers.sheet, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.float32)
    sheet *= np.float32(1 / 255)
    alpha = np.asarray(cv2.extractChannel(sheet, 3), np.float32)
    albedo = np.asarray(cv2.cvtColor(sheet, cv2.COLOR_RGBA2RGB), np.float32)
    albedo *= albedo
    relief, gloss, creases = (sample(still, x, y) for still in (relief, layers.gloss, creases))
    # a crease is darker than its slope alone would show, and reddish inside
    albedo *= 1 + spread(np.maximum(creases, -5)) * np.array([0.085, 0.11, 0.11], np.float32)
    eyes, mouth = features
    layer = mouth_layer(mouth)
    # tightened and pressed lips lose their blood
    pressed = float(np.clip(0.8 * visible.get(23, 0.0) + visible.get(24, 0.0), 0, 1))
    lay_lips(albedo, relief, gloss, identity, layer, pressed=pressed)
    jitter = rng.standard_normal(5)
    light = _light(scene, pose, jitter[:2])
    colour, lit = shade(albedo, relief, gloss, light)
    draw_cavity(colour, lit, mouth, layer)
    gaze = np.clip(jitter[2:4], -1.5, 1.5) * (0.7, 0.35)
    for eye in eyes:
        draw_eye(colour, lit, identity, eye, visible, (gaze[0], gaze[1], light.direction[0], light.direction[1]))
    frame = frame_of_glasses(identity)
    if frame is not None:
        colour += (np.float32(0.02) - colour) * (0.88 * frame)
    colour *= spread(alpha)
    head = np.asarray(cv2.cvtColor(colour, cv2.COLOR_RGB2RGBA), np.float32)
    cv2.insertChannel(alpha, head, 3)
    return head


def _light(scene: Scene, pose: Pose, jitter: NDArray[np.float64]) -> Light:
    """Return the scene's light as seen from the turned head."""
    direction = np.asarray(scene.light) + 0.02 * np.append(jitter, 0)
    turned = pose.rotation.T @ (direction / np.linalg.norm(direction))
    view = pose.rotation.T @ np.array([0, 0, 1.0])
    return Light((turned[0], turned[1], turned[2]), (view[0], view[1], view[2]), scene.key, scene.ambient)


def _surroundings(identity: Identity, scene: Scene, pose: Pose, size: int) -> Float:
    """Return all that is behind the head [size, size, 3], linear: backdrop, long hair, neck, clothes."""
    hair = back_hair(identity)
    if hair is None:
        return stage(identity, scene, size).copy()
    shift = pose.scale * (pose.rotation[:2, 2] * (-30 - PIVOT[2]))
    turn = pose.scale * pose.rotation[:2, :2]
    origin = np.array([PIVOT[0] + BACK_ORIGIN[0], PIVOT[1] + BACK_ORIGIN[1]])
    offset = np.asarray(pose.centre) + shift - turn @ origin
    placed = np.asarray(
        cv2.warpAffine(hair, np.column_stack([turn, offset]), (size, size), flags=cv2.INTER_LINEAR), np.float32
    )
    placed[..., :3] *= 0.75 * np.asarray(scene.key, np.float32) + np.asarray(scene.ambient, np.float32)
    picture = backdrop(scene, size).copy()
    _over(picture, placed)
    _over(picture, body(identity, scene, size))
    return picture


def _remap(head: Float, x: Float, y: Float) -> Float:
    return np.asarray(cv2.remap(head, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.float32)


def _over(picture: Float, layer: Float) -> None:
    """Lay a premultiplied layer over the picture, in place."""
    picture *= spread(1 - np.asarray(cv2.extractChannel(layer, 3), np.float32))
    picture += np.asarray(cv2.cvtColor(layer, cv2.COLOR_RGBA2RGB), np.float32)
