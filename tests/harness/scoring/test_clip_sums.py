"""Sums in the place of clips: which records need them, which cannot have them, and what follows from them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from auharness import registry
from auharness.errors import InconclusiveError
from auharness.metrics import METRICS, are_disjoint
from auharness.results.schema import UnitRecord
from auharness.results.store import RunFolder
from auharness.scoring import clip_folds, clip_hits, fold_counts, names_clips, sum_clips
from auharness.statistics import clip_interval

FIVE = registry.load("protocol", "dfew-5fold")
MATRIX = np.array([[6, 2, 0, 0, 0, 1, 0], *np.eye(7, dtype=int)[1:] * 5])


class ByVideo(FIVE):  # type: ignore[misc, valid-type]  # a plugin class
    cluster = "video"


class BySubject(FIVE):  # type: ignore[misc, valid-type]  # a plugin class
    cluster = "subject"


@pytest.fixture
def units(class_run: Callable[..., RunFolder], tmp_path: Path) -> list[UnitRecord]:
    other = np.roll(MATRIX, 1, axis=0)[[1, 2, 3, 4, 5, 6, 0]]
    other[0] = 3, 0, 4, 0, 2, 0, 0
    folds = {"fold1": [MATRIX, other], "fold2": [MATRIX, MATRIX]}
    return class_run(tmp_path, folds).finished()


def test_clips_are_summed_whatever_they_are_called_and_people_are_not(units: list[UnitRecord]) -> None:
    found = {plugin.__name__: names_clips(plugin(), units[0]) for plugin in (FIVE, ByVideo, BySubject)}
    assert found == {"DFEWFiveFold": True, "ByVideo": True, "BySubject": False}
    assert not any(names_clips(FIVE(), unit) for unit in sum_clips(FIVE(), units))
    frames = units[0].model_copy(
        update={"clusters": tuple(item.model_copy(update={"n_rows": 300}) for item in units[0].clusters)}
    )
    assert not names_clips(ByVideo(), frames)


def test_clips_without_an_interval_from_sums_are_refused(units: list[UnitRecord]) -> None:
    with pytest.raises(InconclusiveError, match="dfew-5fold: its counts are labels and answers of single clips"):
        sum_clips(ByVideo(), units)


def test_sums_keep_matrices_and_whether_folds_share_clips(units: list[UnitRecord]) -> None:
    before, after = fold_counts(units), fold_counts(sum_clips(FIVE(), units))
    for one, two in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.total, two.total)
    assert are_disjoint(after)
    twice = [unit.model_copy(update={"clusters": units[0].clusters}) for unit in units]
    assert not are_disjoint(fold_counts(sum_clips(FIVE(), twice)))


@pytest.mark.parametrize("name", ["uar", "war"])
def test_the_interval_of_several_seeds_follows_from_hits_alone(units: list[UnitRecord], name: str) -> None:
    hits = clip_hits(units)
    # class 0 of fold 1: the seeds agree on three clips, the first alone is right on three more
    assert hits["fold1"][0] == (3, 3, 3)
    folds = clip_folds(sum_clips(FIVE(), units), hits, METRICS[name])
    assert folds is not None
    known, summed = (
        clip_interval(own, METRICS[name], how="fold-mean", draws=300) for own in (fold_counts(units), folds)
    )
    assert known == summed


def test_f1_has_an_interval_from_one_seed_only(units: list[UnitRecord]) -> None:
    summed, entry = sum_clips(FIVE(), units), METRICS["macro-f1"]
    assert clip_folds(summed, clip_hits(units), entry) is None
    first = [unit for unit in summed if unit.seed == 0]
    folds = clip_folds(first, {}, entry)
    assert folds is not None
    own = fold_counts([unit for unit in units if unit.seed == 0])
    one, two = (clip_interval(item, entry, how="fold-mean", draws=300) for item in (own, folds))
    assert one == two
