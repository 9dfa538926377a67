import cv2
import numpy as np
import pytest

from auharness.data.landmarks import MEAN_SHAPE, POINT_SETS, to_68
from auharness.data.landmarks.mean_shape import transform


def face():
    turn = cv2.getRotationMatrix2D((0.0, 0.0), 20, 150.0)
    return transform(turn, MEAN_SHAPE) + np.float32([200, 300])


def test_the_vendor_sets_lack_the_points_that_they_are_known_to_lack():
    assert POINT_SETS[66] == (*range(60), 61, 62, 63, 65, 66, 67)
    assert POINT_SETS[49] == (*range(17, 60), 61, 62, 63, 65, 66, 67)


@pytest.mark.parametrize("count", [68, 66, 49])
def test_given_points_are_kept_and_the_others_are_filled_in(count):
    full = face()
    index = list(POINT_SETS[count])
    noisy = full[index] + np.random.default_rng(0).normal(0, 1, (count, 2)).astype(np.float32)
    assert np.array_equal(to_68(noisy)[index], noisy)
    assert np.allclose(to_68(full[index]), full, atol=1e-2)


def test_inner_corners_lie_between_the_outer_corner_and_the_inner_lips():
    points = np.zeros((66, 2))
    points[48], points[60], points[65] = (0, 0), (10, -2), (10, 2)
    assert to_68(points)[60].tolist() == [2.0, 0.0]


@pytest.mark.parametrize("shape", [(67, 2), (68, 3), (136,)])
def test_other_point_sets_are_refused(shape):
    with pytest.raises(ValueError, match="expected"):
        to_68(np.zeros(shape))
