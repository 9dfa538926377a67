"""The sound of recordings: 16 kHz mono, decoded once, cut by time.

```
sound/DATASET/KEY.npy      int16 [S], sample i is at i / 16,000 seconds; empty for a file without sound
```

Time zero is the beginning of the file's earliest stream, as of `FrameRecord.time_s`, so a sound that sets in later
begins with zeros.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from auharness.api import DatasetPlugin
from auharness.data.cache_root import cache_root
from auharness.data.decode import DECODERS
from auharness.data.npy import open_npy
from auharness.errors import DataError
from auharness.results.atomic import digest, write_with

__all__ = ["RATE", "SoundStore", "read_sound"]

RATE: Final = 16_000
"""Samples per second."""

_FULL_SCALE: Final = 2**15
# raised by any change that makes other samples from the same file
_RECIPE: Final = 1


def read_sound(path: Path) -> NDArray[np.int16]:
    """Return the sound of a file, `[S]` at `RATE`, channels averaged; empty where it has no audio stream.

    Samples stand where their time stamps say; a hole in the stream is silence.

    Raises:
        DataError: if the file is missing or FFmpeg cannot read it.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected a recording with sound, got no such file")
    try:
        with av.open(str(path)) as container:
            pieces = list(_pieces(container)) if container.streams.audio else []
    except av.error.FFmpegError as error:
        raise DataError(f"{path}: expected a recording that FFmpeg reads, got: {error.strerror}") from None
    samples = np.zeros(max((start + len(piece) for start, piece in pieces), default=0), np.int16)
    for start, piece in pieces:
        samples[max(start, 0) : max(start + len(piece), 0)] = piece[max(-start, 0) :]
    return samples


def _pieces(container: "av.container.InputContainer") -> Iterator[tuple[int, NDArray[np.int16]]]:
    """Yield the decoded pieces of the first audio stream with the place of their first sample."""
    stream = container.streams.audio[0]
    zero = (container.start_time or 0) / av.time_base
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    place = None
    for frame in container.decode(stream):
        if place is None and frame.time is not None:
            place = round((frame.time - zero) * RATE)
        for made in resampler.resample(frame):
            place = _placed(made, zero, place or 0)
            yield place, made.to_ndarray()[0]
            place += made.samples
    for made in resampler.resample(None):
        yield place or 0, made.to_ndarray()[0]
        place = (place or 0) + made.samples


def _placed(piece: "av.AudioFrame", zero: float, following: int) -> int:
    """Return where a piece begins: behind the last, unless its time stamp says that something is missing."""
    if piece.time is None:
        return following
    stamped = round((piece.time - zero) * RATE)
    # stamps are rounded to the clock of the file
    return stamped if abs(stamped - following) > RATE // 100 else following


class SoundStore:
    """The sounds of one dataset.

    Args:
        dataset: says which file holds the sound of a sequence.
        folder: where decoded sounds lie; default `sound/<dataset>` below `cache_root()`.
    """

    def __init__(self, dataset: DatasetPlugin, *, folder: Path | None = None) -> None:
        self.dataset = dataset
        self.folder = folder or cache_root() / "sound" / dataset.name

    def prepare(self, sequences: Iterable[str]) -> int:
        """Decode what is not there yet and return how many of the sequences have sound.

        Raises:
            DataError: as `read_sound`; all bad files are listed.
        """
        found, problems = 0, []
        for sequence in sequences:
            try:
                found += len(self._samples(sequence)) > 0
            except DataError as error:
                problems.append(str(error))
        if problems:
            raise DataError("\n".join(dict.fromkeys(problems)))
        return found

    def read(self, sequence: str, start_s: float, count: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return `count` samples from a time on: float32 in [-1, 1), and whether each is recorded sound.

        What lies before the beginning or behind the end, or has no sound at all, is 0.
        """
        samples = self._samples(sequence)
        start = round(start_s * RATE)
        valid = np.zeros(count, bool)
        valid[max(-start, 0) : max(len(samples) - start, 0)] = True
        made = np.zeros(count, np.float32)
        made[valid] = samples[max(start, 0) : max(start + count, 0)].astype(np.float32) / _FULL_SCALE
        return made, valid

    def _samples(self, sequence: str) -> NDArray[np.int16]:
        name = self.dataset.audio(sequence)
        return np.zeros(0, np.int16) if name is None else _opened(self.folder, self.dataset.root / name)


@lru_cache(maxsize=4096)
def _opened(folder: Path, path: Path) -> NDArray[np.int16]:
    """Open the decoded sound of a file as a memory map; decode it if need be."""
    if not path.is_file():
        raise DataError(f"{path}: expected a recording with sound, got no such file")
    stat = path.stat()
    key = digest([str(path.resolve()), stat.st_size, stat.st_mtime_ns, DECODERS, RATE, _RECIPE], 16)
    kept = folder / f"{key}.npy"
    if not kept.is_file():
        samples = read_sound(path)
        write_with(kept, lambda temporary: _save(temporary, samples))
    return open_npy(kept)


def _save(path: Path, samples: NDArray[np.int16]) -> None:
    with path.open("wb") as file:
        np.save(file, samples, allow_pickle=False)
