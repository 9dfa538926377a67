"""What comes between the camera and a face in a film: a hand, or strands of hair."""

from dataclasses import dataclass

import cv2
import numpy as np

from auharness.data.synthetic.identity import Identity
from auharness.data.synthetic.raster import Byte, Float, blur, fill, noise, spline, spread, stroke

__all__ = ["Occluder", "draw_occluder"]

_FINE = 2  # enlargement while drawing


@dataclass(frozen=True)
class Occluder:
    """A picture that is laid over frames.

    Attributes:
        colour: [side, side, 3] in 0..255, of the side of the frame.
        alpha: [side, side] in 0..1.
        enters_from: unit vector from the face to where it comes from, in pixels' axes.
    """

    colour: Float
    alpha: Float
    enters_from: tuple[float, float]

    def over(self, frame: Float, *, away: float) -> Float:
        """Return a frame with the occluder over it, `away` of a frame's side from its resting place."""
        side = len(self.alpha)
        x, y = (away * side * part for part in self.enters_from)
        move = np.array([[1, 0, x], [0, 1, y]], np.float32)
        alpha = spread(np.asarray(cv2.warpAffine(self.alpha, move, (side, side)), np.float32))
        colour = cv2.warpAffine(self.colour, move, (side, side), borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(frame + alpha * (colour - frame), np.float32)


def draw_occluder(kind: str, identity: Identity, side: int, rng: np.random.Generator) -> Occluder:
    """Return a `hand` from below or from one side, or `hair` from above, in the colours of a person."""
    mask = np.zeros((_FINE * side, _FINE * side), np.uint8)
    if kind == "hand":
        side_of_face = float(rng.choice([-1.0, 1.0]))
        angle = side_of_face * float(rng.uniform(0.1, 1.1))
        _hand(mask, angle, side, rng)
        tone, grain, enters = identity.skin.tone, 5.0, (-np.sin(angle), np.cos(angle))
    else:
        _strands(mask, side, rng)
        tone, grain, enters = identity.hair.colour, 14.0, (0.0, -1.0)
    alpha = cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    shade = 255 * np.asarray(tone, np.float32) * float(rng.uniform(0.75, 1.0))
    relief = blur(alpha, 0.02 * side) - blur(np.roll(alpha, (-4, -3), (0, 1)), 0.03 * side)
    texture = 60 * relief + grain * noise(rng, side, side, cell=(side / 24, side / 60))
    colour = np.clip(shade + texture[..., None], 0, 255)
    return Occluder(np.asarray(colour, np.float32), blur(alpha, 0.6), (float(enters[0]), float(enters[1])))


def _hand(mask: Byte, angle: float, side: int, rng: np.random.Generator) -> None:
    """Draw a palm and four fingers that point towards the face from `angle`, 0 from below."""
    tip = np.array([0.5, 0.5 + rng.uniform(-0.02, 0.12)])
    along, across = np.array([np.sin(angle), -np.cos(angle)]), np.array([np.cos(angle), np.sin(angle)])
    palm = tip - along * 0.30
    oval = np.linspace(0, 2 * np.pi, 24, endpoint=False)[:, None]
    outline = palm + 0.13 * np.cos(oval) * across + 0.17 * np.sin(oval) * along
    fill(mask, np.asarray(side * outline, np.float32), scale=_FINE)
    wrist = np.stack(
        [palm + 0.09 * across, palm - 0.09 * across, palm - 0.09 * across - along, palm + 0.09 * across - along]
    )
    fill(mask, np.asarray(side * wrist, np.float32), scale=_FINE)
    for place in (-1.5, -0.5, 0.5, 1.5):
        root = palm + 0.068 * place * across
        end = tip + 0.075 * place * across - along * 0.03 * abs(place) + rng.normal(0, 0.012, 2)
        finger = spline(
            np.asarray(side * np.stack([root, (root + end) / 2 + rng.normal(0, 0.008, 2), end]), np.float32)
        )
        stroke(mask, finger, width=0.062 * side, scale=_FINE)


def _strands(mask: Byte, side: int, rng: np.random.Generator) -> None:
    """Draw strands that hang from the forehead over one eye."""
    start = rng.uniform(0.25, 0.75)
    drift = 0.22 * (0.5 - start) + rng.normal(0, 0.06)
    for _ in range(int(rng.integers(9, 22))):
        top = start + rng.normal(0, 0.09)
        points = [(top, -0.1), (top + 0.5 * drift + rng.normal(0, 0.02), 0.25), (top + drift, rng.uniform(0.45, 0.7))]
        strand = spline(np.asarray(side * np.array(points), np.float32))
        stroke(
            mask, strand, width=float(rng.uniform(0.006, 0.02)) * side, value=int(rng.integers(150, 256)), scale=_FINE
        )
