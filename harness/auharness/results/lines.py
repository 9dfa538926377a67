"""Files of measured points: one JSON object per line, appended and flushed; a kill costs the last one at most."""

import json
import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from auharness.errors import DataError, IntegrityError

__all__ = ["append_lines", "check_lines", "lines_text", "read_lines"]

Row = TypeVar("Row", bound=BaseModel)


def check_lines(path: Path, *, command: str) -> None:
    """Have the file there before anything is measured.

    Raises:
        DataError: it cannot be written.
    """
    try:
        append_lines(path, [])
    except OSError as error:
        raise DataError(
            f"{command}: {path} cannot be written ({error.strerror}); give another file with --out"
        ) from None


def append_lines(path: Path, rows: Iterable[BaseModel]) -> None:
    """Append rows and have them on disk before returning; a line that a kill cut short goes first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        stream.seek(0)
        stream.truncate(stream.read().rfind(b"\n") + 1)
        stream.write(lines_text(rows).encode())
        stream.flush()
        os.fsync(stream.fileno())


def lines_text(rows: Iterable[BaseModel]) -> str:
    """Return rows as they stand in a file; fields at their default are left out."""
    return "".join(f"{row.model_dump_json(exclude_defaults=True)}\n" for row in rows)


def read_lines(
    paths: Sequence[Path], parse: Callable[[object], Row], *, key: Callable[[Row], Hashable], what: str
) -> list[Row]:
    """Return the rows of some files, the later of two with the same key; a half-written last line is left out.

    Args:
        paths: files; one that does not exist has no rows.
        parse: from what JSON holds to a row; raises pydantic's ValidationError.
        key: what is measured once.
        what: what a line must be, for the message.

    Raises:
        IntegrityError: if a line is no such row.
    """
    rows: dict[Hashable, Row] = {}
    for path in paths:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        lines = text.removesuffix("\n").split("\n") if text else []  # a note may hold other separators
        for number, line in enumerate(lines, 1):
            try:
                row = parse(json.loads(line))
            except (ValueError, ValidationError) as error:
                if number == len(lines) and not text.endswith("\n"):
                    break  # the writer was stopped in the middle of it
                raise IntegrityError(
                    f"{path} line {number} is not {what} ({type(error).__name__}); delete the line to measure it again"
                ) from error
            rows[key(row)] = row
    return list(rows.values())
