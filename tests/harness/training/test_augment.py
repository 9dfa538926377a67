"""Variation of crops: what is drawn, that frames of a clip share it, and that landmarks move with the pixels."""

import cv2
import numpy as np
import pytest
import torch

from auharness.api import Augment, Preprocess
from auharness.data.enhance import clahe, enhance
from auharness.data.flip import FLIP_68
from auharness.data.landmarks import MEAN_SHAPE
from auharness.training.augment import augmented, plain
from auharness.training.colours import turned
from auharness.training.geometry import Affine, warped

SIDE, CROP, CLIPS, FRAMES = 72, 64, 6, 4
OFF = {"flip": 0, "random_crop": False, "brightness": 0, "contrast": 0, "saturation": 0}
RAW = Preprocess(resize=SIDE, crop=CROP, mean=(0, 0, 0), std=(1, 1, 1))
POINTS = torch.from_numpy(20 + 30 * MEAN_SHAPE)
COLOURS = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.1, "hue": 0.1, "clahe": 0.3, "noise": 0.2, "blur": 0.2}
PAPER = Augment(rotate=8, translate=0.05, scale=0.05, **COLOURS)


def generator(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def varied(images, landmarks, *, augment, seed=0, preprocess=RAW, alike=FRAMES):
    return augmented(images, landmarks, preprocess, augment=augment, generator=generator(seed), alike=alike)


def spots(which) -> torch.Tensor:
    """One crop per landmark in `which`, with a bright spot at that landmark."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    made = [200 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8) for x, y in POINTS[list(which)].tolist()]
    return torch.from_numpy(np.repeat(np.stack(made)[..., None], 3, -1).round().astype(np.uint8))


def textures(seed=0, count=CLIPS * FRAMES) -> torch.Tensor:
    rough = np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    smooth = np.stack([cv2.GaussianBlur(image, (0, 0), 3) for image in rough]).astype(float)
    return torch.from_numpy((128 + 3 * (smooth - 128)).clip(0, 255).round().astype(np.uint8))


GEOMETRY = {
    "crop": {"random_crop": True},
    "flip": {"flip": 1},
    "rotate": {"rotate": 30},
    "translate": {"translate": 0.15},
    "scale": {"scale": 0.2},
    "resized": {"random_resized_crop": (0.6, 0.9)},
    "all": {"flip": 0.5, "random_resized_crop": (0.7, 1), "rotate": 20, "translate": 0.1, "scale": 0.1},
    "cut-all": {"flip": 0.5, "random_crop": True, "rotate": 20, "translate": 0.1, "scale": 0.1},
}


@pytest.mark.parametrize("name", GEOMETRY)
def test_a_spot_drawn_at_a_landmark_stays_under_it(name):
    which = (36, 54, 8, 26)  # the frames of a clip show different points
    images = spots(which).repeat(CLIPS, 1, 1, 1)
    made, points = varied(images, POINTS.expand(len(images), -1, -1), augment=Augment(**OFF | GEOMETRY[name]), seed=1)
    grid = torch.stack(torch.meshgrid(torch.arange(CROP), torch.arange(CROP), indexing="xy"), -1).float()
    centres = (made[:, :1, ..., None] * grid).sum((1, 2, 3)) / made[:, 0].sum((1, 2))[:, None]
    checked = moved = 0
    for frame, centre in enumerate(centres):
        index = which[frame % FRAMES]
        # where a clip was mirrored, the spot of a left point lies under its partner on the right
        partner = FLIP_68[index] if GEOMETRY[name].get("flip") else index
        expected = min(points[frame, index], points[frame, partner], key=lambda point: (point - centre).norm())
        if expected.min() > 7 and expected.max() < CROP - 8:
            assert (centre - expected).abs().max() < 0.3
            checked += 1
            moved += bool((expected - (POINTS[index] - (SIDE - CROP) // 2)).abs().max() > 1)
    assert checked >= CLIPS * FRAMES / 2 and moved >= checked / 2


def test_flips_swap_the_sides_of_the_landmarks():
    images = spots((36,))
    made, points = varied(images, POINTS[None], augment=Augment(**OFF | {"flip": 1}), alike=1)
    x, y = points[0, 45].tolist()
    assert made[0, 0, round(y), round(x)] > 0.7
    torch.testing.assert_close(points[0, :, 0].sort().values, (CROP - 1 - (POINTS[:, 0] - 4)).sort().values)


@pytest.mark.parametrize("name", [*GEOMETRY, "paper"])
def test_all_frames_of_a_clip_are_varied_alike(name):
    augment = PAPER if name == "paper" else Augment(**OFF | GEOMETRY[name])
    images = textures(count=CLIPS).repeat_interleave(FRAMES, 0)
    made, points = varied(images, POINTS.expand(len(images), -1, -1), augment=augment)
    made, points = made.reshape(CLIPS, FRAMES, 3, CROP, CROP), points.view(CLIPS, FRAMES, 68, 2)
    assert (made == made[:, :1]).all() and (points == points[:, :1]).all()
    if name != "flip":
        differences = [(points[0, 0] - points[clip, 0]).abs().max() for clip in range(1, CLIPS)]
        assert sum(difference > 0.1 for difference in differences) >= 2


def test_crop_flip_and_brightness_are_the_first_draws_of_the_generator():
    images, landmarks = textures(count=CLIPS), POINTS.expand(CLIPS, -1, -1)
    made, points = varied(images, landmarks, augment=Augment(contrast=0, saturation=0), seed=7, alike=1)
    chance = generator(7)
    corners = torch.randint(0, SIDE - CROP + 1, (CLIPS, 2), generator=chance).tolist()
    flips = (torch.rand(CLIPS, generator=chance) < 0.5).tolist()
    factors = (1 + 0.4 * (2 * torch.rand(CLIPS, 3, generator=chance)[:, 0] - 1)).tolist()
    assert True in flips and False in flips
    for clip, (x, y) in enumerate(corners):
        expected = images[clip, y : y + CROP, x : x + CROP].permute(2, 0, 1) / 255 * factors[clip]
        expected = (expected.flip(-1) if flips[clip] else expected).clamp(0, 1)
        torch.testing.assert_close(made[clip], expected)
        # the chin's own partner is itself
        chin = (POINTS[8] - torch.tensor([x, y])).tolist()
        assert points[clip, 8].tolist() == pytest.approx([CROP - 1 - chin[0] if flips[clip] else chin[0], chin[1]])


def test_switching_a_variation_on_leaves_the_draws_of_the_others():
    images, landmarks = textures(), POINTS.expand(CLIPS * FRAMES, -1, -1)
    base = varied(images, landmarks, augment=Augment(rotate=10))[1]
    more = varied(images, landmarks, augment=Augment(rotate=10, hue=0.1, noise=1, blur=1, clahe=1))[1]
    assert torch.equal(base, more)


def test_a_warp_turns_as_opencv_does():
    (image,) = textures(count=1)
    affine = Affine(torch.tensor([20.0]), torch.tensor([1.1]), torch.tensor([[3.0, -2.0]]))
    made, _ = warped(image[None], POINTS[None], torch.zeros(1, 2), SIDE, affine)
    # opencv's angles are counter-clockwise
    matrix = cv2.getRotationMatrix2D(((SIDE - 1) / 2, (SIDE - 1) / 2), -20, 1.1)
    matrix[:, 2] += 3, -2
    expected = cv2.warpAffine(image.numpy(), matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101)
    assert np.abs(made[0].permute(1, 2, 0).numpy() * 255 - expected).mean() < 0.6


def test_rectangles_have_the_asked_area_and_shape():
    landmarks = POINTS.expand(400, -1, -1)
    images = torch.zeros(400, SIDE, SIDE, 3, dtype=torch.uint8)
    augment = Augment(**OFF | {"random_resized_crop": (0.2, 0.6)})
    _, points = varied(images, landmarks, augment=augment, alike=1)
    zoom = (points[:, 16] - points[:, 8]) / (POINTS[16] - POINTS[8])
    width, height = (CROP / zoom).unbind(1)
    area, ratio = width * height / SIDE**2, width / height
    assert 0.19 < area.min() < 0.23 and 0.57 < area.max() < 0.61
    assert 0.72 < ratio.min() < 0.78 and 1.28 < ratio.max() < 1.39
    assert abs(ratio.log().mean()) < 0.03 and abs(area.mean() - 0.4) < 0.02


def test_hue_keeps_luma_and_turns_back():
    colours = 0.3 + 0.4 * torch.rand(4, 3, 8, 8, generator=generator())
    turns = torch.tensor([0.1, -0.2])
    there = turned(colours, turns)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    inside = ((there > 0) & (there < 1)).all(1)
    difference = (there * luma).sum(1) - (colours * luma).sum(1)
    assert inside.float().mean() > 0.9 and difference[inside].abs().max() < 1e-3
    assert (there - colours).abs().mean() > 0.02
    back = turned(there, -turns)
    assert (back - colours).abs().amax(1)[inside].max() < 1e-3


def test_noise_is_one_pattern_for_the_frames_of_a_clip_of_the_stated_strength():
    images = torch.full((CLIPS * FRAMES, SIDE, SIDE, 3), 128, dtype=torch.uint8)
    made, _ = varied(images, POINTS.expand(len(images), -1, -1), augment=Augment(**OFF | {"noise": 1}))
    made = made.reshape(CLIPS, FRAMES, -1)
    assert (made == made[:, :1]).all() and not torch.equal(made[0], made[1])
    deviations = made[:, 0].std(1)
    assert deviations.min() > 0.0095 and deviations.max() < 0.0505 and deviations.max() - deviations.min() > 0.01


@pytest.mark.parametrize("kind", ["blur", "clahe"])
def test_a_probability_is_the_share_of_clips_that_are_varied(kind):
    images = textures(count=1).expand(200, -1, -1, -1)
    landmarks = POINTS.expand(200, -1, -1)
    still = plain(images[:1], landmarks[:1], RAW)[0]
    made, _ = varied(images, landmarks, augment=Augment(**OFF | {kind: 0.3}), alike=1)
    # jitter by a factor of one may round
    changed = (made - still).abs().amax((1, 2, 3)) > 2e-3
    assert 0.2 < changed.float().mean() < 0.4
    variation = made[changed].std((1, 2, 3)) / still.std()
    assert (variation < 1).all() if kind == "blur" else (variation > 1).float().mean() > 0.7


def test_enhancement_is_cached_as_far_as_training_and_tests_share_it():
    every = ("clahe", "bilateral", "unsharp")
    assert Preprocess(enhance=every).enhance_cached == every
    assert Preprocess(enhance=every, enhance_test=("clahe",)).enhance_cached == ("clahe",)
    assert Preprocess(enhance=every, enhance_test=()).enhance_cached == ()
    assert Preprocess(enhance=("clahe",), enhance_test=("clahe", "unsharp")).enhance_cached == ("clahe",)
    assert Preprocess(enhance=("unsharp",), enhance_test=("clahe",)).enhance_cached == ()


def test_what_is_not_cached_is_done_when_a_batch_is_made():
    (raw,) = textures(count=1).numpy()
    literal = RAW.model_copy(update={"enhance": ("clahe", "bilateral", "unsharp"), "enhance_test": ("clahe",)})
    shared = torch.from_numpy(clahe(raw))[None]

    def cut(image):
        return torch.from_numpy(image[4:-4, 4:-4]).permute(2, 0, 1) / 255

    tested, _ = plain(shared, POINTS[None], literal)
    torch.testing.assert_close(tested[0], cut(clahe(raw)))
    trained, _ = varied(shared, POINTS[None], augment=Augment(**OFF), preprocess=literal, alike=1)
    torch.testing.assert_close(trained[0], cut(enhance(raw, literal.enhance)), atol=1e-5, rtol=1e-4)
    alike = RAW.model_copy(update={"enhance": ("clahe",)})
    torch.testing.assert_close(plain(shared, POINTS[None], alike)[0], tested)


def test_shares_of_a_rectangle_are_checked():
    with pytest.raises(ValueError, match="random_resized_crop is"):
        Augment(random_resized_crop=(0.5, 0.2))
