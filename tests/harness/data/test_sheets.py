import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from openpyxl import Workbook

from auharness.data.sheets import SheetCounts, SheetVersion, find_version, published_totals, read_sheet, read_versions
from auharness.errors import DataError

COLUMNS = ("Subject", "Onset Frame", "Action Units")


def write(path: Path, *sheets: Sequence[Sequence[object]]) -> Path:
    book = Workbook()
    book.remove(book.active)
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


def test_the_header_is_found_by_its_names_wherever_it_stands(tmp_path: Path) -> None:
    preamble = [["Subject: who was filmed"], [None], ["Action Units", "Subject"]]
    header = [None, "Action Units ", None, "OnsetFrame", " subject", "Notes"]
    path = write(tmp_path / "a.xlsx", [["a key"]], [*preamble, header, [None, "4+7", None, 46, 1, "x"]])
    sheet = read_sheet(path, COLUMNS)
    assert [(row.line, row.cells) for row in sheet.rows] == [
        (5, {"Subject": "1", "Onset Frame": "46", "Action Units": "4+7"})
    ]
    assert (sheet.file, sheet.sha256) == ("a.xlsx", hashlib.sha256(path.read_bytes()).hexdigest())


def test_numbers_lose_their_point_and_texts_their_spaces(tmp_path: Path) -> None:
    rows = [COLUMNS, [1, 46.0, 4], ["02 ", "46", "\u00a012+15 "], [3, 46.5, 12.0]]
    sheet = read_sheet(write(tmp_path / "a.xlsx", rows), COLUMNS)
    assert [tuple(row.cells.values()) for row in sheet.rows] == [
        ("1", "46", "4"),
        ("02", "46", "12+15"),
        ("3", "46.5", "12"),
    ]


def test_empty_rows_are_left_out_and_keep_the_numbers_of_the_others(tmp_path: Path) -> None:
    rows = [[*COLUMNS, "Notes"], [1, 1, 4], [None, " ", None, "a remark"], [2, 2, None]]
    sheet = read_sheet(write(tmp_path / "a.xlsx", rows), COLUMNS)
    assert [(row.line, row.cells["Subject"]) for row in sheet.rows] == [(2, "1"), (4, "2")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["Subject", "Onset"], [1, 2]], "(nowhere beside the others: 'Onset Frame', 'Action Units')"),
        ([[]], "(nowhere beside the others: 'Subject', 'Onset Frame', 'Action Units')"),
        ([[*COLUMNS, "OnsetFrame"]], "a.xlsx row 1: the column 'Onset Frame' is there twice"),
    ],
)
def test_a_sheet_without_its_header_is_refused(tmp_path: Path, rows: list[list[object]], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_sheet(write(tmp_path / "a.xlsx", rows), COLUMNS)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_no_workbook_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"<html>log in first</html>")
    with pytest.raises(DataError, match=r"a\.xlsx: not a readable xlsx workbook \(.*\); get the sheet again$"):
        read_sheet(tmp_path / "a.xlsx", COLUMNS)


def version(name: str, rows: int, positives: dict[int, int], sha256: str = "") -> SheetVersion:
    return SheetVersion(name, sha256, SheetCounts(rows, 26, positives))


def test_versions_are_told_apart_by_counts_and_by_digest() -> None:
    one, two = version("one", 256, {1: 26, 2: 22}), version("two", 246, {1: 22, 2: 23})
    byname, unknown = version("digest", 256, {1: 9, 2: 9}, "ab"), version("rows only", 246, {})
    versions = (unknown, one, two, byname)
    assert find_version("cd", SheetCounts(256, 26, {1: 26, 2: 22}), versions) is one
    # the fully published version stands above the one of which only the rows are known
    assert find_version("cd", SheetCounts(246, 26, {1: 22, 2: 23}), versions) is two
    assert find_version("cd", SheetCounts(246, 26, {1: 22, 2: 24}), versions) is unknown
    assert find_version("ab", SheetCounts(256, 26, {1: 9, 2: 9}), versions) is byname
    for digest, counts in (
        ("cd", SheetCounts(256, 26, {1: 9, 2: 9})),  # a known digest that is not this file's
        ("cd", SheetCounts(256, 26, {1: 26, 2: 23})),
        ("cd", SheetCounts(256, 25, {1: 26, 2: 22})),
        ("cd", SheetCounts(255, 26, {1: 26, 2: 22})),
    ):
        assert find_version(digest, counts, versions) is None


def test_a_version_table_lies_beside_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("version,sha256,rows,subjects,AU1,AU12\nv1,ab,3,2,1,0\nv2,,4,2,,\n")
    plugin = str(tmp_path / "a.py")
    assert read_versions(plugin) == (
        SheetVersion("v1", "ab", SheetCounts(3, 2, {1: 1, 12: 0})),
        SheetVersion("v2", "", SheetCounts(4, 2, {})),
    )
    # what is known by its rows only cannot be verified
    assert published_totals(plugin) == {"v1": (2, 3, {1: 1, 12: 0})}
