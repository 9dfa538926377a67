"""The head's pose: an orthographic view of the canvas bent over a gentle depth map, and its inverse."""

from dataclasses import dataclass

import numpy as np

from auharness.data.synthetic.geometry import MIDDLE
from auharness.data.synthetic.raster import Float, grid, resize, sample

__all__ = ["PIVOT", "Pose"]

PIVOT = (MIDDLE, 150.0, -12.0)
"""Canvas point (x, y, depth) about which the head turns."""


@dataclass(frozen=True)
class Pose:
    """A posed head in the frame: image = scale * (R @ (x, y, z) - pivot) + centre, orthographic."""

    rotation: Float
    scale: float
    centre: tuple[float, float]

    @classmethod
    def of(cls, degrees: tuple[float, float, float], *, scale: float, centre: tuple[float, float]) -> "Pose":
        """Return the pose for (yaw, pitch, roll) in degrees: + turns to the image right, looks up, tilts clockwise."""
        yaw, pitch, roll = np.radians(degrees)
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        nod = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
        tilt = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
        return cls(np.asarray(tilt @ nod @ turn, np.float32), scale, centre)

    def project(self, points: Float, depth: Float) -> Float:
        """Return image points [n, 2] of canvas points [n, 2] at `depth` [n]."""
        x = points[:, 0] - np.float32(PIVOT[0])
        y = points[:, 1] - np.float32(PIVOT[1])
        posed = np.stack([x, y, depth - np.float32(PIVOT[2])], axis=1) @ self.rotation[:2].T
        return np.asarray(posed * np.float32(self.scale) + np.asarray(self.centre, np.float32), np.float32)

    def unproject(self, depth: Float, size: int) -> tuple[Float, Float]:
        """Return the canvas (x, y) seen by each pixel of a size x size frame, given the canvas's depth map.

        The inverse has no closed form; it is found by fixed-point iteration.
        """
        step = 4 if size % 4 == 0 else 1
        u, v = grid(size, size, step=step)
        inverse = np.linalg.inv(self.rotation[:2, :2])
        slope = inverse @ self.rotation[:2, 2]
        du, dv = (u - self.centre[0]) / self.scale, (v - self.centre[1]) / self.scale
        flat_x = inverse[0, 0] * du + inverse[0, 1] * dv + PIVOT[0]
        flat_y = inverse[1, 0] * du + inverse[1, 1] * dv + PIVOT[1]
        height = np.full(u.shape, 30, np.float32)
        for _ in range(7):
            x = flat_x - slope[0] * (height - PIVOT[2])
            y = flat_y - slope[1] * (height - PIVOT[2])
            height = 0.3 * height + 0.7 * sample(depth, x, y)
        return resize(np.asarray(x, np.float32), size, size), resize(np.asarray(y, np.float32), size, size)
