"""DISFA's vendor layout: two camera videos per subject, one intensity file per AU, one landmark file per frame.

```
Video_LeftCamera/LeftVideoSN001_comp.avi           20 frames per second
Video_RightCamera/RightVideoSN001_comp.avi         the same frames from another side
ActionUnit_Labels/SN001/SN001_au1.txt              lines "frame,intensity"; frames from 1, intensity 0-5
Landmark_Points/SN001/tmp_frame_lm/SN001_0000_lm.mat   key `pts`, 66 x 2, left camera; frames from 0
```

Image 0 goes with label line 1. An AU is present at intensity 2 and above. The 66 points are the 68 without the inner
mouth corners.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from auharness.data.synthetic.film import film
from auharness.data.synthetic.layouts import write_file
from auharness.data.synthetic.motion import PRESENT_FROM, named_rng
from auharness.data.synthetic.published import PublishedCounts, sequence_counts
from auharness.data.synthetic.sizes import Size
from auharness.data.synthetic.takes import Stage, Take, draw_takes, perform

__all__ = ["AUS", "SIZES", "sizes", "subjects", "write_shared", "write_subject"]

AUS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
"""AUs with an intensity file, in order."""

SIZES: Mapping[str, Size] = {
    "tiny": Size(pixels=96, frames=6),
    "small": Size(pixels=256, frames=80),
    "full": Size(pixels=256),
}

_FPS = 20
_STAGE = Stage(
    dataset="disfa",
    fps=float(_FPS),
    pose_spread=(6.0, 5.0, 4.0),
    distractors=((7, 0.10), (10, 0.06), (14, 0.10), (23, 0.04)),
)
_CAMERAS = {"Left": -6.0, "Right": 9.0}  # degrees by which each camera sees the face turned
_INNER_MOUTH_CORNERS = (60, 64)
_INTENSITY_EDGES = (0.12, PRESENT_FROM, 0.5, 0.7, 0.86)  # visible intensity at which intensities 1..5 begin
# the four AUs that benchmarks leave out have no published counts: rates and mean lengths (frames) are set here
_UNPUBLISHED = {5: (0.015, 25), 15: (0.03, 40), 17: (0.06, 45), 20: (0.025, 40)}


def sizes() -> Mapping[str, Size]:
    """Return the settings of every size by name."""
    return SIZES


def subjects(*, size: str) -> tuple[str, ...]:
    """Return all 27 official ids (SN014, 015, 019, 020 and 022 do not exist); every size holds them all."""
    return tuple(sorted(sequence_counts("disfa").subjects))


def write_subject(root: Path, subject: str, *, size: str, seed: int) -> dict[str, int]:
    """Write the videos, intensities and landmarks of one subject; return sequences, frames and positives per AU."""
    (take,) = _takes(size, seed)[subject]
    performance = perform(take, _STAGE, aus=AUS, seed=seed)
    for camera, turned_by in _CAMERAS.items():
        frames = film(
            take,
            performance,
            domain="disfa",
            pixels=SIZES[size].pixels,
            seed=seed,
            camera=camera,
            turned_by=turned_by,
        )
        points: list[NDArray[np.float32]] = []
        video = root / f"Video_{camera}Camera" / f"{camera}Video{subject}_comp.avi"
        _write_video(video, frames, points, pixels=SIZES[size].pixels)
        if camera == "Left":
            _write_landmarks(root / "Landmark_Points" / subject / "tmp_frame_lm", subject, points)
    levels = np.digitize(performance.intensity, _INTENSITY_EDGES)
    for column, au in enumerate(AUS):
        lines = "".join(f"{frame},{level}\n" for frame, level in enumerate(levels[:, column].tolist(), start=1))
        write_file(root / "ActionUnit_Labels" / subject / f"{subject}_au{au}.txt", lines.encode("ascii"))
    positives = {f"AU{au}": int((levels[:, column] >= 2).sum()) for column, au in enumerate(AUS)}
    return {"sequences": 1, "frames": len(levels)} | positives


def write_shared(root: Path, subjects: Sequence[str], *, size: str, seed: int) -> None:
    """Write nothing: each file belongs to one subject."""


@lru_cache(maxsize=1)
def _takes(size: str, seed: int) -> dict[str, list[Take]]:
    return draw_takes(_with_unpublished(sequence_counts("disfa"), seed=seed), size=SIZES[size], seed=seed)


def _with_unpublished(counts: PublishedCounts, *, seed: int) -> PublishedCounts:
    """Add the AUs without published counts, independent of the others, and put all in the vendor's order."""
    rng = named_rng(seed, "disfa", "unpublished")
    columns = dict(zip(counts.aus, counts.positives.T, strict=True))
    runs = dict(zip(counts.aus, counts.runs.tolist(), strict=True))
    for au, (rate, length) in _UNPUBLISHED.items():
        by_subject = np.minimum(rng.gamma(1.0, rate, len(counts.frames)), 0.5)
        columns[au] = np.round(by_subject * counts.frames).astype(np.int64)
        runs[au] = max(1, round(int(columns[au].sum()) / length))
    positives = np.stack([columns[au] for au in AUS], axis=1)
    rates = positives / counts.frames[:, None]
    together = np.rint(np.einsum("sa,sb,s->ab", rates, rates, counts.frames)).astype(np.int64)
    published = [AUS.index(au) for au in counts.aus]
    together[np.ix_(published, published)] = counts.together
    return replace(
        counts, aus=AUS, positives=positives, together=together, runs=np.array([runs[au] for au in AUS], dtype=np.int64)
    )


def _write_video(
    path: Path,
    frames: Iterable[tuple[NDArray[np.uint8], NDArray[np.float32]]],
    points: list[NDArray[np.float32]],
    *,
    pixels: int,
) -> None:
    """Encode the frames as they come, never all in memory; their landmarks are added to `points`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="avi", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mpeg4", rate=_FPS, options={"qmin": "2", "qmax": "4", "flags": "+bitexact"})
        stream.width = stream.height = pixels
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for image, landmarks in frames:
            points.append(landmarks)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def _write_landmarks(folder: Path, subject: str, points: list[NDArray[np.float32]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, landmarks in enumerate(points):
        path = folder / f"{subject}_{index:04d}_lm.mat"
        savemat(path, {"pts": np.delete(landmarks, _INNER_MOUTH_CORNERS, axis=0).astype(np.float64)})
        with path.open("r+b") as file:
            # the first 116 bytes are free text, in which scipy writes the time of day
            file.write(b"MATLAB 5.0 MAT-file".ljust(116))
