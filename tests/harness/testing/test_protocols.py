"""The protocol contract passes a good plugin, and each planted fault fails exactly the check that names it."""

from typing import ClassVar

import pytest

from auharness import Fold, ProtocolPlugin
from auharness.errors import DataError
from auharness.testing import FakeIndex, check_protocol
from auharness.testing.protocols import default_index


class Sound(ProtocolPlugin):
    name = "sound"
    train_on = ("bp4d",)
    test_on = ("bp4d",)
    score_labels = (1, 2)
    calls: ClassVar[list[int]] = []

    def folds(self, index):
        subjects = index.subjects("bp4d")
        parts = {subject: (subject,) for subject in subjects}
        return [Fold.leave_out(part, parts, "bp4d", subjects) for part in parts]


def failed(plugin, index=None):
    return [check.name for check in check_protocol(plugin, index) if not check.passed]


def changed(**members):
    return type("Changed", (Sound,), {"__module__": __name__, **members})


def renamed(self, index):
    return [Fold("one", fold.train_ids, fold.test_ids) for fold in Sound.folds(self, index)]


def moved(self, index):
    return [Fold(f.name, f.train_ids, frozenset({("disfa", "SN001")})) for f in Sound.folds(self, index)]


def alternating(self, index):
    self.calls.append(1)
    folds = Sound.folds(self, index)
    return folds[::-1] if len(self.calls) % 2 else folds


WORDS = "metrics, headline, aggregation, cluster and key are known"
FAULTS = {
    "version": (changed(version=0), "version counts from 1"),
    "train_on": (changed(train_on="bp4d"), "train_on and test_on name datasets"),
    "labels": (changed(score_labels=(1, "happy")), "score_labels are AU numbers or class names"),
    "twice": (changed(score_labels=(1, 1)), "score_labels are AU numbers or class names"),
    "metric": (changed(metrics=("f1", "f2")), WORDS),
    "headline": (changed(headline="accuracy"), WORDS),
    "aggregation": (changed(aggregation="mean"), WORDS),
    "cluster": (changed(cluster="person"), WORDS),
    "key": (changed(key="frame"), WORDS),
    "reported": (changed(reported="gone.json"), "the reported table is there"),
    "names": (changed(folds=renamed), "folds are named apart"),
    "keys": (changed(folds=moved), "folds keep to train_on and test_on"),
    "order": (changed(folds=alternating), "folds are the same twice"),
}


def test_a_sound_plugin_passes_on_published_and_on_given_subjects():
    assert failed(Sound) == failed(Sound, FakeIndex({"bp4d": ("a", "b", "c")})) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_fails_its_check_alone(fault):
    plugin, check = FAULTS[fault]
    assert failed(plugin) == [check]


def test_too_few_subjects_fail_the_first_check_of_the_folds():
    assert failed(Sound, FakeIndex({"bp4d": ("a",)}))[0] == "folds are named apart"


class Split(Sound):
    name = "split"
    train_on = test_on = ("nowhere",)
    key = "clip"

    def folds(self, index):
        keys = [frozenset(("nowhere", clip) for clip in index.split("nowhere", part)) for part in self.parts]
        return [Fold("fold5", *keys)]

    parts: ClassVar[tuple[str, str]] = ("fold5/train", "fold5/test")


def test_a_protocol_may_ask_for_splits_that_come_with_the_data():
    assert failed(Split) == []
    splits = {"nowhere": {"fold5/train": ("b", "a"), "fold5/test": ("c",)}}
    assert failed(Split, FakeIndex({}, splits=splits)) == []
    assert failed(Split, FakeIndex({}))[0] == "folds are named apart"


def test_a_made_up_split_tests_every_clip_once():
    index = default_index(Split)
    parts = [index.split("nowhere", f"fold{number}/test") for number in range(1, 6)]
    assert sorted(clip for part in parts for clip in part) == list(index.clips("nowhere"))
    with pytest.raises(DataError, match=r"nowhere: no split 'fold6/test'; did you mean"):
        index.split("nowhere", "fold6/test")
