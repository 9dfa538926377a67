"""Looks around in a vendor's folder, whose names differ in case and spelling from release to release."""

import csv
import fnmatch
import os
from collections.abc import Iterator
from pathlib import Path

from auharness.data.problems import Problems
from auharness.errors import DataError

__all__ = ["child", "csv_rows", "missing_data", "named", "names_in", "numbered", "read_lines", "whole_number"]

DIGITS = 9
"""Most digits of a number that a vendor writes; more do not fit the index."""


def names_in(folder: Path | None) -> list[str]:
    """Return the entry names of a folder in sorted order, without hidden ones; empty where there is no folder."""
    if folder is None or not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith("."))


def child(folder: Path | None, *patterns: str) -> Path | None:
    """Return the entry of a folder that fits the first fitting pattern, ignoring case; None where none does.

    Args:
        folder: need not exist.
        patterns: fnmatch patterns in order of preference; the first entry by name wins within a pattern.
    """
    names = names_in(folder)
    for pattern in patterns:
        for name in names:
            if folder is not None and fnmatch.fnmatchcase(name.lower(), pattern.lower()):
                return folder / name
    return None


def named(folder: Path | None, name: str) -> Path | None:
    """Return the entry of a folder that has this name, ignoring case; None where none does.

    For names that files give: unlike the patterns of `child`, a star in them is a star.
    """
    found = [entry for entry in names_in(folder) if entry.lower() == name.lower()]
    if folder is None or not found:
        return None
    return folder / (name if name in found else found[0])


def numbered(folder: Path | None, suffix: str) -> dict[int, list[str]]:
    """Return frame number -> names of the files whose stem is that number, in any zero padding.

    Two names for one number (`643.jpg`, `0643.jpg`) are both listed.

    Args:
        folder: need not exist.
        suffix: with its dot, e.g. `.jpg`; compared without case.
    """
    found: dict[int, list[str]] = {}
    for name in names_in(folder):
        stem, dot, extension = name.rpartition(".")
        number = whole_number(stem)
        if dot + extension.lower() == suffix and number is not None:
            found.setdefault(number, []).append(name)
    return found


def whole_number(text: str) -> int | None:
    """Return the number that a text of at most nine ASCII digits is, else None; zero padding counts as digits.

    >>> whole_number("0643"), whole_number("-1"), whole_number("9" * 10)
    (643, None, None)
    """
    return int(text) if len(text) <= DIGITS and text.isascii() and text.isdigit() else None


def csv_rows(path: Path, file: str, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    """Yield (1-based line, cells without spaces around them) of the header and of every row that is not blank.

    A row with more cells than the header, whose labels may stand under wrong names, is reported instead, and so is a
    quotation mark that spans lines.

    Args:
        path: the file.
        file: its name in the report.
        problems: hears of rows that cannot be told into cells.
    """
    width: int | None = None
    for line, text in enumerate(read_lines(path), start=1):
        if text.count('"') % 2:
            problems.add(file, line, column="row", expected="quotation marks in pairs", got=f"{text:.40}")
            continue
        row = next(csv.reader([text], skipinitialspace=True), []) if len(text) <= csv.field_size_limit() else [text]
        cells = [cell.strip() for cell in row]
        if width is None:
            width = len(cells)
        elif any(cells[width:]):
            problems.add(
                file, line, column="row", expected=f"{width} cells as in the header", got=f"{len(cells)} cells"
            )
            continue
        if line == 1 or any(cells):
            yield line, cells


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, without a byte order mark and whatever the line ending.

    Bytes that are not UTF-8 become replacement characters, so that the reader reports them with their row.
    """
    return path.read_text(encoding="utf-8-sig", errors="replace").splitlines()


def missing_data(dataset: str, root: Path, what: str, layout: str) -> DataError:
    """Return the error for a root that lacks something: what is missing, where it was looked for, what is expected."""
    state = "" if root.is_dir() else ", which is not a folder"
    return DataError(
        f"{dataset}: no {what} in {root}{state}; expected {layout}; give the root by --data-root {dataset}=PATH"
    )
