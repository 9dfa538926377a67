"""BP4D-Spontaneous: 41 subjects x 8 tasks at 25 frames per second, AU occurrence coded per frame.

Zhang et al., BP4D-Spontaneous: a high-resolution spontaneous 3D dynamic facial expression database, Image and Vision
Computing 2014. Tasks T1 to T8 elicit happiness, sadness, surprise, embarrassment, fear, pain, anger and disgust.

Decisions where releases differ:
- columns are found by header name: `0` is the frame, every other header is an AU number; 9 means not coded;
- the frame number of the sheet is the number of the image, whatever its zero padding (`643`, `0643`, `00643`);
- rows need not be sorted; a frame that occurs twice is an error;
- rows in which none of the 12 AUs is coded are left out, with or without an image.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

from auharness.api import DatasetPlugin
from auharness.data.layout import child, csv_rows, missing_data, names_in, numbered, whole_number
from auharness.data.problems import Problems
from auharness.data.published import read_counts
from auharness.hookspecs import hookimpl
from auharness.records import FrameRecord, LandmarkFile, Media

FRAME = "0"
CODES = {"0": 0, "1": 1, "9": -1}
SHEET = re.compile(r"([FM]\d{3})_(T\d)\.csv", re.IGNORECASE)


class BP4D(DatasetPlugin):
    """Reads the sheets and images that the licence holder receives, and optional landmarks per sequence.

    `landmarks/F001/T1.npz` (arrays `frame`, `points`, `valid`) is used where it lies beside the images.
    """

    name: ClassVar[str] = "bp4d"
    paper: ClassVar[str] = "Zhang et al., Image and Vision Computing 2014"
    aus: ClassVar[tuple[int, ...]] = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
    fps: ClassVar[float] = 25.0
    layout: ClassVar[str] = "AUCoding/AU_OCC/F001_T1.csv and 2D+3D/F001/T1/<frame>.jpg"

    def records(self) -> Iterator[FrameRecord]:
        sheets = self.label_files()
        images = child(self.root, "2D+3D", "Sequences(2D+3D)", "*2D+3D*")
        if not sheets:
            raise missing_data(self.name, self.root, "AUCoding/AU_OCC/*.csv", self.layout)
        if images is None:
            raise missing_data(self.name, self.root, "2D+3D folder", self.layout)
        problems = Problems(self.name)
        found = [record for sheet in sheets for record in self._sequence(sheet, images, problems)]
        problems.raise_if_any(f"correct the files below {self.root}, then repeat the command")
        if not found:
            raise missing_data(self.name, self.root, "coded frame", self.layout)
        yield from found

    def label_files(self) -> list[Path]:
        folder = child(child(self.root, "AUCoding"), "AU_OCC")
        names = [name for name in names_in(folder) if name.lower().endswith(".csv")]
        return [folder.relative_to(self.root) / name for name in names] if folder else []

    def published_counts(self) -> dict[str, tuple[int, dict[int, int]]]:
        return read_counts(self.name)

    def _sequence(self, sheet: Path, images: Path, problems: Problems) -> list[FrameRecord]:
        """Return the records of one sheet by frame, and report its bad rows and the frames without an image."""
        match = SHEET.fullmatch(sheet.name)
        if match is None:
            problems.add(sheet.as_posix(), None, column="file name", expected="such as F001_T1.csv", got=sheet.name)
            return []
        subject, task = match[1].upper(), match[2].upper()
        rows = _read_sheet(self.root / sheet, sheet.as_posix(), self.aus, problems)
        rows = [row for row in rows if any(label >= 0 for label in row.labels.values())]
        folder = child(child(images, subject), task)
        if folder is None:
            where = f"{images.name}/{subject}/{task}"
            problems.add(sheet.as_posix(), None, column="image folder", expected=where, got="missing")
            return []
        media = _match_images(rows, folder, sheet.as_posix(), problems)
        relative = folder.relative_to(self.root).as_posix()
        points = child(child(child(self.root, "landmarks"), subject), f"{task}.npz")
        cache = points.relative_to(self.root).as_posix() if points else None
        return [
            FrameRecord(
                dataset=self.name,
                subject=subject,
                sequence=f"{subject}/{task}",
                frame=row.frame,
                media=Media(f"{relative}/{media[row.frame]}"),
                labels=row.labels,
                landmarks=LandmarkFile(cache, "npz68", row.frame) if cache else None,
            )
            for row in rows
            if row.frame in media
        ]


class _Row(NamedTuple):
    line: int
    frame: int
    labels: dict[int, int]


def _read_sheet(path: Path, file: str, aus: Iterable[int], problems: Problems) -> list[_Row]:
    """Return the sound rows of a sheet, sorted by frame."""
    reader = csv_rows(path, file, problems)
    _, header = next(reader, (1, []))
    for name in (FRAME, *map(str, aus)):
        if header.count(name) != 1:
            got = "missing" if name not in header else "there twice"
            what = "one frame column" if name == FRAME else f"one column for AU{name}"
            problems.add(file, 1, column=f"header {name!r}", expected=what, got=got)
    if header.count(FRAME) != 1:
        return []
    frame_at = header.index(FRAME)
    columns = {au: header.index(str(au)) for au in aus if str(au) in header}
    rows: dict[int, _Row] = {}
    for line, cells in reader:
        text = cells[frame_at] if frame_at < len(cells) else ""
        frame = whole_number(text)
        labels = _labels(cells, columns, file, line, problems)
        if frame is None:
            problems.add(file, line, column="frame", expected="a number", got=text or "empty")
        elif frame in rows:
            problems.add(
                file, line, column="frame", expected="each frame once", got=f"{text}, as in row {rows[frame].line}"
            )
        else:
            rows[frame] = _Row(line, frame, labels)
    return sorted(rows.values(), key=lambda row: row.frame)


def _labels(cells: list[str], columns: dict[int, int], file: str, line: int, problems: Problems) -> dict[int, int]:
    labels = {}
    for au, at in columns.items():
        text = cells[at] if at < len(cells) else ""
        if text in CODES:
            labels[au] = CODES[text]
        else:
            problems.add(file, line, column=f"AU{au}", expected="0, 1 or 9 (not coded)", got=text or "empty")
    return labels


def _match_images(rows: list[_Row], folder: Path, file: str, problems: Problems) -> dict[int, str]:
    """Return frame -> image name, and report frames with no image or with two."""
    names = numbered(folder, ".jpg")
    media = {}
    for row in rows:
        found = names.get(row.frame, [])
        if len(found) == 1:
            media[row.frame] = found[0]
        else:
            place = "/".join(folder.parts[-3:])
            got = " and ".join(found) or "missing"
            problems.add(file, row.line, column="image", expected=f"one {row.frame}.jpg in {place}", got=got)
    return media


@hookimpl
def auharness_dataset() -> type[DatasetPlugin]:
    return BP4D
