import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from skimage.feature import local_binary_pattern

from auharness.features.lbp_top import BINS, block_edges, lbp_top, lbp_top_codes, uniform_bins

FRAMES, HEIGHT, WIDTH = 10, 17, 15


def clip(seed=0, levels=256):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, levels, (2, FRAMES, HEIGHT, WIDTH), generator=random).float()


def skimage_codes(image, method="default"):
    return local_binary_pattern(image.numpy().astype(np.int64), 8, 3, method=method).astype(int)


def test_every_plane_is_scikit_images_local_binary_pattern():
    video = clip()
    codes = lbp_top_codes(video).numpy()
    assert codes.shape == (2, 3, FRAMES - 6, HEIGHT - 6, WIDTH - 6)
    for row in range(2):
        for t in range(FRAMES - 6):
            wanted = skimage_codes(video[row, t + 3])[3:-3, 3:-3]
            np.testing.assert_array_equal(codes[row, 0, t], wanted)
        for y in range(HEIGHT - 6):
            wanted = skimage_codes(video[row, :, y + 3])[3:-3, 3:-3]
            np.testing.assert_array_equal(codes[row, 1, :, y], wanted)
        for x in range(WIDTH - 6):
            wanted = skimage_codes(video[row, :, :, x + 3])[3:-3, 3:-3]
            np.testing.assert_array_equal(codes[row, 2, :, :, x], wanted)


def test_the_bins_are_scikit_images_uniform_patterns_under_another_number():
    image = clip(levels=40)[0, 0]
    ours = uniform_bins().numpy()[skimage_codes(image)]
    pairs = set(zip(ours.ravel(), skimage_codes(image, "nri_uniform").ravel(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) > 40
    assert (BINS - 1, BINS - 1) in pairs  # the rest


def test_without_interpolation_a_neighbour_is_the_nearest_pixel():
    video = clip()
    codes = lbp_top_codes(video, interpolate=False)
    radii = {"x": 3, "y": 3, "t": 3}
    for plane, (columns, rows) in enumerate((("x", "y"), ("x", "t"), ("y", "t"))):
        for t, y, x in ((0, 0, 0), (2, 7, 4), (3, 10, 8)):
            here = {"t": t + 3, "y": y + 3, "x": x + 3}
            wanted = 0
            for p in range(8):
                at = dict(here)
                at[columns] += math.floor(radii[columns] * math.cos(math.pi * p / 4) + 0.5)
                at[rows] += math.floor(-radii[rows] * math.sin(math.pi * p / 4) + 0.5)
                brighter = video[0, at["t"], at["y"], at["x"]] >= video[0, here["t"], here["y"], here["x"]]
                wanted += int(brighter) << p
            assert int(codes[0, plane, t, y, x]) == wanted


def test_unequal_radii_reach_as_far_as_they_say():
    video = torch.zeros(1, 5, 9, 13)
    video[0, 2, 4, 6] = 1.0
    codes = lbp_top_codes(video, radii=(5, 3, 1))
    assert codes.shape == (1, 3, 3, 3, 3)
    # only the centre is brighter than its neighbours, in every plane
    assert (codes == 0).nonzero().tolist() == [[0, plane, 1, 1, 1] for plane in range(3)]


def test_a_flat_clip_has_one_pattern_whatever_its_brightness():
    codes = lbp_top_codes(torch.full((1, 7, 9, 9), 0.1))
    assert (codes == 255).all()


@pytest.mark.parametrize("overlap", [0.0, 0.7])
def test_a_histogram_counts_the_bins_of_its_block(overlap):
    video = clip()
    found = lbp_top(video, blocks=(2, 3), overlap=overlap, normalise=False).view(2, 2, 3, 3, BINS)
    bins = uniform_bins()[lbp_top_codes(video).long()]
    for r, (top, bottom) in enumerate(block_edges(HEIGHT - 6, 2, overlap)):
        for c, (left, right) in enumerate(block_edges(WIDTH - 6, 3, overlap)):
            part = bins[:, :, :, top:bottom, left:right]
            for row in range(2):
                for plane in range(3):
                    wanted = part[row, plane].flatten().bincount(minlength=BINS)
                    assert found[row, r, c, plane].tolist() == wanted.tolist()


def test_normalised_planes_of_a_block_sum_to_1_and_the_whole_has_the_published_length():
    features = lbp_top(torch.rand(1, 10, 112, 112))
    assert features.shape == (1, 11328)  # 8 x 8 x 3 x 59
    torch.testing.assert_close(features.view(-1, BINS).sum(1), torch.ones(192))


@pytest.mark.parametrize(("length", "parts", "overlap"), [(106, 8, 0.0), (106, 8, 0.7), (42, 4, 0.0), (42, 5, 0.5)])
def test_blocks_cover_everything_and_share_what_is_asked_for(length, parts, overlap):
    edges = block_edges(length, parts, overlap)
    assert edges[0][0] == 0 and edges[-1][1] == length
    for (_, stop), (start, _) in pairwise(edges):
        assert abs(stop - start - overlap * length / parts) <= 1


def test_features_do_not_change_with_brightness_and_contrast():
    video = clip()
    torch.testing.assert_close(lbp_top(video, blocks=(2, 2)), lbp_top(2 * video + 8, blocks=(2, 2)))
