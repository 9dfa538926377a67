"""What identifies the data of a root: a cheap key that notices changes, and a digest that is the same on every machine.

Only the standard library is used, so a finished run can be answered without any heavy import.
"""

import hashlib
import inspect
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from auharness.errors import DataError

if TYPE_CHECKING:
    from auharness.api import DatasetPlugin

__all__ = ["INDEX_VERSION", "manifest", "manifest_stat"]

INDEX_VERSION = 3
"""Raised when the layout of the index changes."""
VIDEO = frozenset({".avi", ".mp4", ".mov", ".mkv", ".wmv", ".wav"})


def manifest(
    root: Path,
    label_files: Iterable[Path],
    media: Iterable[str],
    *,
    splits: Mapping[str, Sequence[str]] | None = None,
    labels: str = "",
) -> str:
    """Return the sha256 over label files' bytes, names and sizes of media, splits, and labels as they were read.

    Args:
        root: dataset root.
        label_files: relative to the root.
        media: images, videos and landmark files relative to the root, with forward slashes; duplicates are fine.
        splits: split -> sequences in a fixed order; data without splits keep the manifest that they had.
        labels: digest of sample ids and labels where the reader's settings are not its defaults: they decide what the
            same files say.

    Raises:
        DataError: if a file is missing.
    """
    digest = hashlib.sha256()
    for path in sorted({file.as_posix() for file in label_files}):
        content = hashlib.sha256(_open(root, path).read_bytes()).hexdigest()
        digest.update(f"label\0{path}\0{content}\n".encode())
    for path in sorted(set(media)):
        digest.update(f"media\0{path}\0{_size(root, path)}\n".encode())
    for name, members in sorted((splits or {}).items()):
        digest.update("\0".join(("split", name, *members, "\n")).encode())
    if labels:
        digest.update(f"labels\0{labels}\n".encode())
    return digest.hexdigest()


def manifest_stat(root: Path, plugin: "DatasetPlugin") -> str:
    """Return a cheap key that changes whenever the index of a root may have changed; 32 hex digits.

    It covers the reader's source and settings, size and time of every label file and video, and the time of every
    folder below the root (a folder's time changes when a file in it is added, removed or renamed). Images are not
    looked at one by one: one that is overwritten in place under its old name goes unnoticed here.
    """
    digest = hashlib.sha256()
    settings = plugin.model_dump_json(exclude={"root"})
    for text in (str(INDEX_VERSION), plugin.name, str(root.resolve()), settings, _source(type(plugin))):
        digest.update(f"{text}\0".encode())
    for path in sorted(file.as_posix() for file in plugin.label_files()):
        digest.update(f"{path}\0{_stamp(root / path)}\n".encode())
    for line in sorted(_walk(root)):
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def _walk(root: Path) -> Iterator[str]:
    """Yield a line for every folder and video below the root; links are followed, each folder once."""
    waiting = [(str(root), "")]
    seen: set[tuple[int, int]] = set()
    while waiting:
        folder, relative = waiting.pop()
        try:
            status = Path(folder).stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            yield f"{relative}\0{status.st_mtime_ns}\n"
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = f"{relative}/{entry.name}"
                    if entry.is_dir():
                        waiting.append((entry.path, name))
                    elif entry.name[-4:].lower() in VIDEO:
                        yield f"{name}\0{_stamp(Path(entry.path))}\n"
        except OSError as error:
            yield f"{relative}\0{error.errno}\n"


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return "missing"
    return f"{status.st_size} {status.st_mtime_ns}"


def _size(root: Path, path: str) -> int:
    return _open(root, path).stat().st_size


def _open(root: Path, path: str) -> Path:
    file = root / path
    if not file.is_file():
        raise DataError(f"{root}: file {path} is missing, although the reader names it; repeat the command")
    return file


def _source(plugin: type) -> str:
    """Return the digest of the reader's file and table, or of its package; its name where there is no file."""
    try:
        file = Path(inspect.getfile(plugin))
    except (TypeError, OSError):
        return plugin.__qualname__
    package = file.name == "__init__.py"
    files = sorted(file.parent.rglob("*")) if package else [file, file.with_suffix(".csv")]
    sources = [part for part in files if part.suffix in {".py", ".csv"} and part.is_file()]
    return hashlib.sha256(b"".join(part.read_bytes() for part in sources)).hexdigest()
