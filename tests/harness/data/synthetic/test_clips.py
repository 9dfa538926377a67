from types import ModuleType

import numpy as np
import pytest

from auharness.data.synthetic.clips import Clip, ClipSize, Code, draw_clips, positives
from auharness.data.synthetic.layouts import casme2, samm

LAYOUTS = pytest.mark.parametrize("layout", [casme2, samm], ids=["casme2", "samm"])
PUBLISHED = {  # meb, Table 4: rows, rows without a kept AU, positives
    casme2: (256, 13, {1: 26, 2: 22, 4: 130, 7: 39, 12: 34, 14: 27, 15: 16, 17: 25}),
    samm: (159, 56, {2: 18, 4: 23, 7: 46, 12: 28}),
}


def drawn(layout: ModuleType, size: str, seed: int = 0) -> list[Clip]:
    by_subject = draw_clips(layout._CORPUS, size=layout.SIZES[size], seed=seed)
    return [clip for clips in by_subject.values() for clip in clips]


def count(clips: list[Clip], au: int) -> int:
    return sum(any(au == number for _, number in clip.code.actions) for clip in clips)


def test_sides_are_read_from_what_is_shown() -> None:
    assert Code("4+L9+14", "4 L9 14", 2, "").actions == (("", 4), ("L", 9), ("", 14))
    assert Code("?", "", 5, "").actions == ()


@LAYOUTS
def test_the_full_size_has_the_published_rows_and_positives(layout: ModuleType) -> None:
    rows, without, published = PUBLISHED[layout]
    clips = drawn(layout, "full")
    assert len(clips) == rows
    assert {au: count(clips, au) for au in layout.AUS} == published
    assert {au: positives(layout.CODES, au) for au in layout.AUS} == published
    assert sum(not {au for _, au in clip.code.actions} & set(layout.AUS) for clip in clips) == without


def test_excluded_aus_are_as_rare_as_published() -> None:
    assert {au: positives(casme2.CODES, au) for au in (6, 9, 10)} == {6: 13, 9: 13, 10: 16}
    assert {au: positives(samm.CODES, au) for au in (5, 14)} == {5: 10, 14: 13}


@LAYOUTS
@pytest.mark.parametrize("seed", range(3))
def test_the_small_size_keeps_subjects_and_rates(layout: ModuleType, seed: int) -> None:
    clips = drawn(layout, "small", seed)
    per_subject = [sum(clip.subject == subject for clip in clips) for subject in layout.subjects(size="small")]
    assert set(per_subject) == {3, 4}
    share = len(clips) / sum(code.rows for code in layout.CODES)
    for au in layout.AUS:
        # an AU stands in up to three places of the list, and each is cut to whole rows
        assert abs(count(clips, au) - share * positives(layout.CODES, au)) < 3


@LAYOUTS
@pytest.mark.parametrize("size", ["tiny", "small", "full"])
def test_leaving_out_a_subject_leaves_every_au_to_train_on(layout: ModuleType, size: str) -> None:
    for seed in range(3):
        clips = drawn(layout, size, seed)
        for au in layout.AUS:
            showing = {clip.subject for clip in clips if any(au == number for _, number in clip.code.actions)}
            assert len(showing) > 1


@LAYOUTS
def test_movements_begin_peak_and_end_within_the_frames_on_disk(layout: ModuleType) -> None:
    for size in layout.SIZES:
        for clip in drawn(layout, size, seed=1):
            assert 1 <= clip.first <= clip.onset < clip.apex < clip.offset <= clip.last


@LAYOUTS
def test_clips_are_as_long_as_the_vendors_and_shorter_ones_keep_the_least_length(layout: ModuleType) -> None:
    least, median, most = layout._CORPUS.lengths
    lengths = [clip.offset - clip.onset + 1 for clip in drawn(layout, "full")]
    assert least <= min(lengths) and max(lengths) <= most
    assert abs(np.median(lengths) - median) < 6
    lengths = [clip.offset - clip.onset + 1 for clip in drawn(layout, "small")]
    assert least <= min(lengths) and 50 < max(lengths) <= 60


def test_some_of_casme2s_apexes_are_not_coded() -> None:
    missing = [sum(not clip.apex_coded for clip in drawn(casme2, "full", seed)) for seed in range(10)]
    assert 15 < np.mean(missing) < 27  # 21 in the sheet
    assert all(clip.apex_coded for clip in drawn(samm, "full"))


def test_the_seed_decides_who_shows_what() -> None:
    assert drawn(samm, "small") == drawn(samm, "small") != drawn(samm, "small", seed=1)


def test_named_texts_are_taken_instead_of_a_sample() -> None:
    texts = ("4", "?", "1+2", "7", "12", "14", "15+17") * 2
    size = ClipSize(140, 170, subjects=2, texts=texts)
    clips = draw_clips(casme2._CORPUS, size=size, seed=0)
    assert sorted(clip.code.text for own in clips.values() for clip in own) == sorted(texts)
    assert [len(own) for own in clips.values()] == [7, 7]
