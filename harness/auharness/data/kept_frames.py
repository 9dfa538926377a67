"""What a model that does not learn makes of the crops of whole sequences, made once and opened as memory maps.

```
kept/DATASET/KEY.npy      float16 [n, *shape], row i belongs to row i of the sequence's crops
```

The key stands for the model and its weights, the crops, and how a batch is cut and normalised from them.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auharness.api import KeptFrames
from auharness.data.cache import CropCache
from auharness.data.cache_root import cache_root
from auharness.data.npy import NpyWriter, open_npy
from auharness.results.atomic import digest, write_with

__all__ = ["KeptStore"]

BLOCK: Final = 64
"""Crops at a time."""
# raised by any change that makes other values from the same crops
_RECIPE: Final = 1


class KeptStore:
    """The sequences of one dataset.

    Args:
        dataset: its name.
        crops: prepared.
        kept: makes the values.
        batch: crops `[n,R,R,3]` uint8 to frames as a batch has them.
        batch_key: stands for what `batch` does.
        folder: where the files lie; default `kept/<dataset>` below `cache_root()`.
    """

    def __init__(
        self,
        dataset: str,
        crops: CropCache,
        kept: KeptFrames,
        *,
        batch: Callable[[Tensor], Tensor],
        batch_key: str,
        folder: Path | None = None,
    ) -> None:
        self.crops, self.kept, self.batch = crops, kept, batch
        self.folder = folder or cache_root() / "kept" / dataset
        self._key = [kept.key, batch_key, _RECIPE, dataset, crops.folder.name]

    def sequence(self, name: str, *, device: torch.device | None = None) -> NDArray[np.float16]:
        """Open what is kept of a sequence, `[n,*shape]`; make it on the device if need be.

        Raises:
            DataError: if the sequence has no crops.
            StorageError: if the disk is full.
        """
        images = self.crops.sequence(name).images
        path = self.folder / f"{digest([*self._key, name, *_stamp(images)], 20)}.npy"
        if not path.is_file():
            write_with(path, partial(self._write, images=images, device=device))
        return open_npy(path)

    def _write(self, path: Path, *, images: NDArray[np.uint8], device: torch.device | None) -> None:
        with NpyWriter(path, self.kept.shape, np.float16) as writer:
            for start in range(0, len(images), BLOCK):
                frames = self.batch(torch.from_numpy(np.array(images[start : start + BLOCK])))
                values = self.kept(frames.to(device or frames.device))
                writer.append(values.half().cpu().numpy())


def _stamp(images: NDArray[np.uint8]) -> list[int]:
    """Size and time of the file behind an array: crops are made again when their media change."""
    if not isinstance(images, np.memmap):
        return [len(images)]
    status = Path(str(images.filename)).stat()
    return [status.st_size, status.st_mtime_ns]
