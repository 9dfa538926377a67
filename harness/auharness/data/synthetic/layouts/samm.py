"""SAMM's vendor layout: one FACS sheet below a preamble, and grey frames.

```
SAMM_Micro_FACS_Codes_v2.xlsx      13 rows of remarks, then the header, then one row per clip
Cropped/006/006_1_2/006_05562.jpg  grey, cropped to the face; subject and frame number of the recording
```

The rows of size `full` hold the published positives of the four kept AUs (159 clips); how the AUs go together, the
emotions and who shows what are ours. Five rows leave open which AU it was; what the face does there is what the meb
library chose: `(R6 or R12)+R15` shows 12 and 15, the alternatives with 14 show 14.
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

AUS = (2, 4, 7, 12)
"""AUs that benchmarks keep."""

SHEET = "SAMM_Micro_FACS_Codes_v2.xlsx"
HEADER = (
    "Subject",
    "Filename",
    "Inducement Code",
    "Onset Frame",
    "Apex Frame",
    "Offset Frame",
    "Duration",
    "Micro",
    "Action Units",
    "Estimated Emotion",
    "Objective Classes",
    "Notes",
)
PREAMBLE = 13
"""Rows above the header."""

CODES = (
    Code("1+2", "1 2", 7, "Surprise"),
    Code("1B+2C", "1 2", 2, "Surprise"),
    Code("2+5", "2 5", 1, "Surprise"),
    Code("2B", "2", 3, "Surprise"),
    Code("R2", "R2", 2, "Other"),
    Code("L2A", "L2", 2, "Other"),
    Code("2+4", "2 4", 1, "Anger"),
    Code("4", "4", 8, "Anger"),
    Code("4B", "4", 2, "Anger"),
    Code("4D+9B", "4 9", 1, "Disgust"),
    Code("4A/B", "4", 1, "Other"),
    Code("4+9", "4 9", 1, "Disgust"),
    Code("4+15", "4 15", 1, "Sadness"),
    Code("4+7", "4 7", 4, "Anger"),
    Code("4A+7B", "4 7", 2, "Anger"),
    Code("4+7+43", "4 7", 1, "Anger"),
    Code("4+7+9", "4 7 9", 1, "Disgust"),
    Code("7", "7", 16, "Anger"),
    Code("7B", "7", 8, "Anger"),
    Code("7A", "7", 4, "Other"),
    Code("7C", "7", 1, "Anger"),
    Code("L7", "L7", 2, "Other"),
    Code("7+15", "7 15", 1, "Fear"),
    Code("7+43", "7", 1, "Anger"),
    Code("ref(7B)+43", "7", 2, "Other"),
    Code("43", "", 2, "Other"),
    Code("T18", "", 1, "Other"),
    Code("B18", "", 1, "Other"),
    Code("1", "1", 2, "Fear"),
    Code("5", "5", 5, "Surprise"),
    Code("5B", "5", 2, "Surprise"),
    Code("1+5", "1 5", 1, "Fear"),
    Code("5+20", "5 20", 1, "Fear"),
    Code("20", "20", 2, "Fear"),
    Code("9", "9", 3, "Disgust"),
    Code("A9E", "9", 2, "Disgust"),
    Code("9+10", "9 10", 2, "Disgust"),
    Code("10", "10", 4, "Disgust"),
    Code("10A/B", "10", 1, "Disgust"),
    Code("15", "15", 3, "Sadness"),
    Code("R15", "R15", 1, "Sadness"),
    Code("17", "17", 4, "Other"),
    Code("17+24", "17 24", 1, "Anger"),
    Code("23", "23", 2, "Anger"),
    Code("24", "24", 1, "Anger"),
    Code("25", "25", 1, "Other"),
    Code("26", "26", 1, "Surprise"),
    Code("14", "14", 3, "Contempt"),
    Code("L14", "L14", 2, "Contempt"),
    Code("R14", "R14", 3, "Contempt"),
    Code("14B", "14", 1, "Contempt"),
    Code("L14+17", "L14 17", 1, "Contempt"),
    Code("L12 or L14", "L14", 1, "Contempt"),
    Code("R12 or R14", "R14", 1, "Contempt"),
    Code("R14A or 17A or 24A", "R14", 1, "Contempt"),
    Code("(R6 or R12)+R15", "R12 R15", 2, "Other"),
    Code("R12 + R15", "R12 R15", 1, "Other"),
    Code("12", "12", 7, "Happiness"),
    Code("12B", "12", 1, "Happiness"),
    Code("A12", "12", 2, "Happiness"),
    Code("L12", "L12", 3, "Happiness"),
    Code("A/L12", "L12", 1, "Happiness"),
    Code("R12", "R12", 4, "Happiness"),
    Code("R12+25", "R12 25", 1, "Happiness"),
    Code("6+12", "6 12", 3, "Happiness"),
    Code("7+12", "7 12", 1, "Happiness"),
    Code("7B+12", "7 12", 1, "Happiness"),
    Code("6+7+12", "6 7 12", 1, "Happiness"),
)
"""All texts of the sheet; those with the same AUs stand together."""

SIZES: Mapping[str, ClipSize] = {
    "tiny": ClipSize(
        150,
        180,
        subjects=6,
        longest=32,
        texts=("1B+2C", "2B", "4", "4A+7B", "7B", "L12", "R12 + R15", "6+12", "2+4", "L12 or L14", "9", "ref(7B)+43"),
    ),
    "small": ClipSize(150, 180, clips=100, longest=60),
    "full": ClipSize(300, 360),
}

_CORPUS = Corpus(
    dataset="samm",
    subjects=tuple(f"{number:03d}" for number in range(6, 38) if number not in (8, 27, 29)),
    codes=CODES,
    aus=AUS,
    lengths=(30, 78, 101),
    numbers=(200, 9000),
)
_STUDIO = Studio(dataset="samm", grey=True, strength=(0.14, 0.30))
_JPEG_QUALITY = 94
_OBJECTIVE = {"Happiness": 1, "Surprise": 2, "Anger": 3, "Disgust": 4, "Sadness": 5, "Fear": 6}
_OTHER = 7


def sizes() -> Mapping[str, ClipSize]:
    """Return the settings of every size by name."""
    return SIZES


def subjects(*, size: str) -> tuple[str, ...]:
    """Return the ids of this size, all 29 of `006` to `037` except in `tiny`; 008, 027 and 029 show no clip."""
    return _CORPUS.subjects[: SIZES[size].subjects]


def write_subject(root: Path, subject: str, *, size: str, seed: int) -> dict[str, int]:
    """Write the frames of one subject's clips and return sequences, frames and positives per AU."""
    own = _clips(size, seed)[subject]
    totals = {"sequences": len(own), "frames": 0} | {f"AU{au}": 0 for au in AUS}
    for clip in own:
        folder = root / "Cropped" / subject / _name(clip)
        frames = film_clip(clip, _STUDIO, width=SIZES[size].width, height=SIZES[size].height, seed=seed)
        for number, image in enumerate(frames, start=clip.first):
            _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
            write_file(folder / f"{subject}_{number:05d}.jpg", encoded.tobytes())
        totals["frames"] += clip.offset - clip.onset + 1
        for _, au in clip.code.actions:
            if au in AUS:
                totals[f"AU{au}"] += 1
    return totals


