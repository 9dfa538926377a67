from collections.abc import Mapping

import numpy as np
import pytest

from auharness.data.synthetic import emotion_film
from auharness.data.synthetic.emotion_film import KeyFrame, film_emotion, key_frames
from auharness.data.synthetic.emotions import EmotionClip
from auharness.data.synthetic.layouts.dfew import EMOTIONS

BY_NAME = {emotion.name: emotion for emotion in EMOTIONS}
SPOKEN = {25, 26, 45}


def keys(name: str, number: int, frames: int = 60) -> list[KeyFrame]:
    return key_frames(EmotionClip(f"{number:05d}", 0, 1, 0, frames), BY_NAME[name], seed=0)


def strongest(name: str, au: int) -> float:
    """Mean over clips of an AU's strongest moment."""
    return float(np.mean([max(key.shown.get(au, 0.0) for key in keys(name, n)) for n in range(40)]))


@pytest.mark.parametrize("name", [name for name in BY_NAME if name != "Neutral"])
def test_an_emotion_shows_its_prototype(name: str) -> None:
    for au in set(BY_NAME[name].core) - SPOKEN:
        assert strongest(name, au) > 0.5 > 0.25 > strongest("Neutral", au)


def test_prototypes_are_incomplete_and_below_full_strength() -> None:
    complete = [
        all(max(key.shown.get(au, 0) for key in keys("Fear", n)) > 0.3 for au in (1, 2, 4, 5)) for n in range(40)
    ]
    assert 0.4 < np.mean(complete) < 0.95
    peaks = [max(key.shown.get(12, 0.0) for key in keys("Happy", n)) for n in range(40)]
    assert np.mean(np.array(peaks) < 0.95) > 0.7


def test_the_emotion_rises_and_mostly_falls() -> None:
    courses = [[key.shown.get(12, 0.0) for key in keys("Happy", n)] for n in range(40)]
    shown = [course for course in courses if max(course) > 0.3]
    assert np.mean([max(course) > 1.3 * course[0] for course in shown]) > 0.6
    assert np.mean([max(course) > 1.3 * course[-1] for course in shown]) > 0.4


def test_heads_turn_within_what_the_renderer_can_show() -> None:
    poses = np.array([key.pose for n in range(60) for key in keys("Sad", n)])
    assert np.abs(poses).max() < 25 and poses[:, 0].std() > 6


def test_longer_clips_have_more_key_frames() -> None:
    assert [len(keys("Sad", 1, frames)) for frames in (11, 24, 100, 847)] == [4, 6, 15, 20]


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the renderer by a bar as long as AU12 is strong."""

    def bar(identity: object, scene: object, aus: Mapping[int, float], *, size: int, **options: object) -> object:
        image = np.full((size, size, 3), 60, np.uint8)
        image[size // 2 - 6 : size // 2 + 6, : int(size * aus.get(12, 0.0))] = 220
        return image, np.zeros((68, 2), np.float32)

    monkeypatch.setattr(emotion_film, "render_face", bar)


def test_every_frame_is_filmed_and_differs(flat: None) -> None:
    for count in (1, 11, 40):
        frames = list(film_emotion(EmotionClip("00007", 0, 1, 0, count), BY_NAME["Happy"], pixels=96, seed=0))
        assert [(frame.shape, frame.dtype) for frame in frames] == [((96, 96, 3), np.uint8)] * count
        assert len({frame.tobytes() for frame in frames}) == count


def test_seed_and_name_decide_the_film(flat: None) -> None:
    def film(name: str, seed: int) -> bytes:
        clip = EmotionClip(name, 0, 1, 0, 12)
        return b"".join(frame.tobytes() for frame in film_emotion(clip, BY_NAME["Happy"], pixels=96, seed=seed))

    assert film("00007", 0) == film("00007", 0)
    assert len({film("00007", 0), film("00008", 0), film("00007", 1)}) == 3


def test_some_clips_are_blurred_covered_or_lit_anew(flat: None) -> None:
    seen = [emotion_film._Camera(EmotionClip(f"{n:05d}", 0, 1, 0, 24), *shot(n)) for n in range(60)]
    assert 0.1 < np.mean([camera.occluder is not None for camera in seen]) < 0.4
    assert 0.1 < np.mean([camera.shake.max() > 2 for camera in seen]) < 0.45
    assert np.mean([camera.light.max() / camera.light.min() > 1.25 for camera in seen]) > 0.1


def shot(number: int) -> tuple[object, ...]:
    from auharness.data.synthetic.identity import sample_identity, sample_scene

    return sample_scene("dfew", number), sample_identity(number), 96, np.random.default_rng(number)
