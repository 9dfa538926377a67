"""The dataset contract passes a good plugin, and each planted fault fails exactly the check that names it."""

import csv
from dataclasses import replace
from typing import ClassVar

import pytest

from auharness import ClipRecord, DatasetPlugin, FrameRecord, Media
from auharness.errors import DataError
from auharness.testing import check_dataset


class Sound(DatasetPlugin):
    name = "sound"
    aus = (1, 2)
    layout = "labels.csv"
    path: ClassVar[str] = "{image}"

    def records(self):
        table = self.root / "labels.csv"
        if not table.is_file():
            raise DataError(f"{table} is missing")
        with table.open(newline="") as file:
            for row in csv.DictReader(file):
                yield self.record(row)

    def record(self, row):
        labels = {au: int(row[f"AU{au}"]) for au in self.aus}
        return FrameRecord("sound", row["subject"], "s", int(row["frame"]), Media(row["image"]), labels)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "labels.csv").write_text("subject,frame,image,AU1,AU2\nS1,1,a.jpg,1,0\nS1,2,a.jpg,-1,0\n")
    return tmp_path


def failed(plugin, root=None):
    return [check.name for check in check_dataset(plugin, root) if not check.passed]


def test_a_sound_plugin_passes_with_and_without_data(root):
    assert failed(Sound) == failed(Sound, root) == []
    assert len(check_dataset(Sound, root)) == len(check_dataset(Sound)) + 9


def changed(**members):
    return type("Changed", (Sound,), {"__module__": __name__, **members})


def record(**values):
    def made(self, row):
        base = Sound.record(self, row)
        fields = {name: getattr(base, name) for name in base.__dataclass_fields__}
        return FrameRecord(**{**fields, **values})

    return made


def shuffled(self, calls=iter(range(100))):  # noqa: B008  # one counter for all calls is the fault
    rows = list(Sound.records(self))
    return iter(rows[::-1] if next(calls) % 2 else rows)


STATIC = {
    "kind is known": changed(kind="frames"),
    "it has either AU numbers or class names": changed(classes=("happy",)),
    "fps is positive": changed(fps=0.0),
    "layout is one line": changed(layout=""),
    "an empty root is a DataError that names the root": changed(records=lambda self: iter(())),
}
WITH_DATA = {
    "records are frames or clips, as kind says": changed(
        record=lambda self, row: ClipRecord("sound", "S1", row["frame"], (1,), (Media("a.jpg"),), labels={1: 0})
    ),
    "records come in the same order twice": changed(records=shuffled),
    "sample ids are unique": changed(record=record(frame=7)),
    "every label is a known AU or class": changed(record=record(labels={1: 9})),
    "every medium exists below the root": changed(record=record(media=Media("../a.jpg"))),
    "audio exists below the root": changed(audio=lambda self, sequence: f"{sequence}.mp4"),
    "times rise with the frame numbers": changed(record=record(time_s=0.5)),
    "label_files exist below the root": changed(label_files=lambda self: []),
    "splits name sequences that have records, each once": changed(splits=lambda self: {"fold1/train": ("s", "t")}),
}


def at(*times):
    return changed(record=lambda self, row: replace(Sound.record(self, row), time_s=times[int(row["frame"]) - 1]))


@pytest.mark.parametrize(
    "times", [(0.1, None), (None, 0.1), (0.2, 0.1), (-0.1, 0.2), (0.1, float("nan")), (0.1, float("inf"))], ids=str
)
def test_times_that_cannot_be_are_faults(times, root):
    assert failed(at(*times), root) == ["times rise with the frame numbers"]


def test_sound_and_times_pass(root):
    plugin = at(0.0, 0.04)
    plugin.audio = lambda self, sequence: "a.jpg"
    assert failed(plugin, root) == []


@pytest.mark.parametrize("check", STATIC)
def test_a_planted_fault_fails_its_check(check):
    assert check in failed(STATIC[check])


@pytest.mark.parametrize("check", WITH_DATA)
def test_a_planted_fault_in_the_records_fails_its_check_alone(check, root):
    if check == "records come in the same order twice":
        list(WITH_DATA[check](root=root).records())  # the empty root was no call: start from the other side
    assert failed(WITH_DATA[check], root) == [check]
