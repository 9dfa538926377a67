"""Rendering a performance: one image and its 68 landmarks per kept frame."""

from collections.abc import Iterator
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from auharness.data.synthetic.identity import sample_identity, sample_scene
from auharness.data.synthetic.motion import named_seed
from auharness.data.synthetic.render import render_face
from auharness.data.synthetic.takes import Performance, Take

__all__ = ["film"]

_BRIGHTNESS_DRIFT = 0.05  # standard deviation over the frames of a recording, as a share


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
        # brightness is changed here and not in the scene, which the renderer may use as a key for what does not move
        gain = 1.0 + _BRIGHTNESS_DRIFT * float(np.clip(performance.light[index], -2, 2))
        yield np.asarray(cv2.convertScaleAbs(image, alpha=gain), np.uint8), landmarks
