import numpy as np
import pytest

from auharness.data.landmarks.mean_shape import MEAN_SHAPE
from auharness.explain.regions import REGIONS, region_masks, region_shares

SIZE = 96
FACE = (10 + 76 * MEAN_SHAPE).astype(np.float32)


def test_each_pixel_is_in_exactly_one_region_and_each_region_has_some() -> None:
    masks = region_masks(FACE, SIZE)
    assert masks.shape == (len(REGIONS), SIZE, SIZE)
    assert (masks.sum(axis=0) == 1).all() and masks.any(axis=(1, 2)).all()


@pytest.mark.parametrize(
    ("region", "landmarks"),
    [
        ("brows", (19,)),
        ("brows", (24,)),
        ("eyes", (36, 39)),
        ("eyes", (42, 45)),
        ("nose", (27, 33)),
        ("mouth", (51, 57)),
    ],
)
def test_the_middle_of_a_part_is_in_its_region(region: str, landmarks: tuple[int, ...]) -> None:
    x, y = FACE[list(landmarks)].mean(axis=0).round().astype(int)
    assert region_masks(FACE, SIZE)[REGIONS.index(region), y, x]


def test_cheeks_lie_between_eye_nose_mouth_and_jaw_and_the_rest_outside() -> None:
    masks = region_masks(FACE, SIZE)
    for lid, wing, jaw in ((41, 31, 2), (46, 35, 14)):
        x, y = FACE[[lid, wing, jaw]].mean(axis=0).round().astype(int)
        assert masks[REGIONS.index("cheeks"), y, x]
    assert masks[REGIONS.index("rest"), 0, 0] and masks[REGIONS.index("rest"), -1, -1]


def test_the_regions_are_the_same_on_both_sides() -> None:
    masks = region_masks(FACE, SIZE)
    flipped = region_masks((10 + 76 * MEAN_SHAPE).astype(np.float32), SIZE)[:, :, ::-1]
    # the face's middle is at 48, the image's at 47.5: shapes may differ by a column
    assert (masks != np.roll(flipped, 1, axis=2)).mean() < 0.02


def test_an_even_map_has_the_shares_of_the_area_and_a_mouth_only_the_mouth() -> None:
    landmarks = np.stack([FACE, FACE])
    share, area = region_shares(np.ones((2, SIZE, SIZE), np.float32), landmarks)
    np.testing.assert_allclose(share, area)
    assert share.sum() == pytest.approx(1)
    mouth = region_masks(FACE, SIZE)[REGIONS.index("mouth")]
    maps = np.stack([np.full((SIZE, SIZE), np.nan), mouth]).astype(np.float32)
    share, area = region_shares(maps, landmarks)
    assert share.tolist() == [0, 0, 0, 1, 0, 0]
    assert area[REGIONS.index("mouth")] == pytest.approx(mouth.mean())


def test_the_shares_of_an_empty_map_are_undefined() -> None:
    assert np.isnan(region_shares(np.zeros((1, SIZE, SIZE), np.float32), FACE[None])[0]).all()
