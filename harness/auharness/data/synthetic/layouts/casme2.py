"""CASME II's vendor layout: one coding sheet, and the vendor's crop of every frame.

```
CASME2-coding-20190701.xlsx        one row per clip; the columns 3 and 7 have no name
Cropped/sub01/EP02_01f/reg_img46.jpg   colour, 280 x 340; the number is the recording's
```

The rows of size `full` hold the published positives of the eight kept AUs (256 clips); how the AUs go together, the
emotions and who shows what are ours. An apex that the vendor did not code is `/`, as in 21 rows of the sheet.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import cv2

from auharness.data.synthetic.clip_film import Studio, film_clip
from auharness.data.synthetic.clips import Clip, ClipSize, Code, Corpus, draw_clips
from auharness.data.synthetic.layouts import write_file
from auharness.data.synthetic.workbook import Cell, workbook

__all__ = ["AUS", "CODES", "HEADER", "SHEET", "SIZES", "sizes", "subjects", "write_shared", "write_subject"]

AUS = (1, 2, 4, 7, 12, 14, 15, 17)
"""AUs that benchmarks keep."""

SHEET = "CASME2-coding-20190701.xlsx"
HEADER = (
    "Subject",
    "Filename",
    None,
    "OnsetFrame",
    "ApexFrame",
    "OffsetFrame",
    None,
    "Action Units",
    "Estimated Emotion",
)

CODES = (
    Code("1+2", "1 2", 12, "surprise"),
    Code("L1+L2", "L1 L2", 3, "surprise"),
    Code("1+2+25", "1 2 25", 2, "surprise"),
    Code("1+2+5", "1 2 5", 1, "surprise"),
    Code("1", "1", 5, "sadness"),
    Code("R1", "R1", 1, "fear"),
    Code("1+4", "1 4", 2, "sadness"),
    Code("2+4", "2 4", 1, "others"),
    Code("L2+4", "L2 4", 1, "others"),
    Code("L2+26+38", "L2 26", 1, "surprise"),
    Code("R2+15", "R2 15", 1, "others"),
    Code("15", "15", 4, "sadness"),
    Code("L15", "L15", 2, "repression"),
    Code("10+15", "10 15", 1, "disgust"),
    Code("4+15", "4 15", 2, "sadness"),
    Code("15+17", "15 17", 5, "repression"),
    Code("L15+17", "L15 17", 1, "repression"),
    Code("17", "17", 9, "repression"),
    Code("17+23", "17 23", 1, "repression"),
    Code("14+17", "14 17", 1, "repression"),
    Code("R14+17", "R14 17", 1, "repression"),
    Code("4+17", "4 17", 7, "others"),
    Code("4", "4", 60, "others"),
    Code("L4", "L4", 4, "others"),
    Code("R4", "R4", 3, "others"),
    Code("4+9", "4 9", 4, "disgust"),
    Code("4+L9", "4 L9", 2, "disgust"),
    Code("4+10", "4 10", 5, "disgust"),
    Code("4+R10", "4 R10", 3, "disgust"),
    Code("4+7", "4 7", 22, "disgust"),
    Code("4+L7", "4 L7", 2, "others"),
    Code("4+6+7", "4 6 7", 2, "others"),
    Code("4+7+9", "4 7 9", 2, "disgust"),
    Code("4+7+10", "4 7 10", 2, "disgust"),
    Code("7", "7", 5, "others"),
    Code("L7", "L7", 1, "others"),
    Code("R7", "R7", 1, "others"),
    Code("6+7", "6 7", 2, "others"),
    Code("?", "", 5, "others"),
    Code("6", "6", 2, "happiness"),
    Code("9", "9", 2, "disgust"),
    Code("L9", "L9", 1, "disgust"),
    Code("L10", "L10", 3, "disgust"),
    Code("4+L9+14", "4 L9 14", 2, "disgust"),
    Code("4+14", "4 14", 1, "others"),
    Code("14", "14", 8, "others"),
    Code("L14", "L14", 6, "others"),
    Code("R14", "R14", 6, "happiness"),
    Code("10+14", "10 14", 1, "disgust"),
    Code("14+25", "14 25", 1, "others"),
    Code("12", "12", 11, "happiness"),
    Code("L12", "L12", 6, "happiness"),
    Code("R12", "R12", 5, "happiness"),
    Code("6+12", "6 12", 7, "happiness"),
    Code("10+12", "10 12", 1, "happiness"),
    Code("12+25", "12 25", 1, "happiness"),
    Code("4+12", "4 12", 2, "others"),
    Code("4+L12", "4 L12", 1, "others"),
)
"""All texts of the sheet; those with the same AUs stand together."""

SIZES: Mapping[str, ClipSize] = {
    "tiny": ClipSize(
        140,
        170,
        subjects=6,
        longest=24,
        texts=("1+2", "L1+L2", "4", "4+7", "4+L7", "L12", "6+12", "R14", "4+L9+14", "15+17", "L15+17", "?"),
    ),
    "small": ClipSize(140, 170, clips=91, longest=60),
    "full": ClipSize(280, 340),
}

_CORPUS = Corpus(
    dataset="casme2",
    subjects=tuple(f"{number:02d}" for number in range(1, 27)),
    codes=CODES,
    aus=AUS,
    lengths=(24, 61, 141),
    numbers=(3, 250),
    apex_missing=21 / 256,
)
_STUDIO = Studio(dataset="casme2", grey=False, strength=(0.14, 0.30))
_JPEG_QUALITY = 92


def sizes() -> Mapping[str, ClipSize]:
    """Return the settings of every size by name."""
    return SIZES


def subjects(*, size: str) -> tuple[str, ...]:
    """Return the ids of this size, all of `01` to `26` except in `tiny`."""
    return _CORPUS.subjects[: SIZES[size].subjects]


def write_subject(root: Path, subject: str, *, size: str, seed: int) -> dict[str, int]:
    """Write the frames of one subject's clips and return sequences, frames and positives per AU."""
    own = _clips(size, seed)[subject]
    totals = {"sequences": len(own), "frames": 0} | {f"AU{au}": 0 for au in AUS}
    for clip in own:
        folder = root / "Cropped" / f"sub{subject}" / _name(clip)
        frames = film_clip(clip, _STUDIO, width=SIZES[size].width, height=SIZES[size].height, seed=seed)
        for number, image in enumerate(frames, start=clip.first):
            _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
            write_file(folder / f"reg_img{number}.jpg", encoded.tobytes())
        totals["frames"] += clip.offset - clip.onset + 1
        for _, au in clip.code.actions:
            if au in AUS:
                totals[f"AU{au}"] += 1
    return totals


def write_shared(root: Path, subjects: Sequence[str], *, size: str, seed: int) -> None:
    """Write the sheet with the rows of these subjects."""
    rows: list[Sequence[Cell]] = [HEADER]
    for subject in subjects:
        for clip in _clips(size, seed)[subject]:
            apex = clip.apex if clip.apex_coded else "/"
            moments = (clip.onset, apex, clip.offset)
            rows.append((int(subject), _name(clip), None, *moments, None, clip.code.text, clip.code.emotion))
    write_file(root / SHEET, workbook(rows, title="Sheet1"))


@lru_cache(maxsize=2)
def _clips(size: str, seed: int) -> dict[str, list[Clip]]:
    return draw_clips(_CORPUS, size=SIZES[size], seed=seed)


def _name(clip: Clip) -> str:
    """Return the clip's folder, such as `EP02_01f`: stimulus, number and, for some, another letter."""
    stimulus = (int(clip.subject) * 5 + clip.place * 3) % 19 + 1
    return f"EP{stimulus:02d}_{clip.place + 1:02d}{'f' if clip.place % 3 == 0 else ''}"
