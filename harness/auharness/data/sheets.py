"""Label sheets in xlsx: rows by column name wherever the header stands, and which published version a sheet is.

Vendors put text above the header, blank columns between the named ones and spaces behind the names, and several
versions of one sheet are in circulation under different file names. So the header is the first row that holds every
wanted name, names are compared without spaces and case, and a version is told by what the sheet holds: its number of
rows, its positives per AU and, where it is known, its sha256.
"""

import csv
import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from openpyxl import load_workbook

from auharness.errors import DataError
from auharness.records import au_name

__all__ = [
    "Sheet",
    "SheetCounts",
    "SheetRow",
    "SheetVersion",
    "column_key",
    "find_version",
    "published_totals",
    "read_sheet",
    "read_versions",
]


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row below the header."""

    line: int
    """1-based row number of the worksheet."""
    cells: Mapping[str, str]
    """Wanted column -> text without spaces around it; empty for an empty cell."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows of a sheet that are not empty, in file order."""

    file: str
    sha256: str
    """Digest of the whole file."""
    rows: tuple[SheetRow, ...]


@dataclass(frozen=True, slots=True)
class SheetCounts:
    """What tells one version of a sheet from another."""

    rows: int
    subjects: int
    positives: Mapping[int, int]
    """AU number -> rows in which it is present; empty where nobody published it."""

    def __str__(self) -> str:
        positives = ", ".join(f"{au_name(au)} {count}" for au, count in self.positives.items())
        return f"{self.rows} rows, {self.subjects} subjects, {positives or 'positives unpublished'}"


@dataclass(frozen=True, slots=True)
class SheetVersion:
    """A published version of a sheet."""

    name: str
    sha256: str
    """Empty where nobody published it."""
    counts: SheetCounts


def column_key(name: str) -> str:
    """Return a column name as it is compared.

    >>> column_key("Onset Frame ") == column_key("OnsetFrame")
    True
    """
    return "".join(name.split()).casefold()


def read_sheet(path: Path, columns: Sequence[str]) -> Sheet:
    """Return the rows below the header of the first worksheet that has all the columns.

    A row in which all wanted cells are empty is left out. Whole numbers become text without a point: 4.0 is `4`.

    Raises:
        DataError: if the file is no workbook, no row holds all the columns, or one of them is there twice.
    """
    content = path.read_bytes()
    best: list[str] = []
    for grid in _grids(path):
        for at, line in enumerate(grid):
            found = [column for column in columns if column_key(column) in map(column_key, line)]
            if len(found) == len(columns):
                rows = _rows(grid, at, _places(path, line, at + 1, columns))
                return Sheet(path.name, hashlib.sha256(content).hexdigest(), rows)
            best = max(best, found, key=len)
    missing = ", ".join(repr(column) for column in columns if column not in best)
    wanted = ", ".join(columns)
    raise DataError(
        f"{path}: no row with the header names {wanted} (nowhere beside the others: {missing}); "
        "expected the vendor's sheet, unchanged"
    )


def read_versions(plugin_file: str) -> tuple[SheetVersion, ...]:
    """Read the published versions from the csv beside a plugin file, in the table's order.

    Its columns are `version,sha256,rows,subjects`, then one per AU; an empty cell is not published.
    """
    table = Path(plugin_file).with_suffix(".csv").read_text(encoding="utf-8")
    versions = []
    for row in csv.DictReader(table.splitlines()):
        positives = {int(name[2:]): int(value) for name, value in row.items() if name.startswith("AU") and value}
        counts = SheetCounts(int(row["rows"]), int(row["subjects"]), positives)
        versions.append(SheetVersion(row["version"], row["sha256"], counts))
    return tuple(versions)


def published_totals(plugin_file: str) -> dict[str, tuple[int, int, dict[int, int]]]:
    """Return the totals of the versions beside a plugin file whose positives are published, as `DatasetPlugin` does."""
    counts = {version.name: version.counts for version in read_versions(plugin_file)}
    return {name: (one.subjects, one.rows, dict(one.positives)) for name, one in counts.items() if one.positives}


def find_version(sha256: str, counts: SheetCounts, versions: Sequence[SheetVersion]) -> SheetVersion | None:
    """Return the version with these counts; None for a sheet that is none of the published ones.

    A known digest must agree with the counts: a version whose own digest is published is no other file. Positives that
    nobody published are not compared, and such a version is taken only where no fully published one fits.
    """
    ordered = sorted(versions, key=lambda version: not version.counts.positives)
    for version in ordered:
        published = version.counts
        same = (published.rows, published.subjects) == (counts.rows, counts.subjects)
        if same and published.positives in ({}, counts.positives) and version.sha256 in ("", sha256):
            return version
    return None


def _grids(path: Path) -> list[list[list[str]]]:
    """Return every worksheet as lines of texts."""
    try:
        with warnings.catch_warnings():
            # styles and drop-down lists that openpyxl does not keep have no bearing on the values
            warnings.simplefilter("ignore")
            book = load_workbook(path, data_only=True)
    except Exception as error:  # on damaged bytes openpyxl raises whatever it stumbles over
        said = " ".join(f"{error}".split()) or type(error).__name__
        raise DataError(f"{path}: not a readable xlsx workbook ({said:.200}); get the sheet again") from error
    return [
        [[_text(value) for value in line] for line in sheet.iter_rows(values_only=True)] for sheet in book.worksheets
    ]


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _places(path: Path, header: Sequence[str], line: int, columns: Sequence[str]) -> dict[str, int]:
    """Return wanted column -> its place in the header."""
    keys = [column_key(name) for name in header]
    for column in columns:
        if keys.count(column_key(column)) > 1:
            raise DataError(
                f"{path} row {line}: the column {column!r} is there twice, expected it once; mend the sheet"
            )
    return {column: keys.index(column_key(column)) for column in columns}


def _rows(grid: Sequence[Sequence[str]], header: int, places: Mapping[str, int]) -> tuple[SheetRow, ...]:
    found = []
    for at in range(header + 1, len(grid)):
        cells = {column: grid[at][place] for column, place in places.items()}
        if any(cells.values()):
            found.append(SheetRow(at + 1, cells))
    return tuple(found)
