"""What a dataset yields and what a protocol splits: plain frozen records, importable without any heavy library."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auharness.errors import DataError, UsageError

__all__ = ["ClipRecord", "Fold", "FrameRecord", "Key", "LandmarkFile", "Media", "Task", "au_name", "read_parts"]

Key = tuple[str, str]
"""A split key: (dataset, subject) or (dataset, clip)."""


def au_name(number: int) -> str:
    """Return the column name of an action unit.

    >>> au_name(12)
    'AU12'
    """
    return f"AU{number}"


@dataclass(frozen=True, slots=True)
class Media:
    """Where the pixels of a frame come from: a still image, or one 0-based frame of a video."""

    path: str
    """Path relative to the dataset root, with forward slashes."""
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class LandmarkFile:
    """Where the landmarks of a frame come from."""

    path: str
    """Path relative to the dataset root, with forward slashes."""
    kind: str
    """Format: `mat66`, `pts49` or `npz68`."""
    frame: int
    """The key inside a file of several frames; otherwise the frame that the file belongs to."""


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One coded frame."""

    dataset: str
    subject: str
    sequence: str
    """Unique within the dataset, e.g. `F001/T1`."""
    frame: int
    """The number that the vendor's label file gives the frame."""
    media: Media
    labels: Mapping[int, int]
    """AU number -> 1 present, 0 absent, -1 not coded."""
    landmarks: LandmarkFile | None = None
    time_s: float | None = None
    """Seconds since the beginning of the recording, on the clock of its sound; None where the frame number over the
    dataset's frames per second will do."""

    @property
    def id(self) -> str:
        """`dataset/sequence/frame`."""
        return f"{self.dataset}/{self.sequence}/{self.frame}"


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """One labelled clip: all its frames, and a class name or AU labels for the whole of it."""

    dataset: str
    subject: str
    sequence: str
    frames: tuple[int, ...]
    media: tuple[Media, ...]
    """One entry per frame."""
    label: str | None = None
    """Class name; None for AU labels."""
    labels: Mapping[int, int] = field(default_factory=dict)
    landmarks: tuple[LandmarkFile, ...] = ()

    @property
    def id(self) -> str:
        """`dataset/sequence`."""
        return f"{self.dataset}/{self.sequence}"


@dataclass(frozen=True, slots=True)
class Fold:
    """One split of a protocol; refuses a key that is in both parts.

    Raises:
        UsageError: if a part is empty or the parts share a key.
    """

    name: str
    train_ids: frozenset[Key]
    test_ids: frozenset[Key]

    def __post_init__(self) -> None:
        if not self.train_ids or not self.test_ids:
            raise UsageError(
                f"fold {self.name}: expected train and test keys, got {len(self.train_ids)} and {len(self.test_ids)}"
            )
        shared = sorted(self.train_ids & self.test_ids)
        if shared:
            raise UsageError(f"fold {self.name}: {shared[0]} is in train and test ({len(shared)} shared keys)")

    @classmethod
    def leave_out(cls, part: str, parts: Mapping[str, Sequence[str]], dataset: str, subjects: Iterable[str]) -> "Fold":
        """Test on one part, train on the others; only subjects that are on disk are kept.

        Raises:
            DataError: if a subject on disk is in no part, or if a side has no subject on disk.
        """
        on_disk = set(subjects)
        unknown = sorted(on_disk - {subject for members in parts.values() for subject in members})
        if unknown:
            raise DataError(
                f"{dataset}: subject {unknown[0]} is in no part of the split ({len(unknown)} such subjects)"
            )
        test = {s for s in parts[part] if s in on_disk}
        train = {s for name, members in parts.items() if name != part for s in members if s in on_disk}
        if not test or not train:
            side = "test" if not test else "training"
            raise DataError(
                f"{dataset}: fold {part} has no {side} subject on disk; expected some of {', '.join(parts[part])}"
            )
        return cls(part, frozenset((dataset, s) for s in train), frozenset((dataset, s) for s in test))


@dataclass(frozen=True, slots=True)
class Task:
    """All that a model learns about data before training: outputs, and counts of the coded training rows only."""

    outputs: tuple[str, ...]
    """Column names in order: `AU1`, ... or class names."""
    kind: str
    """`frame-multilabel`, `clip-multilabel` or `clip-multiclass`."""
    dataset: str
    """Name of the training dataset."""
    positives: tuple[int, ...]
    """Training rows in which each output is present (for classes: rows of the class)."""
    coded: tuple[int, ...]
    """Training rows in which each output is coded."""
    image_size: int = 224
    """Side of the square crop in pixels that the model receives."""
    frames: int = 1
    """Frames per sample."""
    objective: str = "f1"
    """Name of the metric that chooses thresholds and epochs of labels, from training rows: the protocol's headline
    where it decides from counts."""

    @property
    def num_outputs(self) -> int:
        """Number of output columns."""
        return len(self.outputs)

    @property
    def rates(self) -> tuple[float, ...]:
        """Occurrence rate of each output in the coded training rows, in [0, 1]; NaN where nothing is coded."""
        return tuple(p / c if c else float("nan") for p, c in zip(self.positives, self.coded, strict=True))

    @property
    def aus(self) -> tuple[int, ...]:
        """AU numbers of the outputs; empty for classes."""
        return tuple(int(name[2:]) for name in self.outputs if name.startswith("AU") and name[2:].isdigit())


def read_parts(plugin_file: str, table: str) -> dict[str, tuple[str, ...]]:
    """Read a split table (csv with columns `part,subject`) that lies beside a plugin file.

    Returns:
        part name -> subjects, both in the table's order.

    Raises:
        DataError: if the header is not `part,subject` or a subject occurs twice.
    """
    path = Path(plugin_file).with_name(table)
    lines = path.read_text(encoding="utf-8").splitlines()
    if lines[0] != "part,subject":
        raise DataError(f"{path.name}: expected the header 'part,subject', got {lines[0]!r}")
    parts: dict[str, list[str]] = {}
    seen: set[str] = set()
    for part, subject in _rows(lines[1:]):
        if subject in seen:
            raise DataError(f"{path.name}: subject {subject} is listed twice")
        seen.add(subject)
        parts.setdefault(part, []).append(subject)
    return {part: tuple(members) for part, members in parts.items()}


def _rows(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        part, _, subject = line.partition(",")
        yield part, subject
