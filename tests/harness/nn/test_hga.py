import torch
from torch import nn

from auharness.data.landmarks import MEAN_SHAPE
from auharness.nn.hga import AU12, FACE7, HGA, region_patches

SIDE, GRID = 224, 16
MOUTH = list(FACE7).index("mouth")


def _face(size=1):
    shape = torch.from_numpy(MEAN_SHAPE.copy()).float()
    return (20 + 180 * shape).expand(size, 68, 2).clone()


def _hga(**options):
    return HGA(16, grid=GRID, image_size=SIDE, fallback=_face()[0], heads=4, **options)


def test_the_seven_regions_hold_each_landmark_once():
    held = sorted(point for points in FACE7.values() for point in points)
    assert held == list(range(68)) and len(FACE7) == 7


def test_a_point_is_in_the_patch_of_14_pixels_around_it():
    landmarks = torch.zeros(1, 68, 2)
    # pixels 0 to 13 are patch 0, pixels 14 to 27 are patch 1; the last of 224 is 223
    landmarks[0, 48:68] = torch.tensor([13.0, 14.0])
    landmarks[0, 60] = torch.tensor([27.0, 13.4])
    landmarks[0, 61] = torch.tensor([223.0, 223.0])
    landmarks[0, 62] = torch.tensor([300.0, -40.0])
    mouth = region_patches(landmarks, grid=GRID, image_size=SIDE)[0, MOUTH]
    assert sorted(map(tuple, mouth.nonzero().tolist())) == [(0, 1), (0, 15), (1, 0), (15, 15)]  # row, column


def test_dilation_grows_a_region_in_all_directions():
    landmarks = torch.full((1, 68, 2), 100.0)
    grown = region_patches(landmarks, grid=GRID, image_size=SIDE, dilate=1)[0, 0]
    assert sorted({row for row, _ in grown.nonzero().tolist()}) == [6, 7, 8] and int(grown.sum()) == 9


def test_au_regions_have_two_centres_each():
    patches = region_patches(_face(), grid=GRID, image_size=SIDE, regions="au12")[0]
    assert len(patches) == len(AU12) == 12
    counts = dict(zip(AU12, patches.flatten(1).sum(1).tolist(), strict=True))
    assert counts[12] == 2 and set(counts.values()) <= {1, 2}
    # the corners of the mouth, by hand
    corners = [((point + 0.5) / 14).floor().long().tolist()[::-1] for point in (_face()[0, 48], _face()[0, 54])]
    assert sorted(patches[AU12.index(12)].nonzero().tolist()) == sorted(corners)


def test_a_region_is_the_mean_of_its_distinct_patches():
    module = _hga(fuse="mean")
    seen = []
    module.mlp.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    patches = torch.randn(1, 256, 16)
    module(patches, _face(), torch.tensor([True]))
    mouth = region_patches(_face(), grid=GRID, image_size=SIDE)[0, MOUTH].flatten()
    (joined,) = seen
    torch.testing.assert_close(joined[0, MOUTH, 16:32], patches[0, mouth].mean(0))
    torch.testing.assert_close(joined[0, MOUTH, 32:], patches[0].mean(0))


def test_frames_without_landmarks_have_those_of_the_mean_face():
    module, patches = _hga().eval(), torch.randn(3, 256, 16)
    landmarks = _face(3)
    landmarks[1] += 50
    landmarks[2] = float("nan")
    found, _ = module(patches, landmarks, torch.tensor([True, False, True]))
    wanted, _ = module(patches, _face(3), torch.ones(3, dtype=torch.bool))
    torch.testing.assert_close(found, wanted)
    moved, _ = module(patches, landmarks, torch.tensor([True, True, True]))
    assert not torch.allclose(moved[1], wanted[1])


def test_the_second_result_is_the_attention_on_own_patches():
    module = _hga().eval()
    for layer in (module.attention.query, module.attention.key):
        nn.init.zeros_(layer.weight)
    _, share = module(torch.randn(1, 256, 16), _face(), torch.tensor([True]))
    own = region_patches(_face(), grid=GRID, image_size=SIDE).flatten(2).sum(-1)
    torch.testing.assert_close(share, own / 256)
