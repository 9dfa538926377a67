"""Label workbooks of CASME II and SAMM as spreadsheets, downloads and hostile hands leave them."""

import datetime
import io
import zipfile
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openpyxl import Workbook

FORMS = {
    "casme2": ("CASME2-coding-20190701.xlsx", "Cropped/sub{:02d}/{}/reg_img{}.jpg"),
    "samm": ("SAMM_Micro_FACS_Codes_v2.xlsx", "Cropped/{0:03d}/{1}/{0:03d}_{2:05d}.jpg"),
}
HEADER = ("Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame", "Action Units")
SUBJECT, FILE, ONSET, APEX, OFFSET, AUS = range(6)
CELLS: dict[str, tuple[int, tuple[Any, ...]]] = {
    "subject": (SUBJECT, ("x", "", -1, 1.5, True, "\u0661", "=1+1", "9" * 5000)),
    "file name": (FILE, ("", "../EP", ".hidden", "a/b", "a\\b", None)),
    "onset": (ONSET, ("x", "", -3, 2.5, "nan", "9" * 5000, datetime.date(2020, 1, 1), "1,000")),
    "offset": (OFFSET, ("x", 0, "/", 1e300, "inf", None)),
    "aus": (AUS, ("twelve", "4+", "+", "12 and 14", "AU", "<b>4</b>", "4++5")),
}
BAD = (
    *(f"cell {name}" for name in CELLS),
    *("twice", "missing column", "double column", "no rows", "empty", "no book", "cut", "bits", "no sheet"),
    *("bad xml", "entities", "outside entity", "foreign zip", "missing image"),
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
GROWTH = "".join(f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in pairwise(LETTERS))
ENTITIES = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{GROWTH}]><x>&z;</x>'
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY z SYSTEM "file:///etc/passwd">]><x>&z;</x>'


def rows_of(dataset: str) -> list[list[Any]]:
    return [[subject, f"EP{number}", 10, 11, 12, "4+12"] for number, subject in enumerate((6, 6, 7), start=1)]


def write_images(root: Path, dataset: str) -> None:
    for subject, name, onset, _, offset, _ in rows_of(dataset):
        for frame in range(onset, offset + 1):
            path = root / FORMS[dataset][1].format(subject, name, frame)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def book_of(header: list[Any], rows: list[list[Any]]) -> bytes:
    book = Workbook()
    assert book.active is not None
    for line in (header, *rows) if header else ():
        book.active.append(line)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def with_part(content: bytes, part: str, text: bytes | None) -> bytes:
    """Replace a part of a workbook, or leave it out."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name != part:
                new.writestr(name, old.read(name))
            elif text is not None:
                new.writestr(name, text)
    return stream.getvalue()


def changed(dataset: str, kind: str, chance: np.random.Generator) -> tuple[bytes, int | None]:
    """Return a bad workbook, and the row that a message must name."""
    header: list[Any] = list(HEADER)
    rows = rows_of(dataset)
    at = int(chance.integers(len(rows)))
    row: int | None = None
    if kind.startswith("cell "):
        place, values = CELLS[kind.removeprefix("cell ")]
        rows[at][place], row = values[int(chance.integers(len(values)))], at + 2
    elif kind == "twice":
        rows.append(rows[at])
        row = len(rows) + 1
    elif kind == "missing column":
        header[int(chance.choice([SUBJECT, FILE, ONSET, OFFSET, AUS]))] = "Other"
    elif kind == "double column":
        header[APEX] = header[int(chance.choice([SUBJECT, FILE, ONSET, OFFSET, AUS]))]
    elif kind == "no rows":
        rows = []
    elif kind == "empty":
        header = []
    content = bytearray(book_of(header, rows))
    sheet = "xl/worksheets/sheet1.xml"
    parts = {
        "bad xml": b"<worksheet><a></worksheet>",
        "entities": ENTITIES.encode(),
        "outside entity": OUTSIDE.encode(),
    }
    if kind in parts:
        return with_part(
            bytes(content), str(chance.choice([sheet, "xl/workbook.xml", "xl/styles.xml"])), parts[kind]
        ), None
    if kind == "no sheet":
        return with_part(
            bytes(content), str(chance.choice([sheet, "[Content_Types].xml", "xl/workbook.xml"])), None
        ), None
    if kind == "no book":
        return b"Subject,Filename\n1,EP1\n", None
    if kind == "cut":
        return bytes(content[: chance.integers(len(content))]), None
    if kind == "bits":
        for place in chance.integers(len(content), size=40):
            content[place] ^= 1 << int(chance.integers(8))
    if kind == "foreign zip":
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("../outside.txt", "x")
        return stream.getvalue(), None
    return bytes(content), row


@pytest.mark.cases("label workbooks", *product(BAD, FORMS), names=("change", "dataset"))
def test_a_bad_workbook_is_refused_by_row_and_nothing_in_it_is_followed(
    command: Callable[..., Any],
    refused: Callable[..., str],
    tmp_path: Path,
    change: str,
    dataset: str,
    chance: np.random.Generator,
) -> None:
    root = tmp_path / dataset
    write_images(root, dataset)
    (root / "SYNTHETIC.json").write_text("{}")
    content, row = changed(dataset, change, chance)
    (root / FORMS[dataset][0]).write_bytes(content)
    if change == "missing image":
        images = sorted(root.rglob("*.jpg"))
        images[int(chance.integers(len(images)))].unlink()
    answer = command("data", "stats", dataset, "--data-root", f"{dataset}={root}")
    if change == "bits" and answer.code == 0:
        return  # none of the bits was of a row
    said = refused(answer, 3, lines=None)
    assert FORMS[dataset][0] in said or change in ("no rows",)
    assert row is None or f"row {row}: " in said
    assert "root:" not in answer.out + answer.err and not list(tmp_path.glob("outside*"))


@pytest.mark.parametrize("dataset", FORMS)
def test_the_sound_workbook_is_read(command: Callable[..., Any], tmp_path: Path, dataset: str) -> None:
    write_images(tmp_path, dataset)
    (tmp_path / "SYNTHETIC.json").write_text("{}")
    (tmp_path / FORMS[dataset][0]).write_bytes(book_of(list(HEADER), rows_of(dataset)))
    assert command("data", "stats", dataset, "--data-root", f"{dataset}={tmp_path}").code == 0
