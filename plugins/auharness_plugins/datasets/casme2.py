"""CASME II: spontaneous micro-expressions of 26 subjects at 200 frames per second, AUs coded per clip.

Yan et al., CASME II: an improved spontaneous micro-expression database and the baseline evaluation, PLOS ONE 2014.

Decisions where versions and loaders differ:
- three versions of the sheet circulate; `casme2.csv` lists what is published of them. The 247 rows that papers name and
  the 255 of the 2014 sheet are known by number only, so data with them is read but not verified; 246 rows with their
  positives are published too. No digest of a sheet is published. A sheet that is none of these is refused;
- a clip is every frame from onset to offset, both included; the apex is not read, so a missing one does not matter;
- the 8 AUs are those of the field; no rule of frequency reproduces them. A row with none of them is a clip without any
  AU and stays (`drop_empty` leaves it out);
- the meb library corrects one offset and fills 21 apexes by row position. The key and the old value of that offset are
  not published, so it is not corrected here; `patches.csv` in the root (subject,filename,field,old,new) corrects cells.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from auharness.api import DatasetPlugin
from auharness.data.clip_sheet import ClipSheet, FrameLayout
from auharness.data.sheets import published_totals, read_versions
from auharness.hookspecs import hookimpl
from auharness.records import ClipRecord

FRAMES: Mapping[str, FrameLayout] = {
    "cropped": FrameLayout(("Cropped", "*Cropped*"), "sub{subject}", "reg_img{frame}.jpg", r"reg_img([0-9]+)\.jpe?g"),
    "raw": FrameLayout(("CASME2_RAW_selected", "CASME2*RAW*"), "sub{subject}", "img{frame}.jpg", r"img([0-9]+)\.jpe?g"),
}


class CASME2(DatasetPlugin):
    """Reads the sheet and the frames that the licence holder receives: the vendor's crops, or the raw frames."""

    name: ClassVar[str] = "casme2"
    kind: ClassVar[str] = "clip-multilabel"
    paper: ClassVar[str] = "Yan et al., PLOS ONE 2014"
    aus: ClassVar[tuple[int, ...]] = (1, 2, 4, 7, 12, 14, 15, 17)
    fps: ClassVar[float] = 200.0
    layout: ClassVar[str] = "CASME2-coding-20190701.xlsx and Cropped/sub01/EP02_01f/reg_img46.jpg"

    images: Literal["cropped", "raw"] = Field("cropped", description="the vendor's face crops, or CASME2_RAW_selected")
    sheet: str = Field("", description="file name of the label sheet where the root holds several")
    accept_sheet: str = Field("", description="sha256 of a sheet to read although it is no published version")
    drop_empty: bool = Field(False, description="leave out clips that show none of the 8 AUs")

    def records(self) -> Iterator[ClipRecord]:
        yield from self._clips().records()

    def label_files(self) -> list[Path]:
        return self._clips().label_files()

    def published_totals(self) -> dict[str, tuple[int, int, dict[int, int]]]:
        return published_totals(__file__)

    def _clips(self) -> ClipSheet:
        return ClipSheet(
            dataset=self.name,
            root=self.root,
            aus=self.aus,
            names=r"CASME2-coding.*\.xlsx",
            digits=2,
            layouts=FRAMES,
            images=self.images,
            versions=read_versions(__file__),
            layout=self.layout,
            chosen=self.sheet,
            accepted=self.accept_sheet,
            drop_empty=self.drop_empty,
        )


@hookimpl
def auharness_dataset() -> type[DatasetPlugin]:
    return CASME2
