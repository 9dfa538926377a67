from functools import lru_cache

import numpy as np
import pytest

from auharness.data.synthetic import takes
from auharness.data.synthetic.labels import LabelProcess, draw_occurrence, fit_process
from auharness.data.synthetic.layouts import bp4d, disfa
from auharness.data.synthetic.published import sequence_counts
from auharness.data.synthetic.sizes import Size, kept_frames

PARTS = ("P1", "P2", "P3")


@lru_cache
def fitted(dataset: str) -> LabelProcess:
    return fit_process(sequence_counts(dataset))


def test_all_frames_are_kept_in_order_when_no_number_is_given() -> None:
    track = np.zeros((7, 2), dtype=bool)
    (kept,) = kept_frames([track], ["P1"], frames=None)
    assert kept.tolist() == list(range(7))


def test_kept_frames_are_evenly_spaced() -> None:
    rng = np.random.default_rng(0)
    tracks = [rng.random((length, 3)) < 0.2 for length in (90, 448, 768)]
    for track, kept in zip(tracks, kept_frames(tracks, ["P1"] * 3, frames=10), strict=True):
        assert len(kept) == 10
        assert kept[0] >= 0 and kept[-1] < len(track)
        assert set(np.diff(kept)) <= {len(track) // 10, len(track) // 10 + 1}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("dataset", "sizes"), [("bp4d", bp4d.SIZES), ("disfa", disfa.SIZES)])
def test_every_part_has_positives_and_negatives_of_every_published_au(
    dataset: str, sizes: dict[str, Size], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = sequence_counts(dataset)
    monkeypatch.setattr(takes, "fit_process", lambda counts: fitted(counts.dataset))
    for size in ("tiny", "small"):
        drawn = takes.draw_takes(counts, size=sizes[size], seed=seed).values()
        for part in PARTS:
            labels = np.concatenate(
                [take.occurrence[take.kept] for several in drawn for take in several if take.part == part]
            )
            assert labels.any(axis=0).all() and not labels.all(axis=0).any(), (size, part)


@pytest.mark.parametrize(("dataset", "frames"), [("bp4d", 10), ("disfa", 80)])
def test_a_small_stand_in_keeps_the_rates_of_every_part(dataset: str, frames: int) -> None:
    counts = sequence_counts(dataset)
    tracks = draw_occurrence(counts, fitted(dataset), rng=np.random.default_rng(5))
    kept = kept_frames(tracks, counts.parts, frames=frames)
    for part in PARTS:
        chosen = [index for index, other in enumerate(counts.parts) if other == part]
        small = np.concatenate([tracks[index][kept[index]] for index in chosen])
        expected = np.sum([tracks[index].mean(axis=0) * frames for index in chosen], axis=0)
        # a random choice of frames would miss by the square root of the expected number, 10 to 20 frames
        assert np.abs(small.sum(axis=0) - expected).max() < 4
