"""Clips from the crop cache to batches, on crops made by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from auharness.api import Augment, Preprocess
from auharness.data.cache import CropCache, CropSettings
from auharness.data.clips import frames_of
from auharness.data.landmarks import central_box, place_mean_shape
from auharness.records import ClipRecord, Media
from auharness.training.clip_source import ClipSource
from auharness.training.source import Rows

LENGTHS = (24, 30)
STILL = Augment(flip=0, random_crop=False, brightness=0, contrast=0, saturation=0)
GREY = Preprocess(
    align="none", landmarks="mean-shape", resize=16, crop=16, frames=6, channels=1, mean=(0, 0, 0), std=(1, 1, 1)
)


def clip(number: int, length: int) -> ClipRecord:
    frames = tuple(range(5, 5 + length))
    media = tuple(Media(f"{number}/{frame}.png") for frame in frames)
    return ClipRecord("casme2", f"{number:02d}", f"{number:02d}/EP01", frames, media)


@pytest.fixture(scope="module")
def caches(tmp_path_factory) -> dict[str, CropCache]:
    """Two clips whose frame `t` is one grey value, 4 t."""
    root: Path = tmp_path_factory.mktemp("clips")
    cache = CropCache(root / "cache")
    for number, length in enumerate(LENGTHS, 1):
        record = clip(number, length)
        (root / str(number)).mkdir()
        for step, media in enumerate(record.media):
            cv2.imwrite(str(root / media.path), np.full((20, 16, 3), 4 * step, np.uint8))
        cache.prepare_sequence(root, record.sequence, frames_of(record), CropSettings("none", 16, "mean-shape"))
    return {"casme2": cache}


def source(caches, *, preprocess=GREY, augment=STILL, frames=None, targets=None) -> ClipSource:
    records = [clip(number, length) for number, length in enumerate(LENGTHS, 1)]
    numbers = np.empty(len(records), object)
    numbers[:] = frames or [np.array(record.frames) for record in records]
    rows = Rows(
        sample_ids=[record.id for record in records],
        subjects=[record.subject for record in records],
        datasets=["casme2"] * 2,
        sequences=[record.sequence for record in records],
        frames=numbers,
        time_s=np.array([0.1, 0.2]),
    )
    return ClipSource(rows, caches, targets=targets, preprocess=preprocess, augment=augment)


def steps(batch) -> list[list[int]]:
    """Which step of the clip each frame of a batch is, read off its grey value."""
    return (batch["clip"].mean((2, 3, 4)) * 255 / 4).round().long().tolist()


def test_a_test_clip_is_sampled_from_its_first_to_its_last_frame(caches):
    (batch,) = source(caches, targets=np.array([[1, 0], [0, 1]], np.int8)).batches(2)
    assert batch["clip"].shape == (2, 6, 1, 16, 16)
    assert batch["landmarks"].shape == (2, 6, 68, 2)
    assert batch["landmarks_valid"].shape == (2, 6)
    assert steps(batch) == [[0, 5, 9, 14, 18, 23], [0, 6, 12, 17, 23, 29]]
    assert batch["sample_id"] == ["casme2/01/EP01", "casme2/02/EP01"]
    assert batch["target"].tolist() == [[1, 0], [0, 1]]
    assert "image" not in batch


def test_a_training_clip_starts_at_its_first_frame_and_may_end_early(caches):
    augment = STILL.model_copy(update={"temporal_jitter": True})
    made = source(caches, augment=augment)
    lasts = set()
    for epoch in range(30):
        generator = torch.Generator().manual_seed(epoch)
        for batch in made.batches(2, generator=generator):
            for name, chosen in zip(batch["sample_id"], steps(batch), strict=True):
                assert chosen[0] == 0 and chosen == sorted(chosen)
                if name.endswith("01/EP01"):
                    lasts.add(chosen[-1])
    assert min(lasts) >= 6 and max(lasts) <= 22  # never the offset frame
    assert len(lasts) > 8


def test_all_frames_of_a_clip_are_varied_alike(caches):
    augment = Augment(flip=0.5, random_crop=False, brightness=0.4, contrast=0, saturation=0)
    (batch,) = source(caches, augment=augment).batches(2, generator=torch.Generator().manual_seed(0))
    for which, row in enumerate(batch["clip"].mean((2, 3, 4))):
        factor = row[1:] * 255 / 4 / torch.tensor(steps_of(batch["sample_id"][which])[1:])
        torch.testing.assert_close(factor, factor[:1].expand_as(factor), rtol=1e-3, atol=0)
        assert abs(float(factor[0]) - 1) > 1e-3


def test_a_test_clip_is_never_varied(caches):
    augment = Augment(flip=1, random_crop=True, brightness=0.5, contrast=0.5, saturation=0, temporal_jitter=True)
    preprocess = GREY.model_copy(update={"crop": 16})
    (plain,) = source(caches, preprocess=preprocess).batches(2)
    (varied,) = source(caches, preprocess=preprocess, augment=augment).batches(2)
    assert torch.equal(plain["clip"], varied["clip"]) and torch.equal(plain["landmarks"], varied["landmarks"])
    (trained,) = source(caches, preprocess=preprocess, augment=augment).batches(2, generator=torch.Generator())
    assert not torch.equal(plain["clip"], trained["clip"])


def steps_of(sample: str) -> list[int]:
    return [0, 5, 9, 14, 18, 23] if sample.endswith("01/EP01") else [0, 6, 12, 17, 23, 29]


def test_frames_that_could_not_be_decoded_are_left_out_before_sampling(caches):
    frames = [np.arange(5, 29), np.array([5, 6, 7, 900, 901, 8, 9, 10])]
    (batch,) = source(caches, frames=frames).batches(2)
    assert steps(batch)[1] == [0, 1, 2, 3, 4, 5]


def test_a_clip_without_a_face_is_counted_unless_no_face_is_looked_for(caches):
    # these crops have no landmarks: whole pictures need none, anything else counts what was not found
    assert source(caches).n_no_face == 0
    for fields in ({"align": "similarity"}, {"landmarks": "vendor"}, {"landmarks": "haar"}):
        assert source(caches, preprocess=GREY.model_copy(update=fields)).n_no_face == 2
    (batch,) = source(caches).batches(2)
    assert not batch["landmarks_valid"].any()


def test_colour_clips_have_three_channels(caches):
    preprocess = GREY.model_copy(update={"channels": 3})
    (batch,) = source(caches, preprocess=preprocess).batches(2)
    assert batch["clip"].shape == (2, 6, 3, 16, 16)


def test_grey_asks_for_one_mean_and_one_deviation():
    with pytest.raises(ValueError, match="channels is 1, expected equal entries in mean and std"):
        Preprocess(channels=1)


@pytest.mark.parametrize(
    ("sampler", "switch", "varies"),
    [
        ("uniform", None, False),
        ("uniform", True, True),
        ("linspace", None, False),
        ("linspace", True, True),
        ("dfer-clip", None, True),
        ("dfer-clip", False, False),
        ("former-dfer", None, True),
        ("former-dfer", False, False),
    ],
)
def test_segment_samplers_vary_in_training_unless_switched_off_and_never_in_tests(caches, sampler, switch, varies):
    preprocess = GREY.model_copy(update={"sampler": sampler})
    made = source(caches, preprocess=preprocess, augment=STILL.model_copy(update={"temporal_jitter": switch}))

    def frames(generator):
        (batch,) = made.batches(2, generator=generator)
        return dict(zip(batch["sample_id"], map(tuple, steps(batch)), strict=True))

    trained = [frames(torch.Generator().manual_seed(seed)) for seed in range(12)]
    assert (len({tuple(sorted(found.items())) for found in trained}) > 1) == varies
    assert frames(None) == frames(None)
    if not varies:
        assert trained[0] == frames(None)


def test_pairs_ask_for_an_even_number_of_frames():
    with pytest.raises(ValueError, match="frames is 7, expected an even number: sampler former-dfer reads pairs"):
        Preprocess(sampler="former-dfer", frames=7)


SPOT = 36  # outer corner of the image-left eye


@pytest.fixture(scope="module")
def spotted(tmp_path_factory) -> dict[str, CropCache]:
    """The two clips at 64 pixels, with a bright spot at the landmark `SPOT` of the mean shape."""
    root: Path = tmp_path_factory.mktemp("spotted")
    cache = CropCache(root / "cache")
    x, y = place_mean_shape(central_box(64, 64))[SPOT]
    rows, columns = np.mgrid[:64, :64]
    picture = (220 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 6)).astype(np.uint8)
    for number, length in enumerate(LENGTHS, 1):
        record = clip(number, length)
        (root / str(number)).mkdir()
        for media in record.media:
            cv2.imwrite(str(root / media.path), picture)
        cache.prepare_sequence(root, record.sequence, frames_of(record), CropSettings("none", 64, "mean-shape"))
    return {"casme2": cache}


@pytest.mark.parametrize(
    "variation",
    [
        {},
        {"flip": 1},
        {"rotate": 25},
        {"translate": 0.1},
        {"scale": 0.2},
        {"random_resized_crop": (0.6, 0.9)},
        {"flip": 1, "random_crop": True, "rotate": 15, "translate": 0.05, "scale": 0.1, "hue": 0.1, "brightness": 0.2},
    ],
)
def test_the_landmarks_of_a_training_clip_lie_where_its_pixels_say(spotted, variation):
    preprocess = GREY.model_copy(update={"resize": 64, "crop": 56, "frames": 4, "sampler": "dfer-clip"})
    augment = Augment(**{**STILL.model_dump(), **variation})
    made = source(spotted, preprocess=preprocess, augment=augment)
    index = 45 if variation.get("flip") else SPOT
    grid = torch.stack(torch.meshgrid(torch.arange(56), torch.arange(56), indexing="xy"), -1).float()
    places = []
    for seed in range(3):
        (batch,) = made.batches(2, generator=torch.Generator().manual_seed(seed))
        assert batch["landmarks"].shape == (2, 4, 68, 2) and not batch["landmarks_valid"].any()
        weight = batch["clip"][:, :, 0, ..., None]
        centre = (weight * grid).sum((2, 3)) / weight.sum((2, 3))
        expected = batch["landmarks"][:, :, index]
        inside = ((expected > 6) & (expected < 49)).all(-1)
        assert (centre - expected).abs().amax(-1)[inside].max() < 0.35
        places += expected[:, 0][inside[:, 0]].tolist()
    assert len(places) >= 3
    if set(variation) - {"flip"}:
        assert np.ptp(np.array(places), axis=0).max() > 0.5


def test_clips_with_a_frame_that_the_cascades_miss_are_counted(tmp_path):
    cache = CropCache(tmp_path / "cache")
    face = cv2.cvtColor(data.astronaut()[:200, 124:324], cv2.COLOR_RGB2BGR)
    for number, length in enumerate(LENGTHS, 1):
        record = clip(number, length)
        (tmp_path / str(number)).mkdir()
        for step, media in enumerate(record.media):
            missed = number == 2 and step == 3
            cv2.imwrite(str(tmp_path / media.path), np.zeros_like(face) if missed else face)
        cache.prepare_sequence(
            tmp_path, record.sequence, frames_of(record)[:5], CropSettings("haar-eyes", 64, "mean-shape")
        )
    preprocess = GREY.model_copy(update={"align": "haar-eyes", "resize": 64, "crop": 64, "frames": 5})
    made = source({"casme2": cache}, preprocess=preprocess)
    assert made.n_no_face == 1
    (batch,) = made.batches(2)
    assert batch["landmarks_valid"].tolist() == [[True] * 5, [True, True, True, False, True]]
