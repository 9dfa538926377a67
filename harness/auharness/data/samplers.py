"""Which frames of a clip a model sees.

A sampler is given the generator of the training variation, or None where frames are fixed: in tests, and in training
with `augment.temporal_jitter` off. Left unset, that switch follows `VARIED`: drawing a frame in every segment is what
the segment samplers are, while the others choose the same frames everywhere.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["SAMPLERS", "VARIED", "Indices", "dfer_clip", "former_dfer", "linspace", "uniform"]

Indices = NDArray[np.int64]


def uniform(length: int, count: int, jitter: torch.Generator | None = None) -> Indices:
    """Return `round(linspace(0, last, count))`, half to even; `last` is the last frame.

    With `jitter` the last index is drawn from [count, length - 2] instead, so that a training clip always begins at
    its first frame and ends early (AU-LLM, released code); a clip too short for that is read whole.

    >>> uniform(24, 6).tolist()
    [0, 5, 9, 14, 18, 23]
    >>> uniform(4, 6).tolist()
    [0, 1, 1, 2, 2, 3]
    """
    last = length - 1
    if jitter is not None and length - 2 >= count:
        last = int(torch.randint(count, length - 1, (1,), generator=jitter))
    return np.linspace(0, last, count).round().astype(np.int64)


def linspace(length: int, count: int, jitter: torch.Generator | None = None) -> Indices:
    """Return `floor(linspace(0, length - 1, count))`; a shorter clip repeats its last frame.

    With `jitter`, any `count` different frames in their order (the code that DFEW was published with, which reads a
    shorter clip in a circle instead).

    >>> linspace(24, 6).tolist()
    [0, 4, 9, 13, 18, 23]
    """
    if length < count:
        return _padded(length, count)
    if jitter is not None:
        return torch.randperm(length, generator=jitter)[:count].sort().values.numpy()
    # whole numbers: a division in floating point may end just below the next index
    return np.arange(count, dtype=np.int64) * (length - 1) // max(count - 1, 1)


def dfer_clip(length: int, count: int, jitter: torch.Generator | None = None) -> Indices:
    """Return the middle frame of each of `count` segments; a shorter clip repeats its last frame.

    The middle is `int(tick / 2 + tick i)`, tick = length / count. With `jitter`, one random frame per segment of
    `length // count` frames, counted from the first frame: the remainder at the end is never drawn (DFER-CLIP,
    released code).

    >>> dfer_clip(24, 6).tolist()
    [2, 6, 10, 14, 18, 22]
    """
    return _padded(length, count) if length < count else _segments(length, count, jitter)


def former_dfer(length: int, count: int, jitter: torch.Generator | None = None) -> Indices:
    """Return two neighbouring frames in each of `count / 2` segments; a shorter clip repeats its last frame.

    As `dfer_clip`, of the `length - 1` places where a pair can begin (Former-DFER). The released code leaves clips
    with fewer than 16 frames out, and would repeat the first frame of the shortest.

    >>> former_dfer(24, 6).tolist()
    [3, 4, 11, 12, 19, 20]

    Raises:
        ValueError: if `count` is odd.
    """
    if count % 2:
        raise ValueError(f"former_dfer reads pairs: expected an even count, got {count}")
    if length < count:
        return _padded(length, count)
    return (_segments(length - 1, count // 2, jitter)[:, None] + np.arange(2)).reshape(-1)


def _segments(length: int, count: int, jitter: torch.Generator | None) -> Indices:
    """Return the middle of each segment, or with `jitter` a random place in it."""
    segment = np.arange(count, dtype=np.int64)
    if jitter is None:
        return (2 * segment + 1) * length // (2 * count)
    average = length // count
    return segment * average + torch.randint(average, (count,), generator=jitter).numpy()


def _padded(length: int, count: int) -> Indices:
    return np.arange(count, dtype=np.int64).clip(max=length - 1)


SAMPLERS: Final[Mapping[str, Callable[[int, int, torch.Generator | None], Indices]]] = MappingProxyType(
    {"uniform": uniform, "linspace": linspace, "dfer-clip": dfer_clip, "former-dfer": former_dfer}
)
"""Sampler by name: `(frames in the clip, frames wanted, generator of the training variation or None) -> indices`."""

VARIED: Final = frozenset({"dfer-clip", "former-dfer"})
"""Samplers whose training frames vary unless `augment.temporal_jitter` is off."""
