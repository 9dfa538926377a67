"""SAMM: spontaneous micro-expressions of 29 subjects at 200 frames per second in grey, AUs coded per clip.

Davison et al., SAMM: a spontaneous micro-facial movement dataset, IEEE Transactions on Affective Computing 2018. Of
32 recorded people the sheet holds the micro-expressions of 29, so there are 29 folds and not 32.

Decisions where sheets and loaders differ:
- the header stands below 13 rows of text and is found by its names;
- five rows leave an alternative open; the default `or_policy` takes what the meb library chose by optical flow, and the
  default `ref_policy` counts what stands in `ref()`: AU12 has 28 positives (26 to 30 under other policies) and AU7 46
  (44). AU2 (18) and AU4 (23) do not depend on them;
- a clip is every frame from onset to offset, both included; the apex is not read, so a missing one does not matter;
- a row with none of the 4 AUs is a clip without any AU and stays (`drop_empty` leaves it out);
- the vendor hands out full frames; `images = "cropped"` reads your own crops from `Cropped/`, with the same names;
- the meb library corrects one offset and fills three apexes by row position. Loaders disagree on that offset (5739 or
  5793), and its key and old value are not published, so it is not corrected here; `patches.csv` in the root
  (subject,filename,field,old,new) corrects cells.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from auharness.api import DatasetPlugin
from auharness.data.au_notation import OrPolicy, RefPolicy, parse_aus
from auharness.data.clip_sheet import ClipSheet, FrameLayout
from auharness.data.sheets import published_totals, read_versions
from auharness.hookspecs import hookimpl
from auharness.records import ClipRecord

IMAGES = ("{subject}", "{subject}_{frame:05d}.jpg", r"[0-9]+_([0-9]+)\.jpe?g")
FRAMES: Mapping[str, FrameLayout] = {
    "raw": FrameLayout(("SAMM",), *IMAGES),
    "cropped": FrameLayout(("Cropped", "SAMM*Crop*"), *IMAGES),
}


class SAMM(DatasetPlugin):
    """Reads the sheet and the frames that the licence holder receives."""

    name: ClassVar[str] = "samm"
    kind: ClassVar[str] = "clip-multilabel"
    paper: ClassVar[str] = "Davison et al., IEEE Transactions on Affective Computing 2018"
    aus: ClassVar[tuple[int, ...]] = (2, 4, 7, 12)
    fps: ClassVar[float] = 200.0
    layout: ClassVar[str] = (
        "SAMM_Micro_FACS_Codes_v2.xlsx and face crops such as Cropped/006/006_1_2/006_05562.jpg, or with "
        "--set data.samm.images=raw the vendor's full frames in SAMM/006/006_1_2"
    )

    images: Literal["raw", "cropped"] = Field(
        "cropped", description="your face crops in Cropped/, or the vendor's full frames in SAMM/ (raw)"
    )
    or_policy: OrPolicy = Field("meb", description="which alternative of `L12 or L14` counts")
    ref_policy: RefPolicy = Field("keep", description="whether the AU of `ref(7B)` counts")
    sheet: str = Field("", description="file name of the label sheet where the root holds several")
    accept_sheet: str = Field("", description="sha256 of a sheet to read although it is no published version")
    drop_empty: bool = Field(False, description="leave out clips that show none of the 4 AUs")

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
            names=r"SAMM_Micro_FACS_Codes.*\.xlsx",
            digits=3,
            layouts=FRAMES,
            images=self.images,
            versions=read_versions(__file__),
            layout=self.layout,
            parse=partial(parse_aus, or_policy=self.or_policy, ref_policy=self.ref_policy),
            chosen=self.sheet,
            accepted=self.accept_sheet,
            drop_empty=self.drop_empty,
        )


@hookimpl
def auharness_dataset() -> type[DatasetPlugin]:
    return SAMM
