from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from auharness.data.synthetic.layouts.affwild2 import SIZES
from auharness.data.synthetic.talks import AUS, Film, Part, draw_acts, draw_films, draw_labels

RATES = (11.8, 5.0, 15.4, 26.6, 39.7, 34.4, 24.5, 2.8, 3.1, 2.6, 62.7, 7.4)
SMALL = {"train": Part(16, 4800), "validation": Part(8, 2400), "test": Part(2, 300)}


def films(parts: dict[str, Part] = SMALL, *, vendor_lengths: bool = False) -> list[Film]:
    return list(draw_films(parts, vendor_lengths=vendor_lengths).values())


def of_part(part: str) -> tuple[list[Film], dict[str, np.ndarray]]:
    found = [film for film in films() if film.part == part]
    return found, {film.name: np.arange(max(film.rows, film.pictures)) / float(film.rate) for film in found}


@pytest.mark.parametrize("size", ["tiny", "small", "full"])
def test_a_part_has_its_videos_and_coded_rows(size: str) -> None:
    parts = dict(SIZES[size].parts)
    found = films(parts, vendor_lengths=SIZES[size].vendor_lengths)
    for part, wanted in parts.items():
        here = [film for film in found if film.part == part]
        assert sum(len(film.people) for film in here) == wanted.videos
        assert sum(len(film.people) * film.coded for film in here) == wanted.rows
        assert all(film.rows - film.coded == 0 if part == "test" else film.rows > film.coded > 0 for film in here)
    assert len({film.name for film in found}) == len(found)


def test_full_size_is_as_published() -> None:
    assert SIZES["full"].parts["train"].rows == 1_359_523 and SIZES["full"].parts["validation"].rows == 445_845
    assert SIZES["full"].parts["test"] == Part(141, 729_736) and SIZES["full"].parts["validation"].videos == 105
    lengths = [film.rows for film in films(dict(SIZES["full"].parts), vendor_lengths=True)]
    assert np.percentile(lengths, 95) > 5 * np.percentile(lengths, 5) and min(lengths) > 200


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_every_size_has_what_readers_stumble_over(size: str) -> None:
    found = films(dict(SIZES[size].parts))
    train = [film for film in found if film.part == "train"]
    assert any(film.people == ("_left", "_right") for film in train) and any("_main" in film.people for film in found)
    assert any(film.varying and film.rows > film.pictures for film in train)
    assert any(film.rows < film.pictures - 1 for film in train)
    assert any(not film.sound for film in train) and any(film.new for film in train)
    assert all(film.sound for film in found if film.part == "validation") or size != "tiny"
    assert {film.ending for film in found} == {".mp4", ".avi"}
    assert {Fraction(30000, 1001), Fraction(25), Fraction(30)} <= {film.rate for film in found}


def test_acts_follow_each_other_without_a_gap() -> None:
    film = films()[0]
    acts = draw_acts(film, "_left", seconds=300.0, seed=0)
    assert acts[0].start == 0 and acts[-1].stop == 300
    assert all(one.stop == other.start for one, other in pairwise(acts))
    assert {act.kind for act in acts} == {"speech", "laugh", "sigh", "quiet"}
    assert acts == draw_acts(film, "_left", seconds=300.0, seed=0)
    assert acts != draw_acts(film, "_right", seconds=300.0, seed=0) != draw_acts(film, "_right", seconds=300.0, seed=1)


@pytest.mark.parametrize("part", ["train", "validation"])
def test_rates_are_the_published_ones(part: str) -> None:
    here, times = of_part(part)
    labels = draw_labels(here, times, seed=0)
    assert list(labels) == [video for film in here for video in film.videos]
    rates = np.concatenate(list(labels.values())).mean(axis=0)
    np.testing.assert_allclose(100 * rates, RATES, atol=0.05)


def test_people_differ_in_what_they_show() -> None:
    labels = draw_labels(*of_part("train"), seed=0)
    smiles = [label[:, AUS.index(12)].mean() for label in labels.values()]
    assert max(smiles) - min(smiles) > 0.2


def test_aus_go_with_the_sound() -> None:
    here, times = of_part("train")
    labels = draw_labels(here, times, seed=0)
    rates: dict[str, list[np.ndarray]] = {}
    for film in here:
        for person in film.people:
            moments = times[film.name]
            for act in draw_acts(film, person, seconds=float(moments[-1]) + 1, seed=0):
                inside = (moments >= act.start) & (moments < act.stop)
                rates.setdefault(act.kind, []).append(labels[film.name + person][inside])
    shown = {kind: dict(zip(AUS, np.concatenate(found).mean(axis=0), strict=True)) for kind, found in rates.items()}
    for au in (6, 12):
        assert shown["laugh"][au] > 0.7 and max(shown[kind][au] for kind in ("speech", "sigh", "quiet")) < 0.4
    assert shown["laugh"][25] > 0.9 and shown["speech"][25] > 0.7 and shown["quiet"][25] < 0.2
    assert shown["laugh"][26] > 2 * shown["quiet"][26] and shown["speech"][26] > 2 * shown["quiet"][26]
    assert shown["sigh"][1] > 0.5 > 4 * shown["speech"][1]
    assert shown["sigh"][15] > 5 * shown["speech"][15] and shown["sigh"][4] > 2 * shown["laugh"][4]
