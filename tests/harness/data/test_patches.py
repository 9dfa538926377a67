from pathlib import Path

import pytest

from auharness.data.patches import Patch, apply_patches, read_patches
from auharness.data.problems import Problems
from auharness.data.sheets import SheetRow
from auharness.errors import DataError

ROWS = (
    SheetRow(2, {"Subject": "1", "Filename": "EP01", "Offset Frame": "5793"}),
    SheetRow(3, {"Subject": "2", "Filename": "EP01", "Offset Frame": ""}),
)


def key(row: SheetRow) -> tuple[str, str]:
    return row.cells["Subject"], row.cells["Filename"]


def patch(
    subject: str = "1", field: str = "Offset Frame", old: str = "5793", new: str = "5739", line: int = 2
) -> Patch:
    return Patch("patches.csv", line, subject, "EP01", field, old, new)


def offsets(rows: tuple[SheetRow, ...], *patches: Patch) -> dict[str, str]:
    problems = Problems("samm")
    found = apply_patches(rows, patches, key, problems)
    assert problems.items == []
    return {row.cells["Subject"]: row.cells["Offset Frame"] for row in found}


@pytest.mark.parametrize("rows", [ROWS, ROWS[::-1]])
def test_a_patch_follows_its_row_wherever_it_stands(rows: tuple[SheetRow, ...]) -> None:
    assert offsets(rows, patch()) == {"1": "5739", "2": ""}
    assert offsets(rows, patch("2", "OffsetFrame", "", "91")) == {"1": "5793", "2": "91"}
    assert offsets(rows) == {"1": "5793", "2": ""}


@pytest.mark.parametrize(
    ("patches", "message"),
    [
        ([patch(old="5790")], "Offset Frame is 5793 in row 2 of the sheet (1 EP01), expected the old value 5790"),
        ([patch("2")], "Offset Frame is empty in row 3 of the sheet (2 EP01), expected the old value 5793"),
        ([patch("3")], "row is 3 EP01, expected a row of the sheet"),
        ([patch(field="Apex Frame")], "field is Apex Frame, expected one of Subject, Filename, Offset Frame"),
        ([patch(), patch(old="5739", line=3)], "Offset Frame is patched twice for EP01, expected one patch for a cell"),
    ],
)
def test_a_patch_that_does_not_fit_names_the_row_and_changes_nothing(patches: list[Patch], message: str) -> None:
    problems = Problems("samm")
    rows = apply_patches(ROWS, patches, key, problems)
    assert [str(item) for item in problems.items] == [f"patches.csv row {patches[-1].line}: {message}"]
    assert rows == (ROWS if len(patches) == 1 else apply_patches(ROWS, patches[:1], key, Problems("samm")))


def test_a_table_is_read_with_its_row_numbers(tmp_path: Path) -> None:
    path = tmp_path / "patches.csv"
    path.write_text(
        'subject,filename,field,old,new\n\n006,006_1_2,Offset Frame,5793,5739\n1,a,Action Units," ","4,7"\n'
    )
    assert read_patches(path) == (
        Patch("patches.csv", 3, "006", "006_1_2", "Offset Frame", "5793", "5739"),
        Patch("patches.csv", 4, "1", "a", "Action Units", "", "4,7"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row,offset\n60,91\n", "expected the header subject,filename,field,old,new, got row,offset"),
        ("", "expected the header subject,filename,field,old,new, got nothing"),
        ("subject,filename,field,old,new\n1,a,AU,4\n", r"patches.csv row 2: expected 5 values, got 4"),
    ],
)
def test_a_table_by_row_position_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "patches.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_patches(path)
