from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from auharness.data.decode import read_video_frames, video_times
from auharness.data.synthetic.film_file import TICK, write_film


def grey(count: int) -> list[np.ndarray]:
    return [np.full((32, 48, 3), 40 + 6 * number, np.uint8) for number in range(count)]


@pytest.mark.parametrize(
    ("name", "rate", "ticks"),
    [
        ("a.mp4", Fraction(30000, 1001), [1001 * number for number in range(12)]),
        ("b.mp4", Fraction(24), [600, 900, 1800, 6000, 7000, 8123]),
        ("c.avi", Fraction(25), [1200 * number for number in range(12)]),
        ("d.avi", Fraction(30000, 1001), [1001 * number for number in range(12)]),
    ],
)
def test_a_film_holds_its_pictures_at_their_times(tmp_path: Path, name: str, rate: Fraction, ticks: list[int]) -> None:
    path = tmp_path / name
    write_film(path, grey(len(ticks)), ticks, rate=rate, size=(32, 48), sound=np.zeros(9000, np.float32))
    np.testing.assert_allclose(video_times(path), np.array(ticks) / TICK, atol=1e-6)
    shown = [float(image.mean()) for _, image in read_video_frames(path, range(len(ticks)))]
    np.testing.assert_allclose(shown, 40 + 6 * np.arange(len(ticks)), atol=3)


@pytest.mark.parametrize("name", ["a.mp4", "b.avi"])
def test_sound_begins_with_the_film(tmp_path: Path, name: str) -> None:
    sound = np.zeros(40000, np.float32)
    sound[20000:24000] = np.sin(np.arange(4000) * 0.2) / 2
    ticks = [1200 * number for number in range(30)]
    write_film(tmp_path / name, grey(30), ticks, rate=Fraction(25), size=(32, 48), sound=sound, sound_rate=16000)
    with av.open(str(tmp_path / name)) as container:
        channels = container.streams.audio[0].codec_context.channels
        heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)]).astype(np.float64)
    assert channels == (2 if name == "a.mp4" else 1)
    heard = heard / np.abs(heard).max()
    assert len(heard) >= 40000
    where = np.flatnonzero(np.abs(heard) > 0.3)
    assert abs(where[0] - 20000) < 200 and abs(where[-1] - 24000) < 200


def test_a_silent_film_has_no_sound_track(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mp4", grey(4), [0, 1000, 2000, 3000], rate=Fraction(30), size=(32, 48))
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert not container.streams.audio and len(container.streams.video) == 1


@pytest.mark.parametrize("name", ["a.mp4", "b.avi"])
def test_the_same_film_is_the_same_file(tmp_path: Path, name: str) -> None:
    sound = np.random.default_rng(0).uniform(-1, 1, 16000).astype(np.float32)
    for folder in ("one", "other"):
        ticks = [1200 * number for number in range(9)]
        write_film(tmp_path / folder / name, grey(9), ticks, rate=Fraction(25), size=(32, 48), sound=sound)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
