"""The real detector on a real face; `make test` installs it, and without it there is nothing to test."""

import importlib.util

import numpy as np
import pytest

from auharness.data.landmarks import make_source
from auharness.records import FrameRecord, Media


@pytest.mark.skipif(importlib.util.find_spec("mediapipe") is None, reason="needs mediapipe (see `auharness doctor`)")
@pytest.mark.filterwarnings("ignore")  # mediapipe's own, in its native start-up
def test_the_face_mesh_finds_the_features_of_the_astronaut(tmp_path) -> None:
    skimage = pytest.importorskip("skimage.data", reason="needs the extra `dev`")
    image = skimage.astronaut()
    record = FrameRecord("made", "S", "S/T", 0, Media("x.png"), {})
    points = make_source("mediapipe")(tmp_path, record, image)
    assert points is not None and points.shape == (68, 2)
    # read off the picture: both eyes and the middle of the mouth, in pixels
    centres = np.array([points[36:42].mean(0), points[42:48].mean(0), points[48:68].mean(0)])
    np.testing.assert_allclose(centres, [[203, 101], [246, 103], [223, 145]], atol=3)
    assert make_source("mediapipe")(tmp_path, record, np.zeros((128, 128, 3), np.uint8)) is None
