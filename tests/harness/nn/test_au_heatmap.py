import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from auharness.data.flip import FLIP_68
from auharness.errors import UsageError
from auharness.nn.au_heatmap import CENTRES, au_centres, au_heatmaps, signed_heatmaps

BP4D = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
DISFA = (1, 2, 4, 6, 9, 12, 25, 26)


def _face():
    """Sixty-eight distinct points; inner eye corners 3 right and 4 down of each other, so d is 5."""
    points = torch.stack((torch.arange(68.0), 100 + 2 * torch.arange(68.0)), dim=-1)
    points[39], points[42] = torch.tensor([10.0, 20.0]), torch.tensor([13.0, 24.0])
    return points[None]


def _random_face(size):
    generator = torch.Generator().manual_seed(5)
    return torch.rand(3, 68, 2, generator=generator) * size


@pytest.mark.parametrize("table", ["fg-net", "jaa"])
def test_every_au_of_both_datasets_has_centres(table):
    assert set(BP4D) | set(DISFA) <= set(CENTRES[table])


def test_fg_net_centres_by_hand():
    centres = au_centres(_face(), (2, 4, 6, 17, 26))[0]
    eye = (torch.tensor([[36.0, 172.0], [37, 174], [38, 176], [10, 20], [40, 180], [41, 182]])).mean(0)
    expected = {
        0: [[17, 134], [26, 152]],
        1: [[19, 138], [24, 148]],
        3: [[58, 216 + 2.5], [56, 212 + 2.5]],
        4: [[58, 216], [56, 212]],
    }
    for row, value in expected.items():
        assert centres[row].tolist() == value
    torch.testing.assert_close(centres[2, 0], eye + torch.tensor([0.0, 5.0]))


def test_jaa_centres_by_hand():
    centres = au_centres(_face(), (1, 9, 26), table="jaa")[0]  # ruler: |dx| = 3
    assert centres.tolist() == [
        [[21, 142 - 1.5], [22, 144 - 1.5]],
        [[32, 164 - 1.5], [34, 168 - 1.5]],
        [[58, 216 + 1.5], [56, 212 + 1.5]],
    ]


def test_an_au_without_centres_is_named():
    with pytest.raises(UsageError, match=r"AU5 in the table 'fg-net' \(known: 1, 2, 4"):
        au_centres(_face(), (1, 5))


@pytest.mark.parametrize("table", ["fg-net", "jaa"])
def test_maps_of_a_mirrored_face_are_the_mirrored_maps(table):
    size = 224
    landmarks = _random_face(size)
    mirrored = landmarks[:, FLIP_68.tolist()].clone()
    mirrored[..., 0] = size - 1 - mirrored[..., 0]
    aus = tuple(CENTRES[table])
    maps, mirror = (au_heatmaps(points, aus, grid=14, image_size=size, table=table) for points in (landmarks, mirrored))
    torch.testing.assert_close(mirror, maps.flip(-1), atol=1e-5, rtol=0)
    assert (maps - mirror).abs().max() > 0.1


@pytest.mark.parametrize(("combine", "join"), [("sum", np.add), ("max", np.maximum)])
def test_a_map_is_two_gaussians_of_peak_one(combine, join):
    landmarks = torch.zeros(1, 68, 2)
    landmarks[0, 48], landmarks[0, 54] = torch.tensor([20.0, 30.0]), torch.tensor([44.0, 30.0])
    grid, sigma = 64, 5.0
    map_ = au_heatmaps(landmarks, (12,), grid=grid, image_size=64, sigma=sigma, combine=combine)[0, 0].numpy()
    y, x = np.mgrid[:grid, :grid]
    where = np.dstack((x, y))
    blobs = [
        multivariate_normal([cx, 30], sigma**2).pdf(where) * 2 * math.pi * sigma**2 for cx in (20, 44)
    ]  # density times its peak's inverse
    expected = join(*blobs).clip(max=1)
    expected[expected < 0.01] = 0
    np.testing.assert_allclose(map_, expected, atol=1e-5)
    assert map_[30, 20] == pytest.approx(1.0, abs=1e-4)
    assert map_[0, 0] == 0


def test_the_default_width_is_fg_nets_on_every_grid():
    landmarks = torch.full((1, 68, 2), 112.0)
    for grid in (7, 14, 28, 128):
        default = au_heatmaps(landmarks, (12,), grid=grid, image_size=224)
        stated = au_heatmaps(landmarks, (12,), grid=grid, image_size=224, sigma=20 * grid / 128)
        torch.testing.assert_close(default, stated)


def test_a_coarse_map_is_the_fine_map_at_the_same_place():
    landmarks = _random_face(224)
    fine, coarse = (au_heatmaps(landmarks, BP4D, grid=grid, image_size=224) for grid in (42, 14))
    torch.testing.assert_close(coarse, fine[..., 1::3, 1::3], atol=1e-4, rtol=0)


def test_signs_follow_the_label_and_uncoded_maps_are_zero():
    maps = torch.full((1, 3, 2, 2), 0.5)
    signed = signed_heatmaps(maps, torch.tensor([[1, 0, -1]], dtype=torch.int8))
    assert signed[0, :, 0, 0].tolist() == [0.5, -0.5, 0.0]
