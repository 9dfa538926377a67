"""The contract of a dataset plugin: what it says of itself, and what it reads from a root."""

import math
import tempfile
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from pathlib import Path, PurePosixPath

from auharness.api import DatasetPlugin
from auharness.errors import DataError
from auharness.records import ClipRecord, FrameRecord
from auharness.testing.check import Check, Failed, Step, expect, plugin_steps, run_stages

__all__ = ["check_dataset"]

KINDS = ("frame-multilabel", "clip-multilabel", "clip-multiclass")
VALUES = (-1, 0, 1)


def check_dataset(plugin: type[DatasetPlugin], root: Path | None = None) -> list[Check]:
    """Return the outcome of every check of a dataset plugin.

    Args:
        plugin: the class that the hook returns.
        root: a folder in the dataset's layout; without it only what needs no data is checked.
    """
    with tempfile.TemporaryDirectory() as empty:
        nothing = plugin.model_construct(root=Path(empty))
        declared: list[Step] = [
            *plugin_steps(plugin, {"root": Path(empty)}),
            ("kind is known", lambda: expect(plugin.kind in KINDS, f"expected one of {KINDS}, got '{plugin.kind}'")),
            ("it has either AU numbers or class names", lambda: _labels(plugin)),
            ("fps is positive", lambda: expect(plugin.fps > 0, f"expected frames per second, got {plugin.fps}")),
            ("layout is one line", lambda: _layout(plugin)),
            ("an empty root is a DataError that names the root", lambda: _refuses(plugin, nothing.root)),
        ]
        stages = [declared]
        if root is not None:
            stages.append(_Case(plugin, root).steps())
        return run_stages(plugin, stages)


class _Case:
    """A dataset and all its records, read once."""

    def __init__(self, plugin: type[DatasetPlugin], root: Path) -> None:
        self.root = root
        self.dataset = plugin(root=root)

    @cached_property
    def records(self) -> list[FrameRecord | ClipRecord]:
        return list(self.dataset.records())

    def steps(self) -> list[Step]:
        return [
            ("records are frames or clips, as kind says", self.types),
            ("records come in the same order twice", self.order),
            ("sample ids are unique", self.ids),
            ("every label is a known AU or class", self.labels),
            ("every medium exists below the root", self.media),
            ("audio exists below the root", self.audio),
            ("times rise with the frame numbers", self.times),
            ("label_files exist below the root", self.label_files),
            ("splits name sequences that have records, each once", self.splits),
        ]

    def types(self) -> None:
        wanted = FrameRecord if self.dataset.kind == "frame-multilabel" else ClipRecord
        expect(len(self.records) > 0, f"expected records below {self.root}, got none")
        for record in self.records:
            got = type(record).__name__
            expect(isinstance(record, wanted), f"expected {wanted.__name__} for {self.dataset.kind}, got {got}")
            expect(record.dataset == self.dataset.name, f"{record.id}: expected the dataset '{self.dataset.name}'")

    def order(self) -> None:
        again = [record.id for record in self.dataset.records()]
        expect(again == [record.id for record in self.records], "expected the same order; sort files and folders")

    def ids(self) -> None:
        seen: set[str] = set()
        for record in self.records:
            expect(record.id not in seen, f"{record.id} occurs twice; sequence and frame must tell samples apart")
            seen.add(record.id)

    def labels(self) -> None:
        for record in self.records:
            if isinstance(record, ClipRecord) and self.dataset.classes:
                known = ", ".join(self.dataset.classes)
                expect(record.label in self.dataset.classes, f"{record.id}: label {record.label!r}, expected {known}")
            for au, value in record.labels.items():
                expect(au in self.dataset.aus, f"{record.id}: AU{au} is not in `aus`")
                expect(value in VALUES, f"{record.id}: AU{au} is {value!r}, expected 1, 0, or -1 for not coded")

    def media(self) -> None:
        for record in self.records:
            for path in _paths(record):
                self._exists(record.id, path)

    def audio(self) -> None:
        for sequence in dict.fromkeys(record.sequence for record in self.records):
            path = self.dataset.audio(sequence)
            if path is not None:
                self._exists(f"audio of {sequence}", path)

    def times(self) -> None:
        by_sequence: dict[str, list[FrameRecord]] = {}
        for record in self.records:
            if isinstance(record, FrameRecord):
                by_sequence.setdefault(record.sequence, []).append(record)
        for sequence, records in by_sequence.items():
            times = [record.time_s for record in sorted(records, key=lambda record: record.frame)]
            known = [time for time in times if time is not None]
            expect(len(known) in (0, len(times)), f"{sequence}: expected times for all frames or none, got some")
            fine = all(math.isfinite(time) and time >= 0 for time in known)
            expect(fine, f"{sequence}: expected seconds since the beginning of the recording, got others")
            rises = all(one < other for one, other in pairwise(known))
            expect(rises, f"{sequence}: expected a later time for a later frame")

    def _exists(self, what: str, path: str) -> None:
        pure = PurePosixPath(path)
        fine = not pure.is_absolute() and ".." not in pure.parts and "\\" not in path
        expect(fine, f"{what}: expected a path below the root with forward slashes, got '{path}'")
        expect((self.root / path).is_file(), f"{what}: {self.root / path} does not exist")

    def label_files(self) -> None:
        files = list(self.dataset.label_files())
        expect(len(files) > 0, "expected the files that hold the labels, got none; their bytes identify the data")
        for file in files:
            expect((self.root / file).is_file(), f"{self.root / file} does not exist; expected paths below the root")

    def splits(self) -> None:
        sequences = {record.sequence for record in self.records}
        found = self.dataset.splits()
        for name, members in found.items():
            expect(len(members) > 0, f"split '{name}': expected sequences, got none")
            expect(len(set(members)) == len(members), f"split '{name}': expected each sequence once")
            strange = sorted(set(members) - sequences)
            expect(not strange, f"split '{name}': no record has the sequence {', '.join(strange[:1])}")
        again = {name: tuple(members) for name, members in self.dataset.splits().items()}
        same = again == {name: tuple(members) for name, members in found.items()}
        expect(same, "expected the same splits twice; sort files and folders")


def _paths(record: FrameRecord | ClipRecord) -> Iterator[str]:
    media = (record.media,) if isinstance(record, FrameRecord) else record.media
    landmarks = (record.landmarks,) if isinstance(record, FrameRecord) else record.landmarks
    yield from (medium.path for medium in media)
    yield from (points.path for points in landmarks if points is not None)


def _labels(plugin: type[DatasetPlugin]) -> None:
    got = f"got aus={plugin.aus} and classes={plugin.classes}"
    expect(bool(plugin.aus) != bool(plugin.classes), f"expected exactly one of them, {got}")
    expect(bool(plugin.classes) == (plugin.kind == "clip-multiclass"), f"expected classes for clip-multiclass, {got}")
    labels = plugin.aus or plugin.classes
    expect(len(set(labels)) == len(labels), f"expected each label once, {got}")


def _layout(plugin: type[DatasetPlugin]) -> None:
    expect(bool(plugin.layout), "expected a line that tells a user what the root must hold, got none")
    expect("\n" not in plugin.layout, "expected one line, got several")


def _refuses(plugin: type[DatasetPlugin], empty: Path) -> None:
    try:
        count = len(list(plugin(root=empty).records()))
    except DataError as error:
        expect(str(empty) in str(error), f"expected the path of the root in the message, got: {error}")
        return
    raise Failed(f"expected a DataError for an empty root, got {count} records")
