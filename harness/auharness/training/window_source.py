"""Windows of consecutive frames of a recording as batches: for models that read a sequence and answer for each frame.

A recording has a place for every frame number from its first row to its last. A number without a row is shown as the
nearest row's crop and is not coded, so that the distances between frames stay what they were.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
import torch
from torch import Tensor

from auharness.api import Augment, Batch, Preprocess
from auharness.data.cache import CropCache
from auharness.data.kept_frames import KeptStore
from auharness.data.sound import RATE, SoundStore
from auharness.training.augment import augmented, plain
from auharness.training.source import CropSource, Rows

__all__ = ["MARGIN_S", "WindowSource", "window_starts"]

MARGIN_S: Final = 0.5
"""Seconds of sound before the first frame of a window and behind its last."""
_CLIP: Final = ("clip", "landmarks", "landmarks_valid")


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """Return where windows begin that cover `length` places; the last one ends with the last place.

    >>> window_starts(10, 4, 3)
    [0, 3, 6]
    >>> window_starts(11, 4, 3)
    [0, 3, 6, 7]
    >>> window_starts(3, 4, 3)
    [0]
    """
    last = max(length - window, 0)
    return [*range(0, last, stride), last]


@dataclass(frozen=True, slots=True)
class _Recording:
    """The places of one recording, one per frame number."""

    row: np.ndarray
    """`[n]` row of the source at each place, -1 where the number has none."""
    shown: np.ndarray
    """`[n]` row whose crop is shown there."""
    time_s: np.ndarray
    """`[n]` seconds since frame 0, or since the beginning of the recording where the data say so."""

    def longest(self, window: int) -> float:
        """Seconds from the first frame of a window to its last, in the longest."""
        last = np.minimum(np.arange(len(self.time_s)) + window, len(self.time_s)) - 1
        return float((self.time_s[last] - self.time_s).max())


class WindowSource(CropSource):
    """Batches of windows: `clip [B,T,C,H,W]`, `landmarks [B,T,68,2]`, `time_s [B,T]`, `target [B,T,A]`.

    A sample of a batch is a window. Without a generator the windows lie `preprocess.stride` frames apart, and `gather`
    averages what they say of a frame; with one an epoch is `augment.windows` windows of each recording, drawn anew.
    A recording shorter than a window repeats its last frame, not coded.

    With `kept`, `clip` holds what was made of each frame, `[B,T,*shape]` float16, and nothing is varied.

    With `sounds` there are also `audio [B,S]` (16 kHz, in [-1, 1)), `audio_valid [B,S]` (False where nothing is
    recorded; 0 there) and `frame_s [B,T]`, the time of each frame in that sound. It begins `MARGIN_S` before the first
    frame; S is the same for all windows and reaches `MARGIN_S` behind the last frame of the longest.
    """

    def __init__(
        self,
        rows: Rows,
        caches: dict[str, CropCache],
        *,
        targets: np.ndarray | None,
        preprocess: Preprocess,
        augment: Augment,
        sounds: Mapping[str, SoundStore] | None = None,
        kept: Mapping[str, KeptStore] | None = None,
    ) -> None:
        super().__init__(rows, caches, targets=targets, preprocess=preprocess, augment=augment)
        self._sounds, self._kept = sounds, kept
        self._opened: dict[int, np.ndarray] = {}
        longest = max(recording.longest(preprocess.frames) for recording in self._recordings)
        self._samples = math.ceil((longest + 2 * MARGIN_S) * RATE)

    def __len__(self) -> int:
        """Windows of one epoch."""
        return len(self._recordings) * self.augment.windows

    @property
    def views(self) -> np.ndarray:
        """`[N]`: in how many windows each row lies."""
        row = self.window_rows
        return np.bincount(row[row >= 0], minlength=len(self.rows))

    @property
    def window_rows(self) -> np.ndarray:
        """`[W,T]`: the row at each place of the windows that `batches` yields without a generator, -1 for none."""
        return np.stack([self._places(*window)[0] for window in self._windows])

    def windows(self, which: np.ndarray, *, device: torch.device | None = None) -> Batch:
        """Return the batch of some of these windows, by their numbers."""
        return self._batch(which, None, device)

    def crops(self, which: np.ndarray) -> np.ndarray:
        """Return the cached crops of some rows, `[n,R,R,3]` uint8."""
        return np.stack([self._images[file][row] for file, row in self._place[which]])

    def gather(self, scores: Tensor) -> Tensor:
        """Average what the windows say of each row: `[W,T,A]`, in the order of `batches`, to `[N,A]`."""
        sums = scores.new_zeros(len(self.rows), scores.shape[-1], dtype=torch.float64)
        for row, values in zip(self.window_rows, scores, strict=True):
            inside = torch.from_numpy(np.flatnonzero(row >= 0))
            sums.index_add_(0, torch.from_numpy(row)[inside], values[inside].double())
        return (sums / torch.from_numpy(self.views)[:, None]).to(scores.dtype)

    def _order(self, seed: int | None) -> Tensor:
        if seed is None:
            return torch.arange(len(self._windows))
        return super()._order(seed)

    def _batch(self, which: np.ndarray, generator: torch.Generator | None, device: torch.device | None) -> Batch:
        windows = [self._windows[i] if generator is None else self._drawn(i, generator) for i in which]
        places = [self._places(*window) for window in windows]
        shown = np.stack([shown for _, shown, _ in places])
        batch = self._clip(shown, generator) if self._kept is None else self._kept_clip(self._kept, shown, device)
        time_s = np.stack([times for *_, times in places])
        batch["time_s"] = torch.from_numpy(time_s)
        first = shown[:, 0].tolist()
        if self._sounds is not None:
            batch |= self._sound(self._sounds, first, time_s)
        if self._targets is not None:
            row = torch.from_numpy(np.stack([row for row, *_ in places]))
            batch["target"] = self._targets[row].masked_fill(row[..., None] < 0, -1)
        if device is not None:
            batch = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
        batch["sample_id"] = [self.rows.sample_ids[i] for i in first]
        batch["subject"] = [self.rows.subjects[i] for i in first]
        return batch

    def _drawn(self, sample: int, generator: torch.Generator) -> tuple[int, int]:
        """A random window of the recording that this sample of an epoch stands for."""
        number = int(sample) % len(self._recordings)
        last = max(len(self._recordings[number].row) - self.preprocess.frames, 0)
        return number, int(torch.randint(0, last + 1, (1,), generator=generator))

    def _places(self, number: int, start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return row (-1 for none), shown row and time of the frames of a window, each `[T]`."""
        recording = self._recordings[number]
        wanted = np.arange(start, start + self.preprocess.frames)
        inside = np.minimum(wanted, len(recording.row) - 1)
        row = np.where(wanted == inside, recording.row[inside], -1)
        return row, recording.shown[inside], recording.time_s[inside]

    def _clip(self, shown: np.ndarray, generator: torch.Generator | None) -> Batch:
        """Return crops and landmarks of rows `[B,T]`, the frames of a window varied alike."""
        images = torch.from_numpy(self.crops(shown.ravel()))
        marks, valid = self._marks(shown)
        if generator is None:
            clip, points = plain(images, marks, self.preprocess)
        else:
            kinds = {"augment": self.augment, "generator": generator, "alike": shown.shape[1]}
            clip, points = augmented(images, marks, self.preprocess, **kinds)
        return {name: _by_window(x, shown) for name, x in zip(_CLIP, (clip, points, valid), strict=True)}

    def _kept_clip(self, kept: Mapping[str, KeptStore], shown: np.ndarray, device: torch.device | None) -> Batch:
        """Return what was kept of rows `[B,T]`, and their landmarks in the middle of the crop."""
        clip = []
        for row, (file, place) in zip(shown.ravel(), self._place[shown.ravel()], strict=True):
            if file not in self._opened:
                store = kept[self.rows.datasets[row]]
                self._opened[file] = store.sequence(self.rows.sequences[row], device=device)
            clip.append(self._opened[file][place])
        marks, valid = self._marks(shown)
        points = marks - (self.preprocess.resize - self.preprocess.crop) // 2
        values = torch.from_numpy(np.stack(clip))
        return {name: _by_window(x, shown) for name, x in zip(_CLIP, (values, points, valid), strict=True)}

    def _marks(self, shown: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return landmarks in the crops of the cache, `[B*T,68,2]`, and whether a face was found, `[B*T]`."""
        pixels = self._place[shown.ravel()]
        marks = torch.from_numpy(np.stack([self._landmarks[file][row] for file, row in pixels]).astype(np.float32))
        return marks, torch.tensor([bool(self._valid[file][row]) for file, row in pixels])

    def _sound(self, sounds: Mapping[str, SoundStore], rows: list[int], time_s: np.ndarray) -> Batch:
        """Return the sound of windows by a row of each and the times `[B,T]` of their frames."""
        starts = time_s[:, 0] - MARGIN_S
        read = [
            sounds[self.rows.datasets[row]].read(self.rows.sequences[row], start, self._samples)
            for row, start in zip(rows, starts.tolist(), strict=True)
        ]
        audio, valid = (torch.from_numpy(np.stack(parts)) for parts in zip(*read, strict=True))
        return {"audio": audio, "audio_valid": valid, "frame_s": torch.from_numpy(time_s - starts[:, None]).float()}

    def _locate(self, caches: dict[str, CropCache]) -> None:
        super()._locate(caches)
        keys = list(zip(self.rows.datasets, self.rows.sequences, strict=True))
        ordered = sorted(range(len(keys)), key=lambda i: (keys[i], int(self.rows.frames[i])))
        self._recordings = [self._recording(np.array(list(rows))) for _, rows in groupby(ordered, key=keys.__getitem__)]
        stride = self.preprocess.stride or max(1, self.preprocess.frames // 2)
        self._windows = [
            (number, start)
            for number, recording in enumerate(self._recordings)
            for start in window_starts(len(recording.row), self.preprocess.frames, stride)
        ]

    def _recording(self, rows: np.ndarray) -> _Recording:
        frames = self.rows.frames[rows]
        numbers = np.arange(frames[0], frames[-1] + 1)
        behind = np.searchsorted(frames, numbers).clip(max=len(frames) - 1)
        before = np.maximum(behind - (frames[behind] > numbers), 0)
        nearest = np.where(numbers - frames[before] <= frames[behind] - numbers, before, behind)
        nearest = np.where(frames[behind] == numbers, behind, nearest)
        row = np.where(frames[nearest] == numbers, rows[nearest], -1)
        return _Recording(row, rows[nearest], np.interp(numbers, frames, self.rows.time_s[rows]))


def _by_window(x: Tensor, shown: np.ndarray) -> Tensor:
    """`[B*T,...]` to `[B,T,...]`."""
    return x.unflatten(0, shown.shape)  # type: ignore[no-untyped-call]  # torch leaves it untyped
