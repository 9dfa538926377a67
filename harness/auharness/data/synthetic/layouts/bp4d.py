"""BP4D's vendor layout: jpg folders, occurrence csv per sequence, and a landmark cache beside them.

```
2D+3D/F001/T1/0001.jpg            one still per frame
AUCoding/AU_OCC/F001_T1.csv       header "0" (frame number) and AU numbers; 0 absent, 1 present, 9 not coded
landmarks/F001/T1.npz             frame int32 [n], points float32 [n,68,2] in image pixels, valid bool [n]
```

The 27 AU columns are those of the vendor's files. Only the 12 AUs with published counts are coded here; the others
hold 9 although some of them can be seen. The vendor delivers feature points in another form; the npz is the form in
which a licence holder caches them.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from auharness.data.synthetic.film import film
from auharness.data.synthetic.layouts import write_file
from auharness.data.synthetic.published import sequence_counts
from auharness.data.synthetic.sizes import Size
from auharness.data.synthetic.takes import Performance, Stage, Take, draw_takes, perform

__all__ = ["COLUMNS", "NOT_CODED", "SIZES", "sizes", "subjects", "write_shared", "write_subject"]

COLUMNS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 27, 28, 30, 32, 38, 39)
"""AU columns of the occurrence files, in order."""

NOT_CODED = 9

SIZES: Mapping[str, Size] = {
    "tiny": Size(pixels=96, frames=2, tasks=("T1", "T2", "T7", "T8")),
    "small": Size(pixels=256, frames=10),
    "full": Size(pixels=256),
}

_STAGE = Stage(
    dataset="bp4d",
    fps=25.0,
    pose_spread=(10.0, 7.0, 6.0),
    distractors=((5, 0.06), (9, 0.05), (20, 0.05), (25, 0.30), (26, 0.08)),
)
_JPEG_QUALITY = 92


def sizes() -> Mapping[str, Size]:
    """Return the settings of every size by name."""
    return SIZES


def subjects(*, size: str) -> tuple[str, ...]:
    """Return all 41 official ids, F001-F023 and M001-M018; every size holds them all."""
    return tuple(sorted(set(sequence_counts("bp4d").subjects)))


def write_subject(root: Path, subject: str, *, size: str, seed: int, stem_width: int = 4) -> dict[str, int]:
    """Write the sequences of one subject and return sequences, frames and positives per AU.

    Args:
        root: dataset root.
        subject: official id.
        size: name in `SIZES`.
        seed: the stand-in's seed.
        stem_width: digits of the jpg names; copies of the vendor's data are seen with 4, 5 and without padding (1).
    """
    aus = sequence_counts("bp4d").aus
    totals = {"sequences": 0, "frames": 0} | {f"AU{au}": 0 for au in aus}
    for take in _takes(size, seed)[subject]:
        performance = perform(take, _STAGE, aus=aus, seed=seed)
        points = _write_images(root, take, performance, pixels=SIZES[size].pixels, seed=seed, stem_width=stem_width)
        _write_landmarks(root / "landmarks" / subject / f"{take.task}.npz", points)
        _write_occurrence(root / "AUCoding" / "AU_OCC" / f"{subject}_{take.task}.csv", performance.occurrence, aus=aus)
        totals["sequences"] += 1
        totals["frames"] += len(points)
        for au, positives in zip(aus, performance.occurrence.sum(axis=0), strict=True):
            totals[f"AU{au}"] += int(positives)
    return totals


def write_shared(root: Path, subjects: Sequence[str], *, size: str, seed: int) -> None:
    """Write nothing: each file belongs to one subject."""


@lru_cache(maxsize=1)
def _takes(size: str, seed: int) -> dict[str, list[Take]]:
    return draw_takes(sequence_counts("bp4d"), size=SIZES[size], seed=seed)


def _write_images(
    root: Path, take: Take, performance: Performance, *, pixels: int, seed: int, stem_width: int
) -> list[NDArray[np.float32]]:
    """Write the stills, numbered from 1, and return their landmarks."""
    folder = root / "2D+3D" / take.subject / take.task
    points = []
    frames = film(take, performance, domain="bp4d", pixels=pixels, seed=seed)
    for number, (image, landmarks) in enumerate(frames, start=1):
        _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        write_file(folder / f"{number:0{stem_width}d}.jpg", encoded.tobytes())
        points.append(landmarks)
    return points


def _write_landmarks(path: Path, points: list[NDArray[np.float32]]) -> None:
    buffer = io.BytesIO()
    np.savez(
        buffer,
        frame=np.arange(1, len(points) + 1, dtype=np.int32),
        points=np.stack(points).astype(np.float32),
        valid=np.ones(len(points), dtype=np.bool_),
    )
    write_file(path, buffer.getvalue())


def _write_occurrence(path: Path, occurrence: NDArray[np.bool_], *, aus: tuple[int, ...]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([0, *COLUMNS])
    for number, row in enumerate(occurrence.astype(int).tolist(), start=1):
        coded = dict(zip(aus, row, strict=True))
        writer.writerow([number, *(coded.get(au, NOT_CODED) for au in COLUMNS)])
    write_file(path, buffer.getvalue().encode("ascii"))
