"""Sounds that are written to files here and read again."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from auharness.api import DatasetPlugin
from auharness.data.sound import RATE, SoundStore, read_sound
from auharness.errors import DataError


def tone(seconds: float, *, rate: int, hz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def write(path: Path, sound: np.ndarray | None, *, rate: int = 44_100, video_s: float = 0, late_s: float = 0) -> Path:
    """Write a Matroska file with lossless stereo sound that begins `late_s` after the picture."""
    with av.open(str(path), "w", format="matroska") as container:
        picture = container.add_stream("mpeg4", rate=25, width=32, height=32, pix_fmt="yuv420p") if video_s else None
        stream = None if sound is None else container.add_stream("pcm_s16le", rate=rate, layout="stereo")
        for number in range(round(25 * video_s)):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(picture.encode(frame))
        if picture is not None:
            container.mux(picture.encode(None))
        if stream is not None:
            both = np.round(np.stack([sound, sound]) * 2**15).astype(np.int16)
            for start in range(0, both.shape[1], 1024):
                part = np.ascontiguousarray(both[:, start : start + 1024].T.reshape(1, -1))
                frame = av.AudioFrame.from_ndarray(part, format="s16", layout="stereo")
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = start + round(late_s * rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


class Wild(DatasetPlugin):
    """Recordings `a` and `b` share a file, `silent` has none."""

    name = "wild"
    aus = (1,)

    def records(self):
        return iter(())

    def audio(self, sequence):
        return None if sequence == "silent" else {"a": "one.mkv", "b": "one.mkv"}.get(sequence, f"{sequence}.mkv")


@pytest.fixture
def store(tmp_path) -> SoundStore:
    write(tmp_path / "one.mkv", tone(1, rate=RATE), rate=RATE)
    return SoundStore(Wild(root=tmp_path), folder=tmp_path / "kept")


def test_sound_at_the_wanted_rate_is_read_as_it_is(tmp_path):
    sound = tone(0.5, rate=RATE)
    read = read_sound(write(tmp_path / "a.mkv", sound, rate=RATE))
    assert read.dtype == np.int16
    np.testing.assert_allclose(read, np.round(sound * 2**15), atol=1)


def test_another_rate_keeps_time_and_loudness(tmp_path):
    read = read_sound(write(tmp_path / "a.mkv", tone(1, rate=44_100))) / 2**15
    assert abs(len(read) - RATE) <= 2
    inner = slice(800, len(read) - 800)
    np.testing.assert_allclose(read[inner], tone(1, rate=RATE)[: len(read)][inner], atol=0.01)


def test_sound_that_begins_later_than_the_picture_stands_at_its_time(tmp_path):
    read = read_sound(write(tmp_path / "a.mkv", tone(0.2, rate=RATE), rate=RATE, video_s=1, late_s=0.3))
    assert len(read) == round(0.5 * RATE)
    assert not read[: round(0.3 * RATE)].any()
    np.testing.assert_allclose(read[round(0.3 * RATE) :], np.round(tone(0.2, rate=RATE) * 2**15), atol=1)


def test_a_video_without_sound_is_empty(tmp_path):
    assert read_sound(write(tmp_path / "a.mkv", None, video_s=0.2)).shape == (0,)


def test_what_is_cut_is_the_sound_of_that_time(store):
    samples, valid = store.read("a", 0.25, 1600)
    assert samples.dtype == np.float32
    assert valid.all()
    np.testing.assert_allclose(samples, tone(1, rate=RATE)[4000:5600], atol=1e-4)


@pytest.mark.parametrize(("start_s", "inside"), [(-0.05, slice(800, 1600)), (0.95, slice(0, 800)), (3, slice(0, 0))])
def test_what_lies_outside_is_zero_and_marked(store, start_s, inside):
    samples, valid = store.read("b", start_s, 1600)
    expected = np.zeros(1600, bool)
    expected[inside] = True
    assert (valid == expected).all()
    assert not samples[~expected].any()


def test_a_sequence_without_a_file_is_silent(store):
    samples, valid = store.read("silent", 0, 160)
    assert not samples.any()
    assert not valid.any()


def test_a_file_is_decoded_once_for_all_its_sequences(store):
    assert store.prepare(["a", "b", "silent"]) == 2
    (kept,) = store.folder.glob("*.npy")
    made = kept.stat().st_mtime_ns
    assert SoundStore(store.dataset, folder=store.folder).prepare(["a"]) == 1
    assert [path.stat().st_mtime_ns for path in store.folder.glob("*.npy")] == [made]


def test_every_bad_file_is_named(store, tmp_path):
    (tmp_path / "broken.mkv").write_bytes(b"no recording")
    with pytest.raises(DataError) as caught:
        store.prepare(["a", "broken", "missing"])
    first, second = str(caught.value).splitlines()
    assert "broken.mkv: expected a recording that FFmpeg reads" in first
    assert "missing.mkv: expected a recording with sound, got no such file" in second
