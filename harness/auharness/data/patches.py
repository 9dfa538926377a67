"""Corrections of single cells, keyed by what the row is and not by where it stands.

A patch names the subject, the file name, the column and the old value; it is applied where the sheet holds that old
value, and is an error anywhere else. So a sheet whose rows are ordered otherwise gives the same labels, and a version
in which the mistake is mended, or is another one, is noticed instead of being spoilt.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from auharness.data.layout import read_lines
from auharness.data.problems import Problems
from auharness.data.sheets import SheetRow, column_key
from auharness.errors import DataError

__all__ = ["HEADER", "Patch", "apply_patches", "read_patches"]

HEADER = ("subject", "filename", "field", "old", "new")


@dataclass(frozen=True, slots=True)
class Patch:
    """One corrected cell."""

    file: str
    line: int
    """1-based row number of the patch table."""
    subject: str
    filename: str
    field: str
    """Column name of the sheet; spaces and case do not matter."""
    old: str
    """What the sheet must hold."""
    new: str


def read_patches(path: Path) -> tuple[Patch, ...]:
    """Read a patch table: a csv file with the columns `subject,filename,field,old,new`.

    Raises:
        DataError: if the header is another one or a line has too few or too many values.
    """
    reader = csv.reader(read_lines(path))
    header = next(reader, [])
    if tuple(name.strip() for name in header) != HEADER:
        raise DataError(f"{path}: expected the header {','.join(HEADER)}, got {','.join(header) or 'nothing'}")
    patches = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(HEADER):
            raise DataError(f"{path} row {reader.line_num}: expected {len(HEADER)} values, got {len(cells)}")
        patches.append(Patch(path.name, reader.line_num, *(cell.strip() for cell in cells)))
    return tuple(patches)


def apply_patches(
    rows: Sequence[SheetRow],
    patches: Sequence[Patch],
    key: Callable[[SheetRow], tuple[str, str]],
    problems: Problems,
) -> tuple[SheetRow, ...]:
    """Return the rows, corrected; report every patch that fits no row, or a row with another value.

    Args:
        rows: rows of a sheet.
        patches: each (subject, filename, field) at most once.
        key: returns (subject, filename) of a row, as the patches name them.
        problems: receives what is wrong, by row of the patch table.
    """
    at = {key(row): place for place, row in enumerate(rows)}
    patched = list(rows)
    done: set[tuple[str, str, str]] = set()
    for patch in patches:
        names = {column_key(name): name for name in (rows[0].cells if rows else ())}
        field = names.get(column_key(patch.field))
        place = at.get((patch.subject, patch.filename))
        if field is None:
            _report(problems, patch, "field", "one of " + ", ".join(names.values()), patch.field)
        elif place is None:
            _report(problems, patch, "row", "a row of the sheet", f"{patch.subject} {patch.filename}")
        elif (patch.subject, patch.filename, field) in done:
            _report(problems, patch, field, "one patch for a cell", f"patched twice for {patch.filename}")
        elif patched[place].cells[field] != patch.old:
            row = patched[place]
            got = f"{row.cells[field] or 'empty'} in row {row.line} of the sheet ({patch.subject} {patch.filename})"
            _report(problems, patch, field, f"the old value {patch.old or 'empty'}", got)
        else:
            row = patched[place]
            patched[place] = SheetRow(row.line, {**row.cells, field: patch.new})
            done.add((patch.subject, patch.filename, field))
    return tuple(patched)


def _report(problems: Problems, patch: Patch, column: str, expected: str, got: str) -> None:
    problems.add(patch.file, patch.line, column=column, expected=expected, got=got)
