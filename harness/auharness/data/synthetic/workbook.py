"""Label sheets as xlsx files whose bytes follow from their cells alone.

A workbook normally carries the time at which it was saved, three times over; here all of them are one fixed day.
"""

import io
import re
import zipfile
from collections.abc import Sequence

from openpyxl import Workbook

__all__ = ["Cell", "workbook"]

Cell = str | int | None
"""Text, a number, or nothing."""

_DAY = (1980, 1, 1, 0, 0, 0)  # the first that a zip archive can name
_CORE = "docProps/core.xml"
_TIME = re.compile(rb"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")


def workbook(rows: Sequence[Sequence[Cell]], *, title: str) -> bytes:
    """Return an xlsx file with one worksheet called `title`.

    >>> workbook([["Subject", None], [1, "4+7"]], title="a") == workbook([["Subject", None], [1, "4+7"]], title="a")
    True
    """
    book = Workbook(write_only=True)
    sheet = book.create_sheet(title)
    for row in rows:
        sheet.append(row)
    saved = io.BytesIO()
    book.save(saved)
    timeless = io.BytesIO()
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(timeless, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == _CORE:
                content = _TIME.sub(b"1980-01-01T00:00:00Z", content)
            entry = zipfile.ZipInfo(name, _DAY)
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, content)
    return timeless.getvalue()
