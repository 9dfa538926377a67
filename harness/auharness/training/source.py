"""Rows of the crop cache as batches: memory-mapped, in row order or shuffled by seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from auharness.api import Augment, Batch, Preprocess
from auharness.data.cache import CropCache
from auharness.data.crops import looks_for_face
from auharness.training.augment import augmented, plain
from auharness.training.seed import generator as seeded

__all__ = ["CropSource", "Rows"]


@dataclass(frozen=True, slots=True)
class Rows:
    """The samples of one part, column by column."""

    sample_ids: Sequence[str]
    subjects: Sequence[str]
    datasets: Sequence[str]
    sequences: Sequence[str]
    frames: np.ndarray
    """`[N]` vendor frame numbers; for clips `[N]` arrays of them, one per clip."""
    time_s: np.ndarray
    """`[N]` seconds since frame 0, of the first frame of a clip."""

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.sample_ids)

    def take(self, which: np.ndarray) -> "Rows":
        """Return the rows at these positions."""

        def pick(column: Sequence[str]) -> list[str]:
            return [column[i] for i in which]

        return Rows(
            sample_ids=pick(self.sample_ids),
            subjects=pick(self.subjects),
            datasets=pick(self.datasets),
            sequences=pick(self.sequences),
            frames=self.frames[which],
            time_s=self.time_s[which],
        )


class CropSource:
    """Batches of face crops; implements `auharness.api.BatchSource`.

    A source without targets (a test part during training and prediction) holds no label at all.
    """

    def __init__(
        self,
        rows: Rows,
        caches: dict[str, CropCache],
        *,
        targets: np.ndarray | None,
        preprocess: Preprocess,
        augment: Augment,
    ) -> None:
        self.rows = rows
        self.preprocess = preprocess
        self.augment = augment
        self._targets = None if targets is None else torch.from_numpy(np.ascontiguousarray(targets))
        self._images: list[np.ndarray] = []
        self._landmarks: list[np.ndarray] = []
        self._valid: list[np.ndarray] = []
        self._files: dict[tuple[str, str], tuple[int, dict[int, int]]] = {}
        self._locate(caches)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.rows)

    @property
    def targets(self) -> Tensor:
        """`[N,A]` int8, -1 = not coded."""
        if self._targets is None:
            raise LookupError("this part has no labels: a model never sees those of the test part")
        return self._targets

    @property
    def views(self) -> np.ndarray:
        """`[N]`: how many scores of each row `gather` averages."""
        return np.ones(len(self.rows), np.int64)

    @property
    def n_no_face(self) -> int:
        """Rows whose landmarks are the mean-shape fallback; 0 where no face is looked for."""
        looked = looks_for_face(self.preprocess.align, self.preprocess.landmarks)
        return self._count_fallbacks() if looked else 0

    def _count_fallbacks(self) -> int:
        return int(sum(not self._valid[file][row] for file, row in self._place))

    def batches(
        self, size: int, *, generator: torch.Generator | None = None, device: torch.device | None = None
    ) -> Iterator[Batch]:
        """Yield batches in row order, or shuffled and augmented when a generator is given.

        The generator is read once for a seed; every batch then has its own, so an epoch can be entered at any batch.
        """
        seed = None if generator is None else int(torch.randint(2**62, (1,), generator=generator))
        yield from self.batches_from(size, seed=seed, start=0, device=device)

    def batches_from(
        self, size: int, *, seed: int | None, start: int, device: torch.device | None = None
    ) -> Iterator[Batch]:
        """Yield the batches of an epoch from batch number `start` on."""
        for number, which in enumerate(torch.split(self._order(seed), size)):
            if number >= start:
                yield self._batch(which.numpy(), None if seed is None else seeded(seed, number), device)

    def gather(self, scores: Tensor) -> Tensor:
        """Return scores `[N,A]` in row order from those of all batches in order; here they are the same."""
        return scores

    def _order(self, seed: int | None) -> Tensor:
        """Return the samples of an epoch in the order of its batches."""
        return torch.arange(len(self)) if seed is None else torch.randperm(len(self), generator=seeded(seed, "order"))

    def _batch(self, which: np.ndarray, generator: torch.Generator | None, device: torch.device | None) -> Batch:
        batch = self._pixels(which, generator)
        batch["time_s"] = torch.from_numpy(self.rows.time_s[which])
        if self._targets is not None:
            batch["target"] = self._targets[which]
        if device is not None:
            batch = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
        batch["sample_id"] = [self.rows.sample_ids[i] for i in which]
        batch["subject"] = [self.rows.subjects[i] for i in which]
        return batch

    def _pixels(self, which: np.ndarray, generator: torch.Generator | None) -> Batch:
        """Return the images and landmarks of some rows, varied where a generator is given."""
        places = self._place[which]
        images = torch.from_numpy(np.stack([self._images[file][row] for file, row in places]))
        landmarks = torch.from_numpy(np.stack([self._landmarks[file][row] for file, row in places]).astype(np.float32))
        if generator is None:
            image, points = plain(images, landmarks, self.preprocess)
        else:
            image, points = augmented(images, landmarks, self.preprocess, augment=self.augment, generator=generator)
        valid = torch.tensor([bool(self._valid[file][row]) for file, row in places])
        return {"image": image, "landmarks": points, "landmarks_valid": valid}

    def _locate(self, caches: dict[str, CropCache]) -> None:
        """Find the pixels of every row: `[N,2]`, file number and row in it."""
        self._place = np.empty((len(self.rows), 2), np.int64)
        for number, frame in enumerate(self.rows.frames.tolist()):
            file, row_of = self._open(number, caches)
            self._place[number] = file, row_of[frame]

    def _open(self, number: int, caches: dict[str, CropCache]) -> tuple[int, dict[int, int]]:
        """Open the sequence of a row once and return its file number and frame number -> row."""
        key = self.rows.datasets[number], self.rows.sequences[number]
        if key not in self._files:
            images, landmarks, valid, frames = caches[key[0]].sequence(key[1])
            self._files[key] = len(self._images), {int(frame): row for row, frame in enumerate(frames)}
            self._images.append(images)
            self._landmarks.append(landmarks)
            self._valid.append(valid)
        return self._files[key]
