import cv2
import numpy as np
import pytest
from skimage import data

from auharness.data.landmarks.haar import detect_face_box, haar_landmarks


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_the_face_of_a_real_photograph_is_found(scale):
    image = cv2.resize(data.astronaut(), None, fx=scale, fy=scale)
    points = haar_landmarks(image) / scale
    # eye centres and mouth centre read off the 512 x 512 photograph by eye
    assert np.abs(points[36:42].mean(axis=0) - [203, 101]).max() < 8
    assert np.abs(points[42:48].mean(axis=0) - [244, 101]).max() < 8
    assert np.abs(points[48:60].mean(axis=0) - [223, 144]).max() < 10


def test_the_largest_of_two_faces_is_taken():
    face = data.astronaut()[20:220, 120:330]
    image = np.full((420, 700, 3), 128, np.uint8)
    image[10:210, 10:220] = face
    image[10:410, 260:680] = cv2.resize(face, (420, 400))
    x, _, width, _ = detect_face_box(image)
    assert x > 260 and width > 150


def test_no_face_is_none():
    assert detect_face_box(data.brick()[..., None].repeat(3, axis=2)) is None
