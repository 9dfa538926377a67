"""Clips of a dataset whose labels are one xlsx sheet: a row is a clip with subject, file name, onset, offset and AUs.

From the sheet to records in this order: the rows are read by column name, corrected by the user's `patches.csv` and
parsed, the sheet is compared with its published versions, and the frames onset..offset are looked up on disk. The apex
column is never read. Rows may stand in any order; records come sorted by subject and file name.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from auharness.data.au_notation import NotationError, parse_aus
from auharness.data.layout import child, missing_data, named, names_in, whole_number
from auharness.data.patches import Patch, apply_patches, read_patches
from auharness.data.problems import Problems
from auharness.data.sheets import Sheet, SheetCounts, SheetRow, SheetVersion, find_version, read_sheet
from auharness.errors import DataError
from auharness.records import ClipRecord, Media

__all__ = ["PATCHES", "ClipSheet", "FrameLayout"]

PATCHES = "patches.csv"
"""Table of corrected cells in the dataset's root; optional."""
STAND_IN = "SYNTHETIC.json"
SUBJECT, FILENAME, ONSET, OFFSET, AUS = "Subject", "Filename", "Onset Frame", "Offset Frame", "Action Units"


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """Where the frames of a clip lie: `<folder>/<subject>/<file name>/<image>`."""

    folders: tuple[str, ...]
    """Patterns of the folder below the root, in order of preference."""
    subject: str
    """Folder of a subject, with `{subject}`."""
    image: str
    """Usual name of an image, with `{subject}` and `{frame}`."""
    pattern: str
    """Regular expression of an image's name; its group is the frame number."""


class _Clip(NamedTuple):
    line: int
    subject: str
    filename: str
    onset: int
    offset: int
    aus: tuple[int, ...]


