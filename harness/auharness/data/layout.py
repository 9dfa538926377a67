"""Looks around in a vendor's folder, whose names differ in case and spelling from release to release."""

import fnmatch
import os
from pathlib import Path

from auharness.errors import DataError

__all__ = ["child", "missing_data", "names_in", "numbered", "read_lines"]


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
        if dot + extension.lower() == suffix and stem.isascii() and stem.isdigit():
            found.setdefault(int(stem), []).append(name)
    return found


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
