"""Lists of clips and their classes, one file per part of a fold: csv with a header, or lines `path frames class`.

The same clips circulate in several of these forms, whose classes are counted from different numbers and whose names
are padded or not. A clip is its number; the folders that stand before it in a path are somebody else's.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from auharness.data.layout import csv_rows, read_lines
from auharness.data.problems import Problems

__all__ = ["ClassList", "ClassRow", "classes_of", "read_class_list"]

NAME, LABEL = "video_name", "label"
NUMBER = re.compile(r"(?:.*[/\\])?([0-9]{1,9})(?:\.(?:mp4|avi))?[/\\]?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One sound row."""

    file: str
    line: int
    """1-based."""
    clip: int
    label: int
    """Place in the class names, from 0."""


@dataclass(frozen=True, slots=True)
class ClassList:
    """A list file and what it lists."""

    split: str
    """Such as `fold1/train`."""
    file: str
    """Path relative to the root, with forward slashes."""
    first: int
    """Number of the first class in this file."""


def read_class_list(root: Path, listed: ClassList, classes: Sequence[str], problems: Problems) -> list[ClassRow]:
    """Return the sound rows of a list in file order, and report the others.

    A file with the suffix `.csv` has the columns `video_name` and `label`, in any order and beside others; any other
    has lines `path frames class`, of which the number of frames is not read: circulating ones are wrong for some clips.
    """
    rows: list[ClassRow] = []
    lines: dict[int, int] = {}
    cells = _csv_cells if listed.file.lower().endswith(".csv") else _text_cells
    for line, name, label in cells(root / listed.file, listed.file, problems):
        row = _row(listed, line, (name, label), classes, problems)
        if row is None:
            continue
        if row.clip in lines:
            got = f"{name}, as in row {lines[row.clip]}"
            problems.add(listed.file, line, column=NAME, expected="each clip once", got=got)
            continue
        lines[row.clip] = line
        rows.append(row)
    if not rows and not any(problem.file == listed.file for problem in problems.items):
        problems.add(listed.file, None, column="file", expected="a clip and its class per line", got="without a row")
    return rows


def classes_of(rows: Mapping[str, Sequence[ClassRow]], classes: Sequence[str], problems: Problems) -> dict[int, str]:
    """Return clip -> class name over all lists, and report a clip to which two lists give different classes."""
    found: dict[int, ClassRow] = {}
    for row in (row for part in rows.values() for row in part):
        first = found.setdefault(row.clip, row)
        if first.label != row.label:
            expected = f"{classes[first.label]} as in {first.file} row {first.line}"
            problems.add(row.file, row.line, column=LABEL, expected=expected, got=f"{classes[row.label]} ({row.clip})")
    return {clip: classes[row.label] for clip, row in sorted(found.items())}


def _csv_cells(path: Path, file: str, problems: Problems) -> list[tuple[int, str, str]]:
    reader = csv_rows(path, file, problems)
    header = [cell.lower() for cell in next(reader, (1, []))[1]]
    missing = [column for column in (NAME, LABEL) if header.count(column) != 1]
    if missing:
        got = ",".join(header) or "empty"
        problems.add(file, 1, column="header", expected=f"{NAME},{LABEL}", got=got)
        return []
    places = header.index(NAME), header.index(LABEL)
    found = []
    for line, cells in reader:
        name, label = (cells[place] if place < len(cells) else "" for place in places)
        found.append((line, name, label))
    return found


def _text_cells(path: Path, file: str, problems: Problems) -> list[tuple[int, str, str]]:
    found = []
    for line, text in enumerate(read_lines(path), start=1):
        # a path may hold spaces
        words = text.rsplit(None, 2)
        if len(words) == 3:
            found.append((line, words[0].strip(), words[2]))
        elif words:
            problems.add(file, line, column="line", expected="path, number of frames and class", got=text.strip())
    return found


def _row(
    listed: ClassList, line: int, cells: tuple[str, str], classes: Sequence[str], problems: Problems
) -> ClassRow | None:
    name, label = cells
    number = NUMBER.fullmatch(name)
    known = {str(number): place for place, number in enumerate(range(listed.first, listed.first + len(classes)))}
    if number is None:
        problems.add(listed.file, line, column=NAME, expected="the number of a clip", got=name or "empty")
    if label not in known:
        meaning = ", ".join(f"{key} {classes[place]}" for key, place in known.items())
        problems.add(listed.file, line, column=LABEL, expected=f"one of {meaning}", got=label or "empty")
    if number is None or label not in known:
        return None
    return ClassRow(listed.file, line, int(number[1]), known[label])