def write_shared(root: Path, subjects: Sequence[str], *, size: str, seed: int) -> None:
    """Write the sheet with the rows of these subjects."""
    remarks = ["Stand-in of the micro-movement coding: rendered faces, no person was recorded."]
    rows: list[Sequence[Cell]] = [remarks, *([None] for _ in range(PREAMBLE - 1)), HEADER]
    rows += [_row(clip) for subject in subjects for clip in _clips(size, seed)[subject]]
    write_file(root / SHEET, workbook(rows, title="MICRO ONLY"))


def _row(clip: Clip) -> Sequence[Cell]:
    name, emotion = _name(clip), clip.code.emotion
    moments = (clip.onset, clip.apex, clip.offset, clip.offset - clip.onset + 1)
    judged = (clip.code.text, emotion, _OBJECTIVE.get(emotion, _OTHER), None)
    return clip.subject, name, int(name.split("_")[1]), *moments, "Micro", *judged


@lru_cache(maxsize=2)
def _clips(size: str, seed: int) -> dict[str, list[Clip]]:
    return draw_clips(_CORPUS, size=SIZES[size], seed=seed)


def _name(clip: Clip) -> str:
    """Return the clip's folder, such as `006_1_2`: subject, stimulus and number."""
    return f"{clip.subject}_{clip.place // 2 + 1}_{clip.place % 2 * 2 + 1}"
