import io
import time
import zipfile

import pytest
from openpyxl import load_workbook

from auharness.data.synthetic.workbook import workbook

ROWS = [["Subject", None, "Action Units"], [1, None, "4+7"], ["006", None, "?"]]


def test_cells_are_read_back_as_they_were_given() -> None:
    book = load_workbook(io.BytesIO(workbook(ROWS, title="MICRO ONLY")))
    assert book.sheetnames == ["MICRO ONLY"]
    assert [list(row) for row in book["MICRO ONLY"].iter_rows(values_only=True)] == ROWS


def test_bytes_do_not_depend_on_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first = workbook(ROWS, title="a")
    later = time.localtime(time.time() + 90_000)
    monkeypatch.setattr(zipfile.time, "localtime", lambda *_: later)
    assert workbook(ROWS, title="a") == first
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.read("docProps/core.xml").count(b"1980-01-01T00:00:00Z") == 2
