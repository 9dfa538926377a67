"""What is kept of the crops of a sequence: made once, under a key of all that it depends on."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from auharness.data.cache import CropCache, CropSettings
from auharness.data.kept_frames import BLOCK, KeptStore
from auharness.records import FrameRecord, Media

COUNT = BLOCK + 3


class Means:
    """Keeps the mean colour of a frame, and counts what it is asked for."""

    shape = (3,)

    def __init__(self, key="means") -> None:
        self.key, self.seen = key, 0

    def __call__(self, frames):
        self.seen += len(frames)
        return frames.mean((2, 3))


@pytest.fixture
def crops(tmp_path: Path) -> CropCache:
    cache = CropCache(tmp_path / "crops")
    make(tmp_path, cache, 0)
    return cache


def make(root: Path, cache: CropCache, grey: int) -> None:
    """Write pictures of one grey value per frame, and their crops."""
    records = [FrameRecord("wild", "a", "a", frame, Media(f"{frame}.png"), {1: 0}) for frame in range(COUNT)]
    for frame in range(COUNT):
        cv2.imwrite(str(root / f"{frame}.png"), np.full((16, 16, 3), grey + frame, np.uint8))
    cache.prepare_sequence(root, "a", records, CropSettings("none", 16, "mean-shape"))


def store(crops: CropCache, kept: Means, folder: Path, *, batch_key="plain") -> KeptStore:
    return KeptStore(
        "wild", crops, kept, batch=lambda x: x.permute(0, 3, 1, 2) / 255, batch_key=batch_key, folder=folder
    )


def test_rows_are_those_of_the_crops_and_are_made_once(crops, tmp_path):
    kept = Means()
    found = store(crops, kept, tmp_path / "kept").sequence("a")
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, np.repeat(np.arange(COUNT)[:, None] / 255, 3, 1), atol=1e-3)
    again = store(crops, kept, tmp_path / "kept").sequence("a")
    np.testing.assert_array_equal(again, found)
    assert kept.seen == COUNT and not list((tmp_path / "kept").glob(".*"))


def test_other_weights_or_other_preparation_are_other_files(crops, tmp_path):
    for number, (key, batch_key) in enumerate([("means", "plain"), ("other", "plain"), ("means", "darker")], start=1):
        kept = Means(key)
        store(crops, kept, tmp_path / "kept", batch_key=batch_key).sequence("a")
        assert kept.seen == COUNT and len(list((tmp_path / "kept").glob("*.npy"))) == number


def test_crops_that_were_made_again_are_seen_again(crops, tmp_path):
    before = np.array(store(crops, Means(), tmp_path / "kept").sequence("a"))
    for path in (tmp_path / "crops").rglob("*.npy"):
        path.unlink()
    (tmp_path / "crops" / "a.crops" / "meta.json").unlink()
    make(tmp_path, crops, 50)
    after = store(crops, Means(), tmp_path / "kept").sequence("a")
    np.testing.assert_allclose(after - before, 50 / 255, atol=2e-3)


def test_a_maker_that_stops_leaves_nothing(crops, tmp_path):
    class Stops(Means):
        def __call__(self, frames):
            if self.seen:
                raise KeyboardInterrupt
            return super().__call__(frames)

    with pytest.raises(KeyboardInterrupt):
        store(crops, Stops(), tmp_path / "kept").sequence("a")
    assert not list((tmp_path / "kept").iterdir())


def test_values_are_made_on_the_device_that_asks(crops, tmp_path):
    devices = set()

    class Notes(Means):
        def __call__(self, frames):
            devices.add(frames.device.type)
            return torch.zeros(len(frames), 3)

    store(crops, Notes(), tmp_path / "kept").sequence("a", device=torch.device("meta"))
    assert devices == {"meta"}
