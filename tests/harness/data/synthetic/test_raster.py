import numpy as np
import pytest

from auharness.data.synthetic.raster import blur, fill, grid, noise, resize, sample, smoothstep, spline, spread


def test_a_spline_passes_through_its_points_and_ends_on_the_last():
    points = np.array([(0, 0), (10, 5), (20, 0), (30, 8)], np.float32)
    curve = spline(points, steps=4)
    assert len(curve) == 13
    assert np.allclose(curve[::4], points, atol=1e-5)


def test_a_spline_through_points_on_a_line_stays_on_it():
    points = np.array([(0, 0), (2, 1), (4, 2), (6, 3)], np.float32)
    curve = spline(points)
    assert np.allclose(curve[:, 0], 2 * curve[:, 1], atol=1e-5)


def test_a_filled_rectangle_covers_its_area_at_any_enlargement():
    corners = np.array([(2.5, 3.5), (12.5, 3.5), (12.5, 9.5), (2.5, 9.5)], np.float32)
    canvas = np.zeros((80, 80), np.uint8)
    fill(canvas, corners, offset=(0, 0), scale=4)
    assert canvas.sum() / 255 / 16 == pytest.approx(60, rel=0.12)  # OpenCV includes the border pixels
    small = resize(canvas.astype(np.float32), 20, 20, area=True)
    assert small[6, 8] == 255
    assert small[1, 1] == 0


def test_a_coarse_grid_holds_the_centres_of_its_cells():
    x, y = grid(8, 12, step=4)
    assert x.tolist() == [[1.5, 5.5, 9.5]] * 2
    assert y[:, 0].tolist() == [1.5, 5.5]


def test_sampling_a_ramp_between_pixels_is_exact():
    x, _ = grid(8, 8)
    ramp = np.ascontiguousarray(x)
    found = sample(ramp, np.array([[2.25, 6.5]], np.float32), np.array([[3.0, 4.5]], np.float32))
    assert np.allclose(found, [[2.25, 6.5]], atol=0.02)  # OpenCV interpolates in steps of 1/32


def test_blur_keeps_the_mean_and_spread_repeats_the_mask():
    image = np.zeros((41, 41), np.float32)
    image[20, 20] = 1
    assert blur(image, 3).sum() == pytest.approx(1, abs=1e-3)
    assert (spread(image) == image[..., None]).all()


def test_smoothstep_is_flat_outside_and_half_in_the_middle():
    assert smoothstep(np.array([-1, 2, 3, 4, 9], np.float32), 2, 4).tolist() == [0, 0, 0.5, 1, 1]


def test_noise_has_the_asked_grain():
    field = noise(np.random.default_rng(0), 128, 128, cell=(16, 4))
    across, down = np.abs(np.diff(field, axis=1)).mean(), np.abs(np.diff(field, axis=0)).mean()
    assert across > 2.5 * down
