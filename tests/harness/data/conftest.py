from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from auharness.api import DatasetPlugin
from auharness.records import ClipRecord, FrameRecord, LandmarkFile, Media

LABELS = """\
S2,b,2,0,1
S2,b,1,1,-1
S1,a,10,0,0
S1,a,9,1,1
"""


class Frames(DatasetPlugin):
    """Reads `labels.csv` with lines subject,sequence,frame,AU1,AU12; even frames have landmarks."""

    name: ClassVar[str] = "frames"
    aus: ClassVar[tuple[int, ...]] = (1, 12)

    camera: str = "left"

    def records(self) -> Iterator[FrameRecord]:
        for line in (self.root / "labels.csv").read_text().splitlines():
            subject, sequence, frame, au1, au12 = line.split(",")
            number = int(frame)
            yield FrameRecord(
                dataset=self.name,
                subject=subject,
                sequence=f"{subject}/{sequence}",
                frame=number,
                media=Media(f"media/{subject}.avi", number - 1),
                labels={1: int(au1), 12: int(au12)},
                landmarks=LandmarkFile(f"media/{subject}.npz", "npz68", number) if number % 2 == 0 else None,
            )

    def label_files(self) -> Iterable[Path]:
        return [Path("labels.csv")]

    def published_counts(self) -> dict[str, tuple[int, dict[int, int]]]:
        return {"S1": (2, {1: 1, 12: 1}), "S2": (2, {1: 1, 12: 1})}


class Clips(DatasetPlugin):
    """Three clips of two classes; the third has no class."""

    name: ClassVar[str] = "clips"
    kind: ClassVar[str] = "clip-multiclass"
    classes: ClassVar[tuple[str, ...]] = ("Happy", "Sad")

    labels: Mapping[str, str | None] = {"c2": "Happy", "c1": "Sad", "c3": None}
    parts: Mapping[str, tuple[str, ...]] = {}

    def records(self) -> Iterator[ClipRecord]:
        for name, label in self.labels.items():
            yield ClipRecord(
                dataset=self.name,
                subject="S1" if name == "c1" else "S2",
                sequence=name,
                frames=(1, 2),
                media=(Media(f"{name}/1.jpg"), Media(f"{name}/2.jpg")),
                label=label,
                landmarks=(LandmarkFile(f"{name}/1.mat", "pts49", 1),) if name == "c2" else (),
            )

    def splits(self) -> Mapping[str, tuple[str, ...]]:
        return self.parts


def touch(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(file.encode())


@pytest.fixture
def frames(tmp_path: Path) -> Frames:
    root = tmp_path / "frames"
    touch(root, "media/S1.avi", "media/S2.avi", "media/S1.npz", "media/S2.npz")
    (root / "labels.csv").write_text(LABELS)
    return Frames(root=root)


@pytest.fixture
def clips(tmp_path: Path) -> Clips:
    root = tmp_path / "clips"
    touch(root, *(f"{clip}/{frame}.jpg" for clip in ("c1", "c2", "c3") for frame in (1, 2)), "c2/1.mat")
    return Clips(root=root)
