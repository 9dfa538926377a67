"""DFEW: 11,697 clips from films, each with one of seven emotions, in the vendor's five folds.

Jiang et al., DFEW: A Large-Scale Database for Recognizing Dynamic Facial Expressions in the Wild, ACM Multimedia 2020.

Decisions where copies and loaders differ:
- 16,372 clips are handed out, 11,697 of them have a single label and stand in the lists; the others are not read. Older
  texts speak of 12,059. `dfew.csv` holds the counts of the lists, in which three public loaders agree;
- a clip is its number: lists write 5 or 00005, folders 00005, 5 or 00005.mp4. It is read to five digits;
- lists circulate as the vendor's csv, with other file names, and as lines `path frames class`, whose classes begin with
  0 instead of 1. One form is read, the vendor's first. Their numbers of frames are not read: some are wrong;
- `Clip/clip_224x224_16f` holds 16 interpolated frames per clip, another input than all frames: mixing the two up cost
  a published checkpoint 24 points of WAR. So they are read only where `frames` names them, and a folder in which every
  clip has 16 frames is refused unless it is named. `frames` enters the record of a run, the paths the manifest;
- folders of other names hold the same frames: `Clip/jpg_256`, `DFEW_Frame_Face`, `data_affine`. Of several, `auto`
  takes the first in this order; `auharness data verify dfew` says which. Frames that were cut out of the videos anew do
  not do: recognition on them is at chance;
- the lists name no subject and no film, so a clip is its own subject, and clips of one scene may stand on both sides of
  a fold. Nothing tells how often.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from auharness.api import DatasetPlugin
from auharness.data.class_lists import ClassList, ClassRow, classes_of, read_class_list
from auharness.data.clip_media import ClipMedia
from auharness.data.layout import child, missing_data
from auharness.data.problems import Problems
from auharness.errors import DataError
from auharness.hookspecs import hookimpl
from auharness.records import ClipRecord

FOLDS = range(1, 6)
PARTS = ("train", "test")
LISTS = (
    ("EmoLabel_DataSplit/{part}(single-labeled)/set_{fold}.csv", 1),
    ("EmoLabel_DataSplit/{part}(single-labeled)/{part}_set_{fold}.csv", 1),
    ("EmoLabel_DataSplit/{part}_set_{fold}.csv", 1),
    ("{part}_set_{fold}.csv", 1),
    ("data_affine/single_label/label/single_{part}set_{fold}.csv", 1),
    ("label/single_{part}set_{fold}.csv", 1),
    ("annotation/DFEW_set_{fold}_{part}.txt", 0),
    ("annotation/set_{fold}_{part}.txt", 0),
    ("DFEW_set_{fold}_{part}.txt", 0),
    ("set_{fold}_{part}.txt", 0),
)
"""Names of the lists in order of preference, and the number of the first class in them."""
FOLDERS: Mapping[str, str] = {
    "clip_224x224": "Clip/clip_224x224",
    "jpg_256": "Clip/jpg_256",
    "jpg_224": "Clip/jpg_224",
    "DFEW_Frame_Face": "DFEW_Frame_Face",
    "data_affine": "data_affine/single_label/data",
    "data": "data",
    "clip_224x224_avi": "Clip/clip_224x224_avi",
}
"""Value of `frames` -> folder with all frames of the clips, in order of preference."""
OTHERS: Mapping[str, str] = {"clip_224x224_16f": "Clip/clip_224x224_16f", "original": "Clip/original"}
"""The same for other inputs: interpolated, or not cropped to the face."""
INTERPOLATED = 16
"""Frames of every interpolated clip; of the whole ones 14 are shorter, and the median is 70."""
ENOUGH = 50
"""Clips that do not have 16 frames each by chance."""
SHOWN = 5
"""Examples of missing clips in a message."""


class DFEW(DatasetPlugin):
    """Reads the lists and the face frames, or videos, that the licence holder receives."""

    name: ClassVar[str] = "dfew"
    kind: ClassVar[str] = "clip-multiclass"
    paper: ClassVar[str] = "Jiang et al., ACM Multimedia 2020"
    classes: ClassVar[tuple[str, ...]] = ("Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear")
    fps: ClassVar[float] = 25.0  # not published; films run at 24 to 30
    layout: ClassVar[str] = "EmoLabel_DataSplit/train(single-labeled)/set_1.csv and Clip/clip_224x224/00001/00001.jpg"

    frames: str = Field(
        "auto",
        description=f"{', '.join([*FOLDERS, *OTHERS])}, or a folder below the root; auto: the first with all frames",
    )

    def records(self) -> Iterator[ClipRecord]:
        problems = Problems(self.name)
        labels = classes_of(self._rows(problems), self.classes, problems)
        problems.raise_if_any(f"correct the files below {self.root}, then repeat the command")
        if not labels:
            raise missing_data(self.name, self.root, "list of clips", self.layout)
        media = ClipMedia(self.root, self._folder(), digits=5)
        found = {clip: media.read(clip, problems) for clip in labels}
        problems.raise_if_any(f"correct the files below {self.root}, then repeat the command")
        self._refuse_missing([clip for clip in labels if not found[clip]], len(labels), media)
        self._refuse_interpolated([len(frames) for frames in found.values()], media)
        for clip, frames in found.items():
            name = f"{clip:05d}"
            yield ClipRecord(self.name, name, name, tuple(frames), tuple(frames.values()), labels[clip])

    def label_files(self) -> list[Path]:
        return [Path(listed.file) for listed in self._lists()]

    def splits(self) -> dict[str, tuple[str, ...]]:
        problems = Problems(self.name)
        rows = self._rows(problems)
        problems.raise_if_any(f"correct the files below {self.root}, then repeat the command")
        return {split: tuple(f"{clip:05d}" for clip in sorted(r.clip for r in part)) for split, part in rows.items()}

    def published_splits(self) -> dict[str, dict[str, int]]:
        lines = Path(__file__).with_suffix(".csv").read_text(encoding="utf-8").splitlines()
        return {row["split"]: {name: int(row[name]) for name in self.classes} for row in csv.DictReader(lines)}

    def _lists(self) -> list[ClassList]:
        """Return the lists of the first form that the root holds, fold by fold; no more than the root has."""
        for form, first in LISTS:
            found = []
            for fold in FOLDS:
                for part in PARTS:
                    path = self._below(form.format(fold=fold, part=part))
                    if path is not None and path.is_file():
                        found.append(ClassList(f"fold{fold}/{part}", path.relative_to(self.root).as_posix(), first))
            if found:
                return found
        return []

    def _rows(self, problems: Problems) -> dict[str, list[ClassRow]]:
        return {listed.split: read_class_list(self.root, listed, self.classes, problems) for listed in self._lists()}

    def _folder(self) -> str:
        """Return the folder of the clips, relative to the root."""
        if self.frames != "auto":
            wanted = {**FOLDERS, **OTHERS}.get(self.frames, self.frames)
            folder = self._below(wanted)
            if folder is None or not folder.is_dir():
                raise missing_data(self.name, self.root, f"folder {wanted} (setting frames)", self.layout)
            return folder.relative_to(self.root).as_posix()
        for wanted in FOLDERS.values():
            folder = self._below(wanted)
            if folder is not None and folder.is_dir():
                return folder.relative_to(self.root).as_posix()
        held = [name for name, place in OTHERS.items() if self._below(place) is not None]
        if held:
            raise DataError(
                f"{self.name}: {self.root} holds {OTHERS[held[0]]} alone, another input than all frames of the clips; "
                f"expected {FOLDERS['clip_224x224']}, or name it by {self._set(held[0])}"
            )
        raise missing_data(self.name, self.root, f"{FOLDERS['clip_224x224']} folder", self.layout)

    def _below(self, place: str) -> Path | None:
        """Return the file or folder of this name, whatever its case; None where there is none."""
        path: Path | None = self.root
        for name in Path(place).parts:
            path = child(path, name)
        return path

    def _refuse_missing(self, missing: list[int], listed: int, media: ClipMedia) -> None:
        if missing:
            names = ", ".join(f"{clip:05d}" for clip in missing[:SHOWN])
            more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
            raise DataError(
                f"{self.name}: {len(missing)} of {listed} listed clips have no frames in {self.root / media.folder}: "
                f"{names}{more}; expected {' or '.join(media.names(missing[0]))} for the first; "
                "unpack the vendor's archives again"
            )

    def _refuse_interpolated(self, lengths: list[int], media: ClipMedia) -> None:
        if self.frames == "auto" and len(lengths) >= ENOUGH and set(lengths) == {INTERPOLATED}:
            raise DataError(
                f"{self.name}: all {len(lengths)} clips in {self.root / media.folder} have {INTERPOLATED} frames, as "
                f"those of {OTHERS['clip_224x224_16f']}; expected all frames of the clips, 70 in the median; "
                f"to read these as they are, name the folder by {self._set(media.folder)}"
            )

    def _set(self, folder: str) -> str:
        return f"--set data.{self.name}.frames={folder} (without data.{self.name}. in `auharness data`)"


@hookimpl
def auharness_dataset() -> type[DatasetPlugin]:
    return DFEW
