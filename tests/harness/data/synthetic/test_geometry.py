import numpy as np
import pytest

from auharness.data.synthetic.geometry import (
    CANVAS,
    MIRROR,
    asked_for,
    deformation,
    landmark_motion,
    neutral_landmarks,
    strengths,
)
from auharness.data.synthetic.identity import sample_identity
from auharness.data.synthetic.muscles import RENDERED_AUS


def test_mirroring_twice_gives_every_landmark_back():
    assert [MIRROR[index] for index in MIRROR] == list(range(68))
    assert (MIRROR[0], MIRROR[17], MIRROR[36], MIRROR[40], MIRROR[48], MIRROR[60], MIRROR[8]) == (
        16,
        26,
        45,
        47,
        54,
        64,
        8,
    )


@pytest.mark.parametrize("au", [1, 4, 12, 26])
def test_the_skin_that_arrives_at_a_landmark_came_from_its_resting_place(au):
    """Forward motion and backward lookup are found in two ways and have to agree."""
    identity = sample_identity(2)
    visible = {au: 1.0}
    neutral = neutral_landmarks(identity)
    moved = neutral + landmark_motion(identity, visible)
    source_x, source_y = deformation(identity, visible)
    skin = [*range(3, 14), *range(17, 27), *range(27, 36), 48, 54]
    for index in skin:
        column, row = np.clip(np.round(moved[index]), 0, (CANVAS[1] - 1, CANVAS[0] - 1)).astype(int)
        shift = moved[index] - (column, row)
        error = np.array([source_x[row, column], source_y[row, column]]) + shift - neutral[index]
        assert np.abs(error).max() < 1.5


def test_at_rest_nothing_moves():
    x, y = deformation(sample_identity(0), {})
    rows, columns = np.mgrid[: CANVAS[0], : CANVAS[1]]
    assert np.abs(x - columns).max() < 1e-3
    assert np.abs(y - rows).max() < 1e-3


def test_strength_rises_with_intensity_for_every_au():
    identity = sample_identity(11)
    for au in RENDERED_AUS:
        shown = [strengths(identity, {au: value}).get(au, 0.0) for value in np.linspace(0.2, 1, 9)]
        assert (np.diff(shown) > 0).all()
        # traces below the coders' limit stay well under a marked AU
        assert strengths(identity, {au: 0.5})[au] - shown[0] > 0.3


def test_what_is_asked_for_a_strength_shows_that_strength():
    identity = sample_identity(4)
    for strength in (0.05, 0.3, 0.9):  # AU9 has no resting bias
        shown = strengths(identity, {9: asked_for(strength)})[9]
        assert np.isclose(shown, strength * dict(identity.expressivity)[9], atol=1e-6)
