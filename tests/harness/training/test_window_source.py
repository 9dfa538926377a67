"""Windows of frames from the crop cache, on crops made by hand."""

import wave
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from auharness.api import Augment, DatasetPlugin, Preprocess
from auharness.data.cache import CropCache, CropSettings
from auharness.data.kept_frames import KeptStore
from auharness.data.sound import SoundStore
from auharness.records import FrameRecord, Media
from auharness.training.source import Rows
from auharness.training.window_source import MARGIN_S, WindowSource, window_starts

FRAMES = {"a": [3, 4, 5, 8, 9, 10, 11], "b": [1, 2]}  # two numbers of `a` have no row
STILL = Augment(flip=0, random_crop=False, brightness=0, contrast=0, saturation=0)
GREY = Preprocess(
    align="none",
    landmarks="mean-shape",
    resize=16,
    crop=16,
    frames=4,
    stride=3,
    channels=1,
    mean=(0, 0, 0),
    std=(1, 1, 1),
)


def record(name: str, frame: int) -> FrameRecord:
    return FrameRecord("wild", name, name, frame, Media(f"{name}/{frame}.png"), {1: 0})


ROWS = [record(name, frame) for name, frames in FRAMES.items() for frame in frames]


@pytest.fixture(scope="module")
def caches(tmp_path_factory) -> dict[str, CropCache]:
    """Two recordings whose frame `n` is one grey value, 10 n."""
    root: Path = tmp_path_factory.mktemp("wild")
    cache = CropCache(root / "cache")
    for name, frames in FRAMES.items():
        (root / name).mkdir()
        for frame in frames:
            cv2.imwrite(str(root / name / f"{frame}.png"), np.full((16, 16, 3), 10 * frame, np.uint8))
        records = [record(name, frame) for frame in frames]
        cache.prepare_sequence(root, name, records, CropSettings("none", 16, "mean-shape"))
    return {"wild": cache}


def source(caches, *, order=None, augment=STILL, labelled=True, sounds=None, kept=None) -> WindowSource:
    records = ROWS if order is None else [ROWS[i] for i in order]
    rows = Rows(
        sample_ids=[x.id for x in records],
        subjects=[x.subject for x in records],
        datasets=["wild"] * len(records),
        sequences=[x.sequence for x in records],
        frames=np.array([x.frame for x in records]),
        time_s=np.array([x.frame / 10 for x in records]),
    )
    targets = np.array([[x.frame % 2, 1] for x in records], np.int8) if labelled else None
    return WindowSource(rows, caches, targets=targets, preprocess=GREY, augment=augment, sounds=sounds, kept=kept)


def shown(batch) -> list[list[int]]:
    """Which frame each place of a window shows, read off its grey value."""
    return (batch["clip"].mean((2, 3, 4)) * 255 / 10).round().long().tolist()


def test_windows_cover_every_frame_number_and_the_last_ends_with_the_recording(caches):
    (batch,) = source(caches).batches(9)
    assert shown(batch) == [[3, 4, 5, 5], [5, 8, 8, 9], [8, 9, 10, 11], [1, 2, 2, 2]]
    torch.testing.assert_close(batch["time_s"][1], torch.tensor([0.6, 0.7, 0.8, 0.9], dtype=torch.float64))
    assert batch["clip"].shape == (4, 4, 1, 16, 16)
    assert batch["landmarks"].shape == (4, 4, 68, 2)
    assert batch["landmarks_valid"].shape == (4, 4)


def test_a_place_without_a_row_is_not_coded(caches):
    (batch,) = source(caches).batches(9)
    none = [-1, -1]
    assert batch["target"].tolist() == [
        [[1, 1], [0, 1], [1, 1], none],
        [none, none, [0, 1], [1, 1]],
        [[0, 1], [1, 1], [0, 1], [1, 1]],
        [[1, 1], [0, 1], none, none],
    ]


@pytest.mark.parametrize("order", [range(len(ROWS)), [8, 2, 0, 5, 3, 1, 7, 6, 4]])
def test_what_windows_say_of_a_frame_is_averaged_in_the_order_of_the_rows(caches, order):
    made = source(caches, order=order, labelled=False)
    # the answer of window w at place t is 10 w + t, and 100 more for the second output
    scores = (10.0 * torch.arange(4)[:, None] + torch.arange(4))[..., None] + torch.tensor([0.0, 100.0])
    expected = {3: 0, 4: 1, 5: 2, 8: (12 + 20) / 2, 9: (13 + 21) / 2, 10: 22, 11: 23, 1: 30, 2: 31}
    views = {8: 2, 9: 2}
    frames = [ROWS[i].frame for i in order]
    truth = torch.tensor([[expected[frame], expected[frame] + 100.0] for frame in frames])
    torch.testing.assert_close(made.gather(scores), truth, rtol=0, atol=0)
    assert made.views.tolist() == [views.get(frame, 1) for frame in frames]


def test_an_epoch_draws_so_many_windows_of_each_recording(caches):
    made = source(caches, augment=STILL.model_copy(update={"windows": 40}))
    assert len(made) == 80
    batches = list(made.batches(16, generator=torch.Generator().manual_seed(0)))
    drawn = [tuple(window) for batch in batches for window in shown(batch)]
    assert len(drawn) == 80
    assert drawn.count((1, 2, 2, 2)) == 40
    # each of the six places where a window may begin
    assert len(set(drawn)) == 7
    again = [tuple(w) for batch in made.batches(16, generator=torch.Generator().manual_seed(0)) for w in shown(batch)]
    assert again == drawn


