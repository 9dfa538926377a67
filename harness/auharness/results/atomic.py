"""Files that are whole or absent: written beside their place, flushed to disk, then renamed."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from auharness.errors import StorageError

__all__ = [
    "canonical_json",
    "digest",
    "file_digest",
    "read_json",
    "storing",
    "write_bytes",
    "write_json",
    "write_point",
    "write_with",
]


def write_point(name: str) -> None:
    """Mark a moment at which a killed process must leave a readable store; does nothing.

    Names: `<file>:begin`, `<file>:written` (temporary file complete), `<file>:renamed`.
    """


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Say in one line what the disk refused while the body wrote `path`.

    Raises:
        StorageError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written ({error.strerror or error}); what is finished is kept: make room or mend the "
            "disk, then run the same command again"
        ) from error


def write_with(path: Path, writer: Callable[[Path], None]) -> None:
    """Let `writer` fill a temporary file beside `path`, then put it in place in one step.

    Raises:
        StorageError: if the disk takes no more; what was at `path` before is still there.
    """
    with storing(path):
        _write_with(path, writer)


def _write_with(path: Path, writer: Callable[[Path], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_point(f"{path.name}:begin")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        writer(temporary)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        write_point(f"{path.name}:written")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)
    write_point(f"{path.name}:renamed")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    write_with(path, lambda temporary: _fill(temporary, content))


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, keys in the given order, NaN refused.

    Raises:
        ValueError: if the value holds NaN or infinity; undefined numbers are None.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, f"{text}\n".encode())


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def canonical_json(value: Any) -> str:
    """Return the one text of a JSON value: sorted keys, no spaces.

    >>> canonical_json({"b": 1, "a": [1.5, None]})
    '{"a":[1.5,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any, length: int = 64) -> str:
    """Return the first `length` hex digits of the sha256 of a JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def file_digest(path: Path) -> str:
    """Return the sha256 of a file in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fill(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
