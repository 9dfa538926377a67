import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from auharness.data.align import METHODS, align_face, crop_matrix
from auharness.data.flip import flip_image, flip_landmarks
from auharness.data.landmarks import MEAN_SHAPE, place_mean_shape
from auharness.data.landmarks.mean_shape import transform
from auharness.errors import DataError


def turned_face(*, degrees=12.0, side=220.0, centre=(200.0, 180.0)):
    turn = cv2.getRotationMatrix2D((0.5, 0.5), degrees, 1.0)
    return ((transform(turn, MEAN_SHAPE) - 0.5) * side + np.array(centre)).astype(np.float32)


def spot(shape, x, y, radius=3.0):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    grey = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def centroid(image):
    weight = image[..., 0].astype(float)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("size", [56, 256, 640])
@pytest.mark.parametrize("method", METHODS)
def test_a_spot_drawn_on_a_landmark_is_found_where_the_crop_says(method, size):
    points = turned_face()
    for index in (36, 45, 33, 54):
        crop, moved = align_face(spot((360, 400), *points[index]), points, method=method, size=size)
        assert crop.shape == (size, size, 3) and crop.dtype == np.uint8 and moved.dtype == np.float32
        assert np.abs(centroid(crop) - moved[index]).max() < 0.25


def test_the_ffhq_square_has_the_published_size_and_centre():
    points = np.zeros((68, 2), np.float32)
    points[36:42] = 100, 100
    points[42:48] = 200, 100
    points[48] = points[54] = 150, 200
    # eye distance 100, eye-mouth distance 100: half side max(200, 180), centre 0.1 of the way to the mouth
    matrix = crop_matrix(points, method="ffhq", size=256, image_size=(400, 400))
    corners = transform(matrix, [[-50, -90], [350, -90], [350, 310], [-50, 310]])
    assert np.allclose(corners, [[-0.5, -0.5], [255.5, -0.5], [255.5, 255.5], [-0.5, 255.5]], atol=1e-3)
    points[48] = points[54] = 150, 250
    matrix = crop_matrix(points, method="ffhq", size=256, image_size=(400, 400))
    assert np.isclose(matrix[0, 0], 256 / (2 * 1.8 * 150))


def test_the_ffhq_crop_shows_what_the_literal_recipe_shows():
    image = cv2.resize(data.astronaut(), (1024, 1024), interpolation=cv2.INTER_CUBIC)
    points = turned_face(degrees=-9.0, side=190, centre=(450, 230))
    left, right, mouth = points[36:42].mean(0), points[42:48].mean(0), (points[48] + points[54]) / 2
    eyes = (left + right) / 2
    across, down = right - left, mouth - eyes
    x = across - np.flipud(down) * [-1, 1]
    x *= max(np.hypot(*across) * 2.0, np.hypot(*down) * 1.8) / np.hypot(*x)
    y = np.flipud(x) * [-1, 1]
    centre = eyes + down * 0.1
    quad = np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y])
    literal = Image.fromarray(image).transform(
        (4096, 4096), Image.Transform.QUAD, (quad + 0.5).flatten().tolist(), Image.Resampling.BILINEAR
    )
    expected = np.asarray(literal.resize((256, 256), Image.Resampling.BOX)).astype(int)
    crop, _ = align_face(image, points, method="ffhq", size=256)
    assert np.abs(crop.astype(int) - expected).mean() < 1.0
    assert np.abs(np.roll(crop, 1, axis=1).astype(int) - expected).mean() > 2.0


@pytest.mark.parametrize("method", METHODS)
def test_flips_commute_with_alignment(method):
    image = data.astronaut()
    points = place_mean_shape((174, 64, 99, 99))
    points[36:48] += 2
    crop, moved = align_face(image, points, method=method, size=128)
    mirrored, mirrored_points = align_face(
        flip_image(image), flip_landmarks(points, image.shape[1]), method=method, size=128
    )
    assert np.allclose(mirrored_points, flip_landmarks(moved, 128), atol=1e-2)
    assert np.abs(mirrored.astype(int) - flip_image(crop).astype(int)).mean() < 0.5


def test_a_large_picture_is_averaged_rather_than_sampled():
    checker = (np.indices((3000, 3000)).sum(axis=0) % 2 * 255).astype(np.uint8)
    image = np.repeat(checker[..., None], 3, axis=2)
    crop, _ = align_face(image, turned_face(side=1700, centre=(1500, 1500)), method="ffhq", size=256)
    assert np.abs(crop.astype(int) - 127).max() < 20


def test_outside_the_picture_its_border_is_mirrored():
    image = np.full((100, 100, 3), 200, np.uint8)
    crop, moved = align_face(image, place_mean_shape((0, 0, 100, 100)), method="ffhq", size=64)
    assert (crop == 200).all()
    assert moved[27, 0] == pytest.approx(31.5, abs=1e-3)


def test_the_similarity_crop_puts_an_upright_face_where_the_mean_shape_lies():
    _, moved = align_face(np.zeros((300, 300, 3), np.uint8), turned_face(degrees=25), method="similarity", size=100)
    assert np.allclose(moved, (0.5 + 0.8 * (MEAN_SHAPE - 0.5)) * 100 - 0.5, atol=0.05)


@pytest.mark.parametrize("fault", ["coincide", "nan"])
def test_a_degenerate_face_is_refused(fault):
    points = np.zeros((68, 2), np.float32) if fault == "coincide" else turned_face()
    points[3] = points[3] if fault == "coincide" else np.nan
    with pytest.raises(DataError, match="degenerate"):
        align_face(np.zeros((50, 50, 3), np.uint8), points, method="ffhq", size=32)
