"""Clips of the crop cache as batches: a sampler chooses the frames, all of them are varied alike."""

import numpy as np
import torch
from torch import Tensor

from auharness.api import Batch
from auharness.data.cache import CropCache
from auharness.data.samplers import SAMPLERS, VARIED
from auharness.training.augment import augmented, plain
from auharness.training.source import CropSource

__all__ = ["ClipSource"]


class ClipSource(CropSource):
    """Batches of clips `[B,T,C,H,W]` with landmarks `[B,T,68,2]`; implements `auharness.api.BatchSource`.

    Frames of a clip that could not be decoded are left out before the sampler chooses.
    """

    def _pixels(self, which: np.ndarray, generator: torch.Generator | None) -> Batch:
        frames, sample = self.preprocess.frames, SAMPLERS[self.preprocess.sampler]
        draws = self.augment.temporal_jitter
        jitter = generator if draws or (draws is None and self.preprocess.sampler in VARIED) else None
        chosen = []
        for number in which:
            file, rows = self._clips[number]
            chosen.append((file, rows[sample(len(rows), frames, jitter)]))
        images = torch.from_numpy(np.concatenate([self._images[file][rows] for file, rows in chosen]))
        marks = np.concatenate([self._landmarks[file][rows] for file, rows in chosen]).astype(np.float32)
        valid = np.concatenate([self._valid[file][rows] for file, rows in chosen])
        if generator is None:
            clip, points = plain(images, torch.from_numpy(marks), self.preprocess)
        else:
            clip, points = augmented(
                images,
                torch.from_numpy(marks),
                self.preprocess,
                augment=self.augment,
                generator=generator,
                alike=frames,
            )

        def by_clip(x: Tensor) -> Tensor:
            return x.unflatten(0, (len(which), frames))  # type: ignore[no-untyped-call]  # torch leaves it untyped

        return {
            "clip": by_clip(clip),
            "landmarks": by_clip(points),
            "landmarks_valid": by_clip(torch.from_numpy(valid.copy())),
        }

    def _count_fallbacks(self) -> int:
        """Clips with a frame whose landmarks are the mean-shape fallback."""
        return int(sum(not self._valid[file][rows].all() for file, rows in self._clips))

    def _locate(self, caches: dict[str, CropCache]) -> None:
        self._clips: list[tuple[int, np.ndarray]] = []
        for number in range(len(self.rows)):
            file, row_of = self._open(number, caches)
            rows = [row_of[frame] for frame in self.rows.frames[number].tolist() if frame in row_of]
            self._clips.append((file, np.array(rows)))
