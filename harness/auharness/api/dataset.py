"""The dataset interface: what exists on disk, in the layout that the licence holder receives."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from auharness.api.base import Plugin
from auharness.records import ClipRecord, FrameRecord, au_name

__all__ = ["DatasetPlugin"]


class DatasetPlugin(Plugin):
    """One dataset; the author names the labels and writes `records`."""

    kind: ClassVar[str] = "frame-multilabel"
    """`frame-multilabel`, `clip-multilabel` or `clip-multiclass`."""
    aus: ClassVar[tuple[int, ...]] = ()
    """AU numbers in the field's order; empty for classes."""
    classes: ClassVar[tuple[str, ...]] = ()
    """Class names in the field's order; empty for AUs."""
    fps: ClassVar[float] = 25.0
    """Frames per second of the recordings."""
    layout: ClassVar[str] = ""
    """One line that tells a user what the root must hold; shown when something is missing."""
    published_within: ClassVar[float] = 0.0
    """How far the counts of outputs may lie from `published_splits`, as a share of the split's rows: 0.001 where what
    is published are rates in percent with one decimal."""

    root: Path

    @abstractmethod
    def records(self) -> Iterator[FrameRecord | ClipRecord]:
        """Yield every coded frame or clip, in a stable order.

        Raises:
            DataError: if files are missing, or when any label row is bad; then all label files are read first and the
                message lists every bad row.
        """

    def label_files(self) -> Iterable[Path]:
        """Return the files that hold labels and splits, relative to the root; their bytes enter the dataset manifest.

        The default is every csv, txt, xlsx and json file below the root.
        """
        found = (p for p in sorted(self.root.rglob("*")) if p.suffix.lower() in {".csv", ".txt", ".xlsx", ".json"})
        return [p.relative_to(self.root) for p in found if p.is_file()]

    def audio(self, sequence: str) -> str | None:
        """Return the file with the sound of a sequence, relative to the root with forward slashes; None for none.

        Several sequences may share a file. It may be a video, and turn out to hold no sound. Its time zero is that of
        `FrameRecord.time_s`: the beginning of the file's earliest stream.

        Args:
            sequence: name in the records.
        """
        return None

    def splits(self) -> Mapping[str, tuple[str, ...]]:
        """Return the splits that the vendor's files name: split -> sequences, e.g. `fold1/train` -> ("00001", ...).

        A protocol asks for them by name; the index keeps them, and they enter the dataset manifest. The files that they
        are read from belong to `label_files`. Empty where the data come without a split.

        Raises:
            DataError: if a split file is bad; the message names its file and row.
        """
        return {}

    def published_counts(self) -> dict[str, tuple[int, dict[int, int]]]:
        """Return subject -> (coded frames, {AU number: positives}) as published; empty when nothing is published."""
        return {}

    def published_totals(self) -> dict[str, tuple[int, int, dict[int, int]]]:
        """Return release -> (subjects, coded rows, {AU number: positives}) where only totals are published.

        Data that equals one of the releases is verified. Looked at where `published_counts` is empty.
        """
        return {}

    def published_splits(self) -> Mapping[str, Mapping[str, int]]:
        """Return split -> {output: rows} where the counts of the vendor's splits are published; named as in `splits`.

        Where a row has several outputs, the key `rows` holds the number of rows, and outputs left out are not compared.
        Data whose splits have these counts, do not overlap and leave nothing out are verified. Looked at where neither
        counts per subject nor totals are published.
        """
        return {}

    def remarks(self) -> Mapping[str, Mapping[str, int]]:
        """Return what the reader put up with: part of the data -> {what: how often}, e.g. {"train": {"n_filled": 3}}.

        Kept by the index and shown by `auharness data verify` and `auharness data stats`. Empty where there is nothing
        to say.
        """
        return {}

    @property
    def recorded_settings(self) -> dict[str, Any]:
        """Every setting but the root, as JSON has it: what a record keeps of how the same files were read."""
        return self.model_dump(mode="json", exclude={"root"})

    @property
    def outputs(self) -> tuple[str, ...]:
        """Column names of the labels: `AU1`, ... or class names."""
        return tuple(au_name(au) for au in self.aus) or self.classes