def test_an_epoch_can_be_entered_at_any_batch(caches):
    made = source(caches, augment=Augment(windows=5))
    whole = list(made.batches_from(4, seed=3, start=0))
    torch.testing.assert_close(next(made.batches_from(4, seed=3, start=1))["clip"], whole[1]["clip"])


def test_the_frames_of_a_window_are_varied_alike(caches):
    made = source(caches, augment=STILL.model_copy(update={"brightness": 0.5, "windows": 8}))
    for batch in made.batches(4, generator=torch.Generator().manual_seed(1)):
        for clip in batch["clip"].mean((2, 3, 4)):
            numbers = clip / clip[0]
            # frames 1, 2, 2, 2 of `b` keep their ratio
            if abs(numbers[1] - 2) < 0.1:
                torch.testing.assert_close(numbers, torch.tensor([1.0, 2, 2, 2]), rtol=0.02, atol=0)


@pytest.mark.parametrize("length", [1, 4, 5, 6, 7, 255, 256, 257, 1000])
@pytest.mark.parametrize(("window", "stride"), [(4, 3), (4, 4), (4, 1), (256, 128)])
def test_no_place_is_left_out(length, window, stride):
    starts = window_starts(length, window, stride)
    covered = {place for start in starts for place in range(start, start + window)}
    assert covered >= set(range(length))
    assert starts == sorted(set(starts))
    assert starts[-1] + window == max(length, window)


def test_windows_that_leave_gaps_are_refused():
    with pytest.raises(ValidationError, match="stride is 9, expected at most frames, which is 8"):
        Preprocess(frames=8, stride=9)


class Sounding(DatasetPlugin):
    """Recording `a` has a second of sound, 1 at each sample whose number is a multiple of 1,600; `b` has none."""

    name = "wild"
    aus = (1,)

    def records(self):
        return iter(())

    def audio(self, sequence):
        return "a.wav" if sequence == "a" else None


@pytest.fixture
def sounds(tmp_path) -> dict[str, SoundStore]:
    clicks = np.zeros(16_000, np.int16)
    clicks[::1600] = 2**14
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(clicks.tobytes())
    return {"wild": SoundStore(Sounding(root=tmp_path), folder=tmp_path / "kept")}


def test_each_frame_lies_at_its_own_time_in_the_sound_of_its_window(caches, sounds):
    (batch,) = source(caches, sounds=sounds).batches(9)
    # the longest window is 0.3 s from its first frame to its last
    assert batch["audio"].shape == batch["audio_valid"].shape == (4, round((0.3 + 2 * MARGIN_S) * 16_000))
    assert batch["frame_s"].dtype == torch.float32
    # frame n is at n / 10 s, where the sound clicks while there is any; in the first three windows
    for audio, valid, frame_s, time_s in zip(
        *(batch[x][:3] for x in ("audio", "audio_valid", "frame_s", "time_s")), strict=True
    ):
        for at, time in zip((frame_s * 16_000).round().long().tolist(), time_s.tolist(), strict=True):
            inside = time < 1
            assert bool(valid[at]) == inside
            assert float(audio[at]) == (0.5 if inside else 0)
            assert not audio[at + 1 : at + 1599].any()


def test_a_recording_without_sound_is_zero_and_marked(caches, sounds):
    (batch,) = source(caches, sounds=sounds).batches(9)
    assert not batch["audio"][3].any()
    assert not batch["audio_valid"][3].any()


def test_without_sounds_there_is_none_in_a_batch(caches):
    (batch,) = source(caches).batches(9)
    assert not {"audio", "audio_valid", "frame_s"} & batch.keys()


class MeanGrey:
    """Keeps a frame's mean grey, twice."""

    key, shape = "mean grey", (2,)

    def __call__(self, frames):
        return frames.mean((1, 2, 3))[:, None].expand(-1, 2)


def test_what_was_kept_stands_in_the_place_of_pixels_and_landmarks_stay(caches, tmp_path):
    kept = {"wild": KeptStore("wild", caches["wild"], MeanGrey(), batch=pixels, batch_key="", folder=tmp_path)}
    (wanted,) = source(caches).batches(9)
    (found,) = source(caches, kept=kept).batches(9)
    assert found["clip"].dtype == torch.float16 and found["clip"].shape == (*wanted["clip"].shape[:2], 2)
    torch.testing.assert_close(found["clip"][..., 0].float(), wanted["clip"].mean((2, 3, 4)), atol=1e-3, rtol=0)
    for name in ("landmarks", "landmarks_valid", "time_s", "target"):
        torch.testing.assert_close(found[name], wanted[name])


def test_windows_of_what_was_kept_are_drawn_but_never_varied(caches, tmp_path):
    kept = {"wild": KeptStore("wild", caches["wild"], MeanGrey(), batch=pixels, batch_key="", folder=tmp_path)}
    flips = Augment(flip=1, random_crop=False, brightness=0, contrast=0, saturation=0, windows=3)
    (drawn,) = source(caches, kept=kept, augment=flips).batches(9, generator=torch.Generator().manual_seed(1))
    (again,) = source(caches, augment=flips).batches(9, generator=torch.Generator().manual_seed(1))
    (still,) = source(caches).batches(9)
    assert torch.equal(drawn["time_s"], again["time_s"])
    assert torch.equal(drawn["landmarks"][0, 0], still["landmarks"][0, 0])
    assert not torch.equal(again["landmarks"][0, 0], still["landmarks"][0, 0])


def pixels(images):
    """Grey frames as GREY has them."""
    return images[..., :1].permute(0, 3, 1, 2) / 255
