"""The file that the AU track of the ABAW competitions asks for: one line per listed image, 0 or 1 for each AU.

The vendor's example lists the images of all test videos, also those without a face. Every line must be answered, in the
given order: the evaluation compares by place.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auharness.errors import DataError
from auharness.results.atomic import write_bytes

__all__ = ["Answered", "ImageList", "answer_list", "read_list"]

IMAGE = re.compile(r"(.+)/(\d+)\.(?:jpg|png)", re.IGNORECASE)
LOCATION = "image_location"
SHOWN = 5
"""Names in a message."""


@dataclass(frozen=True)
class ImageList:
    """The images to be answered, in the order of the file."""

    path: Path
    locations: tuple[str, ...]
    """As written: `video/00001.jpg`."""
    videos: NDArray[np.str_]
    """`[n]`."""
    frames: NDArray[np.int64]
    """`[n]`."""


@dataclass(frozen=True)
class Answered:
    """What was written."""

    n_rows: int
    n_videos: int
    n_nearest: int
    """Rows without a prediction of their own, answered like the nearest frame of the video."""


def read_list(path: Path, columns: Sequence[str]) -> ImageList:
    """Read the vendor's example; what it holds beside the images is filling.

    Args:
        path: comma-separated, with the header `image_location,AU1,...`.
        columns: AUs that the header must name, in order.

    Raises:
        DataError: if the header is another one, a line is no image, or an image is listed twice.
    """
    try:
        header, *lines = path.read_text(encoding="utf-8-sig").splitlines() or [""]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected the list of test images: {error}") from None
    expected = ",".join((LOCATION, *columns))
    if ",".join(cell.strip() for cell in header.split(",")) != expected:
        raise DataError(f"{path}: expected the header {expected}, got {header or 'an empty file'}")
    locations = [line.partition(",")[0].strip() for line in lines]
    while locations and not locations[-1]:
        locations.pop()
    found = [IMAGE.fullmatch(location) for location in locations]
    bad = next((row for row, match in enumerate(found) if match is None), None)
    if bad is not None:
        raise DataError(f"{path}: line {bad + 2} is {locations[bad]!r}, expected an image such as video/00001.jpg")
    matches = [match for match in found if match is not None]
    if not matches:
        raise DataError(f"{path}: expected images, got the header alone")
    twice = np.flatnonzero(pd.Series(locations).duplicated().to_numpy())
    if len(twice):
        raise DataError(f"{path}: line {twice[0] + 2} lists {locations[twice[0]]} again ({len(twice)} such lines)")
    videos = np.array([match[1] for match in matches])
    return ImageList(path, tuple(locations), videos, np.array([int(match[2]) for match in matches]))


def answer_list(listed: ImageList, predictions: pd.DataFrame, columns: Sequence[str], out: Path) -> Answered:
    """Write the answer to every listed image, in the list's order.

    Args:
        listed: from `read_list`.
        predictions: `sample_id` (`dataset/video/frame`) and a decision, True or False, per column.
        columns: AUs in the list's order.
        out: the csv file.

    Raises:
        DataError: if a listed video has no prediction at all; nothing is written then.
    """
    parts = predictions["sample_id"].str.rpartition("/")
    videos = parts[0].str.partition("/")[2].to_numpy(str)
    frames, said = parts[2].to_numpy(np.int64), predictions[list(columns)].to_numpy(bool)
    _check_videos(listed, set(videos))
    answers = np.zeros((len(listed.frames), len(columns)), np.int8)
    n_nearest = 0
    # by group, as there may be 700,000 rows in 141 videos
    known, wanted = _rows_by_video(videos), _rows_by_video(listed.videos)
    for video, rows in wanted.items():
        own = known[video][np.argsort(frames[known[video]], kind="stable")]
        nearest = own[_nearest(frames[own], listed.frames[rows])]
        answers[rows] = said[nearest]
        n_nearest += int((frames[nearest] != listed.frames[rows]).sum())
    lines = [",".join((LOCATION, *columns))]
    lines += [f"{name},{','.join(map(str, row))}" for name, row in zip(listed.locations, answers.tolist(), strict=True)]
    write_bytes(out, ("\n".join(lines) + "\n").encode())
    return Answered(len(answers), len(set(listed.videos.tolist())), n_nearest)


def _rows_by_video(videos: NDArray[np.str_]) -> dict[str, NDArray[np.int64]]:
    names, member = np.unique(videos, return_inverse=True)
    order = np.argsort(member, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(member, minlength=len(names)))[:-1])
    return {str(name): rows for name, rows in zip(names, parts, strict=True)}


def _check_videos(listed: ImageList, predicted: set[str]) -> None:
    names, counts = np.unique(listed.videos, return_counts=True)
    missing = [(str(name), int(count)) for name, count in zip(names, counts, strict=True) if name not in predicted]
    if missing:
        shown = ", ".join(name for name, _ in missing[:SHOWN]) + (", ..." if len(missing) > SHOWN else "")
        raise DataError(
            f"{listed.path}: {len(missing)} of {len(names)} listed videos have no prediction ({shown}), which is "
            f"{sum(count for _, count in missing):,} of {len(listed.frames):,} rows; unpack their crops and have this "
            "list below the data root"
        )


def _nearest(known: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places in ascending `known` that are nearest to those wanted; of two, the earlier."""
    behind = np.searchsorted(known, wanted).clip(max=len(known) - 1)
    before = (behind - (known[behind] > wanted)).clip(min=0)
    return np.where(np.abs(known[before] - wanted) <= np.abs(known[behind] - wanted), before, behind)
