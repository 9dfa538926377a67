"""Sizes of the stand-ins, and which frames of the vendor-length sequences the smaller ones keep."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Size", "kept_frames"]

_OFFSETS = 24  # candidate first frames per sequence


@dataclass(frozen=True)
class Size:
    """How much of the vendor's data a stand-in holds.

    Attributes:
        pixels: side of the square images.
        frames: frames kept per sequence; `None` keeps the vendor's number.
        tasks: tasks written per subject; empty where the dataset has none, or to keep all.
    """

    pixels: int
    frames: int | None = None
    tasks: tuple[str, ...] = ()


def kept_frames(
    tracks: Sequence[NDArray[np.bool_]], groups: Sequence[str], *, frames: int | None
) -> list[NDArray[np.int64]]:
    """Return which frames of every sequence are kept: evenly spaced, so that each group keeps the rates of the whole.

    Where the even spacing starts is chosen sequence by sequence: the start that brings the positives kept so far in the
    group closest to what the full tracks would give, with rare AUs weighing more (squared error over the expected
    number). Without this a rare AU can vanish from a whole test part.

    Args:
        tracks: per sequence, bool [frames, au].
        groups: the test part of each sequence.
        frames: frames to keep per sequence; `None` or more than there are keeps all.
    """
    owed: defaultdict[str, NDArray[np.float64]] = defaultdict(lambda: np.zeros(tracks[0].shape[1]))
    expected = _expected(tracks, groups, frames)
    kept = []
    for track, group in zip(tracks, groups, strict=True):
        length = len(track)
        count = length if frames is None else min(frames, length)
        step = length / count
        starts = (np.arange(_OFFSETS) + 0.5) / _OFFSETS * step
        options = (starts[:, None] + step * np.arange(count)).astype(np.int64).clip(max=length - 1)
        owed[group] = owed[group] + track.mean(axis=0) * count
        left = owed[group] - track[options].sum(axis=1)
        best = int(np.argmin((left**2 / expected[group]).sum(axis=1)))
        owed[group] = left[best]
        kept.append(options[best])
    return kept


def _expected(
    tracks: Sequence[NDArray[np.bool_]], groups: Sequence[str], frames: int | None
) -> dict[str, NDArray[np.float64]]:
    """Positives that each group should keep, at least a little, so that it can divide."""
    totals: dict[str, NDArray[np.float64]] = {}
    for track, group in zip(tracks, groups, strict=True):
        count = len(track) if frames is None else min(frames, len(track))
        totals[group] = totals.get(group, np.full(track.shape[1], 1e-3)) + track.mean(axis=0) * count
    return totals
