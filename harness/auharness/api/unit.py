"""What a model's `fit` receives and returns: training data without a trace of the test part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from auharness.api.model import ModelPlugin
    from auharness.records import Task

__all__ = ["Batch", "BatchSource", "KeptFrames", "Predictor", "Unit"]

Batch = dict[str, Any]
"""`image [B,3,H,W]` float, `landmarks [B,68,2]` crop pixels, `landmarks_valid [B]` bool, `target [B,A]` int (-1 = not
coded; `[B]` for classes), `sample_id` and `subject` (lists of str), `time_s [B]`; `clip [B,T,C,H,W]` for clips. Absent
inputs are absent."""


class KeptFrames(Protocol):
    """What something that does not learn makes of single frames: made once, and kept on disk."""

    @property
    def key(self) -> str:
        """Stands for all that the values depend on beside the frame, such as weights."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the values of a frame."""
        ...

    def __call__(self, frames: Tensor) -> Tensor:
        """Make values `[N,*shape]` of frames `[N,C,H,W]` as a batch has them, on their device."""
        ...


class BatchSource(Protocol):
    """Rows of one part that can be read in batches; deterministic for a given generator."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    @property
    def targets(self) -> Tensor:
        """All targets `[N,A]` (or `[N]`) int8 in row order, -1 = not coded."""
        ...

    def batches(
        self, size: int, *, generator: torch.Generator | None = None, device: torch.device | None = None
    ) -> Iterator[Batch]:
        """Yield batches in row order, or shuffled and augmented when a generator is given."""
        ...


class Predictor(Protocol):
    """A fitted model."""

    def __call__(self, batch: Batch) -> Tensor:
        """Return scores `[B,A]` of the kind that the plugin declares."""
        ...

    def state(self) -> Mapping[str, Tensor]:
        """Return the tensors that are saved as `weights.safetensors`."""
        ...


class Unit(Protocol):
    """One fold and seed, as a model sees it."""

    @property
    def task(self) -> Task:
        """Outputs and counts of the training rows."""
        ...

    @property
    def seed(self) -> int:
        """A seed that depends on the run's seed and the fold."""
        ...

    @property
    def device(self) -> torch.device:
        """The device that computes."""
        ...

    @property
    def folder(self) -> Path:
        """Scratch folder for checkpoints; kept until the unit is finished."""
        ...

    @property
    def train_data(self) -> BatchSource:
        """Rows that train."""
        ...

    @property
    def validation_data(self) -> BatchSource | None:
        """Held-out training keys when the recipe selects by `inner-val`."""
        ...

    def train(self, plugin: ModelPlugin, *, stage: str = "", weights: Mapping[str, Tensor] | None = None) -> Predictor:
        """Run the one training loop and return the selected model.

        Args:
            plugin: builds the module and says how it learns; need not be the one that is fitted.
            stage: names every stage of a `fit` in stages but the last, such as a teacher; each has its checkpoint.
            weights: starting weights in place of the run's, given to the plugin's `load_weights`.
        """
        ...

    @property
    def log(self) -> Callable[..., None]:
        """Append an event (a name, then keyword values) to the run's log and show it in the progress display."""
        ...
