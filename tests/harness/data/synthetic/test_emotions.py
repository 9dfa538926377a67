from collections import Counter

import numpy as np
import pytest

from auharness.data.synthetic.emotions import EmotionClip, EmotionSize, draw_emotion_clips
from auharness.data.synthetic.layouts import dfew
from auharness_plugins.datasets.dfew import DFEW

PUBLISHED = {"Happy": 2445, "Sad": 1894, "Neutral": 2669, "Angry": 2173, "Surprise": 1469, "Disgust": 145, "Fear": 902}


def draw(size: str, seed: int = 0) -> list[EmotionClip]:
    return draw_emotion_clips(dfew.EMOTIONS, size=dfew.SIZES[size], ids=dfew.IDS, seed=seed)


def test_the_full_size_has_the_published_clips_of_every_class_in_every_fold() -> None:
    clips = draw("full")
    assert {emotion.name: emotion.clips for emotion in dfew.EMOTIONS} == PUBLISHED
    published = DFEW.model_construct().published_splits()
    for fold in range(1, 6):
        for part in ("train", "test"):
            counts = Counter(clip.label for clip in clips if (clip.fold == fold) == (part == "test"))
            named = {name: counts[label] for label, name in enumerate(DFEW.classes)}
            assert named == published[f"fold{fold}/{part}"]


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_smaller_sizes_keep_the_shares_and_a_clip_of_every_class_in_both_parts(size: str) -> None:
    clips = draw(size)
    counts = Counter(clip.label for clip in clips)
    assert len(clips) == dfew.SIZES[size].clips
    for label, published in enumerate(PUBLISHED.values()):
        exact = published * len(clips) / 11697
        assert counts[label] == 5 if exact < 5 else abs(counts[label] - exact) < (1 if size == "small" else 3)
        in_test = Counter(clip.fold for clip in clips if clip.label == label)
        assert set(in_test) == {1, 2, 3, 4, 5} and max(in_test.values()) - min(in_test.values()) <= 1
        assert counts[label] > max(in_test.values())


def test_names_are_unique_numbers_that_do_not_depend_on_the_seed() -> None:
    one, other = draw("small"), draw("small", seed=1)
    assert [clip.name for clip in one] == [clip.name for clip in other] == sorted({clip.name for clip in one})
    assert all(len(clip.name) == 5 and 1 <= int(clip.name) <= 16372 for clip in one)
    assert [clip.label for clip in one] != [clip.label for clip in other]


def test_lengths_are_the_published_ones() -> None:
    lengths = np.array([clip.frames for clip in draw("full")])
    assert (lengths.min(), np.median(lengths), round(lengths.mean()), lengths.max()) == (11, 70, 77, 847)
    assert (lengths < 16).sum() == 14
    small = np.array([clip.frames for clip in draw("small")])
    assert (small.min(), small.max()) == (11, 847) and (small < 16).sum() == 1 and np.median(small) < 25


def test_faces_come_again_and_on_both_sides_of_a_fold() -> None:
    clips = draw("small")
    people = Counter(clip.person for clip in clips)
    assert 0.2 * len(clips) < len(people) < 0.3 * len(clips)
    tested = {clip.person for clip in clips if clip.fold == 1}
    assert tested & {clip.person for clip in clips if clip.fold != 1}


def test_too_few_clips_still_fill_every_fold() -> None:
    clips = draw_emotion_clips(dfew.EMOTIONS, size=EmotionSize(96, clips=35), ids=100, seed=0)
    assert set(Counter((clip.label, clip.fold) for clip in clips).values()) == {1}
