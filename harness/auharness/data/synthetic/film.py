"""Rendering a performance: one image and its 68 landmarks per kept frame."""

from collections.abc import Iterator
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from auharness.data.synthetic.identity import sample_identity, sample_scene
from auharness.data.synthetic.motion import named_rng, named_seed
from auharness.data.synthetic.render import render_face
from auharness.data.synthetic.takes import Performance, Take

__all__ = ["film"]

_DRIFT = 0.05  # standard deviation of the brightness over the frames of a recording, as a share
_EXPOSURE = 0.18  # standard deviation of the log exposure over recordings
_SLOPE = 0.45  # largest fall of the light from the middle of the picture to its border, as a share


def film(
    take: Take,
    performance: Performance,
    *,
    domain: Literal["bp4d", "disfa"],
    pixels: int,
    seed: int,
    camera: str = "front",
    turned_by: float = 0.0,
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Yield RGB image [pixels, pixels, 3] and landmarks [68, 2] in image pixels of every kept frame.

    Person and scene depend on the subject alone; the sensor noise is another one for every camera and frame.

    Args:
        take: who and what.
        performance: the take's kept frames.
        domain: whose studio.
        pixels: side of the image.
        seed: the stand-in's seed.
        camera: name of the camera.
        turned_by: yaw of the face as this camera sees it, in degrees, added to the head's own.
    """
    identity = sample_identity(named_seed(seed, domain, take.subject, "identity"))
    scene = sample_scene(domain, named_seed(seed, domain, take.subject, "scene"))
    lamp = _Lamp(named_rng(seed, domain, take.subject, take.task, camera, "lamp"), pixels)
    for index, shown in enumerate(performance.shown):
        yaw, pitch, roll = performance.pose[index].tolist()
        image, landmarks = render_face(
            identity,
            scene,
            shown,
            pose=(yaw + turned_by, pitch, roll),
            size=pixels,
            noise_seed=named_seed(seed, domain, take.subject, take.task, camera, str(index)),
        )
        # light is changed here and not in the scene, which the renderer may use as a key for what does not move
        yield lamp.light(image, drift=float(np.clip(performance.light[index], -2, 2))), landmarks


class _Lamp:
    """Exposure and side light of one recording: another one each time, slowly drifting."""

    def __init__(self, rng: np.random.Generator, pixels: int) -> None:
        self.exposure = float(np.exp(_EXPOSURE * rng.standard_normal()))
        self.slope = _SLOPE * float(rng.uniform())
        self.angle = float(rng.uniform(0, 2 * np.pi))
        self.place = np.linspace(-1, 1, pixels, dtype=np.float32)

    def light(self, image: NDArray[np.uint8], *, drift: float) -> NDArray[np.uint8]:
        """Return the picture as lit at one moment; `drift` is a standard normal value, clipped to +-2."""
        angle = self.angle + 0.3 * drift
        gain = self.exposure * (1 + _DRIFT * drift)
        across = self.slope * (np.cos(angle) * self.place[None, :] + np.sin(angle) * self.place[:, None])
        field = cv2.merge([(gain * (1 + across)).astype(np.float32)] * 3)
        return np.asarray(cv2.multiply(image, field, dtype=cv2.CV_8U), np.uint8)
