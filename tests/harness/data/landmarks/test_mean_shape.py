import numpy as np
import pytest

from auharness.data.landmarks.mean_shape import MEAN_SHAPE, central_box, fit_similarity, place_mean_shape, transform


def test_the_mean_shape_is_a_face():
    x, y = MEAN_SHAPE.T
    assert MEAN_SHAPE.shape == (68, 2) and (MEAN_SHAPE >= 0).all() and (MEAN_SHAPE <= 1).all()
    brows, eyes, nose, mouth = y[17:27], y[36:48], y[31:36], y[48:68]
    assert brows.max() < eyes.min() and eyes.max() < nose.min() and nose.max() < mouth.min() and mouth.max() < y[8]
    assert (np.diff(x[:17]) > 0).all() and (np.diff(x[17:27]) > 0).all() and (np.diff(x[48:55]) > 0).all()
    assert (x[[27, 30, 33, 51, 57, 62, 66, 8]] == 0.5).all()


def test_the_shape_keeps_its_proportions_in_any_box():
    placed = place_mean_shape((10, 20, 100, 200))
    assert np.allclose(placed, np.array([10, 70]) + 100 * MEAN_SHAPE - 0.5, atol=1e-4)


def test_the_assumed_box_is_central():
    assert central_box(100, 300) == pytest.approx((120, 20, 60, 60))


def test_the_fit_recovers_a_similarity_and_beats_its_neighbours():
    rng = np.random.default_rng(0)
    source = rng.normal(size=(9, 2))
    truth = np.array([[0.6, -1.7, 3.0], [1.7, 0.6, -4.0]])
    assert np.allclose(fit_similarity(source, transform(truth, source)), truth, atol=1e-5)
    target = rng.normal(size=(9, 2))
    best = fit_similarity(source, target)
    assert best[0, 0] == best[1, 1] and best[0, 1] == -best[1, 0]

    def error(a, b, x, y):
        return ((transform(np.array([[a, -b, x], [b, a, y]]), source) - target) ** 2).sum()

    at = np.array([best[0, 0], best[1, 0], best[0, 2], best[1, 2]])
    assert all(error(*at) < error(*(at + step)) for step in 0.05 * np.vstack([np.eye(4), -np.eye(4)]))
