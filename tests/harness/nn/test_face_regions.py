import math

import pytest
import torch

from auharness.data.flip import FLIP_68
from auharness.data.landmarks.mean_shape import MEAN_SHAPE
from auharness.nn.face_regions import REGIONS, landmark_mask, region_masks

FACE = torch.from_numpy(MEAN_SHAPE.copy()).float()
SIDE = 64


def face(scale=0.8):
    return (SIDE * (0.5 + scale * (FACE - 0.5)))[None]


def test_eight_regions_share_no_landmark_of_their_own():
    assert list(REGIONS) == [
        *("right brow", "left brow", "right eye", "left eye"),
        *("nose", "mouth", "right cheek", "left cheek"),
    ]
    own = [point[0] for region in REGIONS.values() for point in region if len(point) == 1]
    assert sorted(own) == list(range(17, 68))


@pytest.mark.parametrize(("one", "other"), [("right brow", "left brow"), ("right eye", "left eye")])
def test_sides_mirror_each_other(one, other):
    assert {FLIP_68[i] for (i,) in REGIONS[one]} == {i for (i,) in REGIONS[other]}


def test_cheeks_mirror_each_other():
    mirrored = [tuple(int(FLIP_68[i]) for i in point) for point in REGIONS["right cheek"]]
    assert mirrored == list(REGIONS["left cheek"])


def test_a_mask_is_the_gaussian_of_its_nearest_point():
    points = torch.zeros(1, 68, 2)
    # the mouth in the cell of row 1, column 2 of a 4x4 map; pixel 39.5 is the centre of that column
    points[:, 48:] = torch.tensor([39.5, 23.5])
    points[:, 60] = torch.tensor([39.5, 31.5])  # half a cell further down
    mouth = region_masks(points, grid=4, image_size=SIDE)[0, 5]
    assert mouth[1, 2].item() == pytest.approx(1.0)
    assert mouth[1, 3].item() == pytest.approx(math.exp(-2.0), rel=1e-5)  # one cell, two deviations
    assert mouth[2, 2].item() == pytest.approx(math.exp(-0.5), rel=1e-5)  # half a cell, one deviation


def test_masks_of_a_face_lie_where_its_parts_are():
    masks = region_masks(face(), grid=8, image_size=SIDE)[0]
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    place = {
        name: ((mask * rows).sum() / mask.sum(), (mask * columns).sum() / mask.sum())
        for name, mask in zip(REGIONS, masks, strict=True)
    }
    assert place["right brow"][0] < place["right eye"][0] < place["right cheek"][0] < place["mouth"][0]
    for part in ("brow", "eye", "cheek"):
        assert place[f"right {part}"][1] < 3.5 < place[f"left {part}"][1]
    assert place["nose"][0] < place["mouth"][0] and abs(place["nose"][1] - 3.5) < 0.5
    assert masks.min() >= 0 and masks.max() <= 1


def test_a_face_without_landmarks_is_masked_nowhere():
    points = face().repeat(3, 1, 1)
    points[2, 5, 0] = float("nan")
    valid = torch.tensor([True, False, True])
    for made in (region_masks, landmark_mask):
        masks = made(points, valid, grid=4, image_size=SIDE)
        assert masks[0].min() < 0.9
        assert (masks[1:] == 1).all()


def test_the_mask_of_all_landmarks_covers_every_region():
    every = landmark_mask(face(), grid=8, image_size=SIDE)
    assert every.shape == (1, 1, 8, 8)
    # all but the cheeks are made of landmarks
    assert (every >= region_masks(face(), grid=8, image_size=SIDE)[:, :6].amax(1) - 1e-6).all()