@dataclass(frozen=True)
class ClipSheet:
    """The sheet and the frames below one root."""

    dataset: str
    root: Path
    aus: tuple[int, ...]
    """AUs that become labels, 1 where the row names them and else 0."""
    names: str
    """Pattern of the sheet's file name."""
    digits: int
    """Digits of a subject's id."""
    layouts: Mapping[str, FrameLayout]
    """Where frames may lie, by the value of the reader's setting `images`."""
    images: str
    """The one of them that is read."""
    versions: tuple[SheetVersion, ...]
    layout: str
    """What the root must hold, in one line."""
    parse: Callable[[str], tuple[int, ...]] = parse_aus
    """Reads the AU cell for the labels; versions are always told by the default policies."""
    chosen: str = ""
    """File name of the sheet where the root holds several."""
    accepted: str = ""
    """sha256 of a sheet that is read although it is no published version."""
    drop_empty: bool = False
    """Leave out the rows that name none of `aus`."""

    def label_files(self) -> list[Path]:
        """Return the sheets that may be read and the patch table, relative to the root."""
        names = self._sheets + [PATCHES] * (self.root / PATCHES).is_file()
        return [Path(name) for name in names]

    def records(self) -> list[ClipRecord]:
        """Return a record per row, sorted by subject and file name.

        Raises:
            DataError: if the sheet or the frame folder is missing, if the sheet is no published version, or when any
                row is bad or lacks a frame; then the message lists every bad row and file.
        """
        folder = child(self.root, *self.frames.folders)
        sheet = self._read()
        if folder is None:
            raise self._missing_frames()
        problems = Problems(self.dataset)
        rows = apply_patches(sheet.rows, self._patches(), self._key, problems)
        clips = self._clips(rows, sheet.file, problems)
        problems.raise_if_any(self._hint)
        self._check_version(sheet)
        kept = [clip for clip in clips if not self.drop_empty or set(clip.aus) & set(self.aus)]
        found = [record for clip in kept for record in self._record(clip, folder, sheet.file, problems)]
        problems.raise_if_any(self._hint)
        return sorted(found, key=lambda record: (record.subject, record.sequence))

    @property
    def frames(self) -> FrameLayout:
        """The layout that is read."""
        return self.layouts[self.images]

    def _missing_frames(self) -> DataError:
        """The error for a root without the frames that are asked for; says how to read others that lie there."""
        for name, layout in self.layouts.items():
            other = child(self.root, *layout.folders)
            if other is not None:
                return DataError(
                    f"{self.dataset}: no {self.frames.folders[0]} folder in {self.root}, where {other.name} lies; read "
                    f"that with {self._set(f'images={name}')}; expected {self.layout}"
                )
        return missing_data(self.dataset, self.root, f"{self.frames.folders[0]} folder", self.layout)

    @cached_property
    def _sheets(self) -> list[str]:
        pattern = re.compile(self.names, re.IGNORECASE)
        return [name for name in names_in(self.root) if pattern.fullmatch(name) and self.chosen in ("", name)]

    @property
    def _hint(self) -> str:
        return (
            f"correct the files below {self.root}, or put corrected cells into {PATCHES} there, then repeat the command"
        )

    def _set(self, assignment: str) -> str:
        return f"--set data.{self.dataset}.{assignment} (without data.{self.dataset}. in `auharness data`)"

    def _read(self) -> Sheet:
        if not self._sheets:
            raise missing_data(self.dataset, self.root, self.chosen or "label sheet", self.layout)
        if len(self._sheets) > 1:
            raise DataError(
                f"{self.dataset}: {self.root} holds {' and '.join(self._sheets)}; expected one label sheet; "
                f"keep one, or name one by {self._set('sheet=FILE')}"
            )
        return read_sheet(self.root / self._sheets[0], (SUBJECT, FILENAME, ONSET, OFFSET, AUS))

    def _patches(self) -> list[Patch]:
        path = self.root / PATCHES
        found = read_patches(path) if path.is_file() else ()
        return [replace(patch, subject=self._subject(patch.subject)) for patch in found]

    def _key(self, row: SheetRow) -> tuple[str, str]:
        return self._subject(row.cells[SUBJECT]), row.cells[FILENAME]

    def _subject(self, text: str) -> str:
        number = whole_number(text)
        return text if number is None else str(number).zfill(self.digits)

    def _clips(self, rows: Sequence[SheetRow], file: str, problems: Problems) -> list[_Clip]:
        """Return the sound rows, and report the others."""
        clips = []
        lines: dict[tuple[str, str], int] = {}
        for row in rows:
            clip = self._clip(row, file, problems)
            if clip is None:
                continue
            key = (clip.subject, clip.filename)
            if key in lines:
                got = f"{clip.filename} of {clip.subject}, as in row {lines[key]}"
                problems.add(file, row.line, column=FILENAME, expected="each clip once", got=got)
            else:
                lines[key] = row.line
                clips.append(clip)
        return clips

    def _clip(self, row: SheetRow, file: str, problems: Problems) -> _Clip | None:
        before = len(problems.items)
        numbers = {}
        for column in (SUBJECT, ONSET, OFFSET):
            text = row.cells[column]
            number = whole_number(text)
            if number is not None:
                numbers[column] = number
            else:
                problems.add(file, row.line, column=column, expected="a whole number", got=text or "empty")
        onset, offset = numbers.get(ONSET, 0), numbers.get(OFFSET, 0)
        if {ONSET, OFFSET} <= set(numbers) and offset < onset:
            problems.add(file, row.line, column=OFFSET, expected=f"at least the onset {onset}", got=str(offset))
        filename = row.cells[FILENAME]
        if not filename or "/" in filename or "\\" in filename or filename.startswith("."):
            problems.add(file, row.line, column=FILENAME, expected="the folder of the clip", got=filename or "empty")
        aus: tuple[int, ...] = ()
        try:
            aus = self.parse(row.cells[AUS])
        except NotationError as error:
            problems.add(file, row.line, column=AUS, expected=error.expected, got=row.cells[AUS])
        if len(problems.items) > before:
            return None
        return _Clip(row.line, self._subject(row.cells[SUBJECT]), filename, onset, offset, aus)

    def _check_version(self, sheet: Sheet) -> None:
        """Refuse a sheet that is none of the published versions, except in a stand-in or where the user accepts it."""
        if (self.root / STAND_IN).is_file() or self.accepted.lower() == sheet.sha256:
            return
        counts = self._counts(sheet.rows)
        if find_version(sheet.sha256, counts, self.versions) is not None:
            return
        known = "; ".join(f"{version.name}: {version.counts}" for version in self.versions)
        raise DataError(
            f"{self.dataset}: {sheet.file} is no published version: sha256 {sheet.sha256}, {counts}; expected {known}; "
            f"get the sheet again, or read it as it is by {self._set(f'accept_sheet={sheet.sha256}')}"
        )

    def _counts(self, rows: Sequence[SheetRow]) -> SheetCounts:
        """Return what the vendor's sheet holds, before any patch and under the default policies."""
        named = []
        for row in rows:
            try:
                named.append(set(parse_aus(row.cells[AUS])))
            except NotationError:
                named.append(set())
        positives = {au: sum(au in aus for aus in named) for au in self.aus}
        return SheetCounts(len(rows), len({self._key(row)[0] for row in rows}), positives)

    def _record(self, clip: _Clip, images: Path, file: str, problems: Problems) -> list[ClipRecord]:
        """Return the record of a clip; none if its folder or a frame is missing, which is reported."""
        subject = self.frames.subject.format(subject=clip.subject)
        folder = named(child(images, subject), clip.filename)
        if folder is None:
            expected = f"{images.name}/{subject}/{clip.filename}"
            problems.add(file, clip.line, column="image folder", expected=expected, got="missing")
            return []
        frames = range(clip.onset, clip.offset + 1)
        found = self._images(folder)
        place = folder.relative_to(self.root).as_posix()
        sound = True
        for frame in frames:
            names = found.get(frame, [])
            if len(names) != 1:
                sound = False
                usual = f"{place}/{self.frames.image.format(subject=clip.subject, frame=frame)}"
                problems.add(file, clip.line, column="image", expected=usual, got=" and ".join(names) or "missing")
        if not sound:
            return []
        return [
            ClipRecord(
                dataset=self.dataset,
                subject=clip.subject,
                sequence=f"{clip.subject}/{clip.filename}",
                frames=tuple(frames),
                media=tuple(Media(f"{place}/{found[frame][0]}") for frame in frames),
                labels={au: int(au in clip.aus) for au in self.aus},
            )
        ]

    def _images(self, folder: Path) -> dict[int, list[str]]:
        """Return frame number -> names of its images in a folder."""
        pattern = re.compile(self.frames.pattern, re.IGNORECASE)
        found: dict[int, list[str]] = {}
        for name in names_in(folder):
            match = pattern.fullmatch(name)
            if match:
                found.setdefault(int(match[1]), []).append(name)
        return found
