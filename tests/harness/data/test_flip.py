import numpy as np

from auharness.data.flip import FLIP_68, flip_image, flip_landmarks
from auharness.data.landmarks import MEAN_SHAPE


def test_a_second_flip_undoes_the_first():
    points = np.random.default_rng(0).uniform(0, 99, (3, 68, 2)).astype(np.float32)
    assert np.allclose(flip_landmarks(flip_landmarks(points, 100), 100), points, atol=1e-4)
    assert sorted(FLIP_68) == list(range(68))


def test_left_and_right_parts_change_places():
    pairs = {0: 16, 8: 8, 17: 26, 21: 22, 30: 30, 31: 35, 36: 45, 37: 44, 39: 42, 41: 46, 48: 54, 51: 51, 59: 55}
    assert {i: int(FLIP_68[i]) for i in pairs} == pairs
    assert {i: int(FLIP_68[i]) for i in (60, 61, 62, 66, 67)} == {60: 64, 61: 63, 62: 62, 66: 66, 67: 65}


def test_a_symmetric_face_is_its_own_mirror_image():
    in_picture = MEAN_SHAPE * 100 - 0.5
    assert np.allclose(flip_landmarks(in_picture, 100), in_picture, atol=1e-4)


def test_a_flipped_landmark_stays_on_its_pixel():
    image = np.zeros((8, 12, 3), np.uint8)
    image[5, 2] = 255
    points = np.zeros((68, 2), np.float32)
    points[36] = 2, 5
    mirrored = flip_landmarks(points, 12)
    x, y = mirrored[45].astype(int)
    assert flip_image(image)[y, x].tolist() == [255, 255, 255]
    assert points[36].tolist() == [2, 5]
