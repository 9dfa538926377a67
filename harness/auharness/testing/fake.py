"""Tiny tasks, batches, units and indexes in memory: what a plugin meets in a run, without data."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from auharness.api import Batch, BatchSource, ModelPlugin, Output
from auharness.data.landmarks.mean_shape import MEAN_SHAPE
from auharness.data.sound import RATE
from auharness.errors import DataError, near
from auharness.records import Task, au_name
from auharness.training.window_source import MARGIN_S

__all__ = ["FakeIndex", "FakePredictor", "FakeSource", "FakeUnit", "fake_batch", "fake_task"]

AUS = (1, 2, 4, 6, 12)  # coded in every AU dataset of the field
CLASSES = ("happy", "sad", "neutral")
FPS = 25.0


def fake_task(plugin: ModelPlugin, kind: str = "frame-multilabel") -> Task:
    """Return a task of five AUs, or of three classes, with the sizes that the plugin's settings ask for.

    Args:
        plugin: decides on image size and number of frames.
        kind: `frame-multilabel`, `clip-multilabel` or `clip-multiclass`.
    """
    classes = kind == "clip-multiclass"
    return Task(
        outputs=CLASSES if classes else tuple(au_name(au) for au in AUS),
        kind=kind,
        dataset="fake",
        positives=(50, 30, 20) if classes else (21, 17, 20, 46, 56),
        coded=(100,) * (3 if classes else 5),
        image_size=plugin.preprocess.crop,
        frames=plugin.preprocess.frames,
    )


def fake_batch(plugin: ModelPlugin, task: Task, *, size: int = 3, seed: int = 0) -> Batch:
    """Return a random batch with every input of the plugin, as a run gives it.

    Args:
        plugin: names the inputs.
        task: from `fake_task`.
        size: B, number of samples.
        seed: of all random values.
    """
    random = torch.Generator().manual_seed(seed)
    side, frames, channels = task.image_size, task.frames, plugin.preprocess.channels
    clip = "clip" in plugin.inputs
    batch: Batch = {
        "target": _target(plugin, task, size=size, random=random),
        "sample_id": [f"fake/S{row}/0" for row in range(size)],
        "subject": [f"S{row}" for row in range(size)],
        "time_s": torch.arange(size, dtype=torch.float64),
    }
    if "image" in plugin.inputs:
        batch["image"] = torch.randn(size, channels, side, side, generator=random)
    if clip:
        kept = plugin.kept_frames()
        shape = (channels, side, side) if kept is None else kept.shape
        batch["clip"] = torch.randn(size, frames, *shape, generator=random)
    if plugin.per_frame:
        times = torch.arange(frames, dtype=torch.float64) / FPS
        batch["time_s"] = times.expand(size, frames).clone()
        if "audio" in plugin.inputs:
            samples = math.ceil((frames / FPS + 2 * MARGIN_S) * RATE)
            batch["audio"] = 0.1 * torch.randn(size, samples, generator=random)
            batch["audio_valid"] = torch.ones(size, samples, dtype=torch.bool)
            batch["frame_s"] = (batch["time_s"] + MARGIN_S).float()
    if "landmarks" in plugin.inputs:
        shape = (size, frames, 68, 2) if clip else (size, 68, 2)
        face = 0.1 + 0.8 * torch.from_numpy(MEAN_SHAPE.copy())
        batch["landmarks"] = side * (face + 0.01 * torch.randn(shape, generator=random))
        batch["landmarks_valid"] = torch.ones(shape[:-2], dtype=torch.bool)
    return batch


class FakeSource:
    """A few fixed batches as a `BatchSource`; shuffling is left out."""

    def __init__(self, plugin: ModelPlugin, task: Task, *, rows: int = 12) -> None:
        self._batch = fake_batch(plugin, task, size=rows, seed=1)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._batch["sample_id"])

    @property
    def targets(self) -> Tensor:
        """`[N,A]` or `[N]` int8."""
        found: Tensor = self._batch["target"]
        return found

    def batches(
        self, size: int, *, generator: torch.Generator | None = None, device: torch.device | None = None
    ) -> Iterator[Batch]:
        """Yield the rows in order."""
        for start in range(0, len(self), size):
            yield {name: column[start : start + size] for name, column in self._batch.items()}


class FakePredictor:
    """A module as a `Predictor`."""

    def __init__(self, module: nn.Module, inputs: Sequence[str]) -> None:
        self.module = module.eval()
        self.inputs = inputs

    def __call__(self, batch: Batch) -> Tensor:
        """Return scores `[B,A]`."""
        with torch.inference_mode():
            result = self.module(*(batch[name] for name in self.inputs))
        return result.logits if isinstance(result, Output) else result

    def state(self) -> Mapping[str, Tensor]:
        """Return the weights."""
        return self.module.state_dict()


class FakeUnit:
    """One fold and seed in memory, for a plugin that has its own `fit`; `train` takes a single step."""

    def __init__(self, plugin: ModelPlugin, task: Task, *, folder: Path) -> None:
        self.task = task
        self.seed = 0
        self.device = torch.device("cpu")
        self.folder = folder
        self.train_data: BatchSource = FakeSource(plugin, task)
        self.validation_data: BatchSource | None = FakeSource(plugin, task)
        self.events: list[tuple[str, dict[str, Any]]] = []

    def train(
        self, plugin: ModelPlugin, *, stage: str = "", weights: Mapping[str, Tensor] | None = None
    ) -> FakePredictor:
        """Take one plain gradient step on one batch."""
        module = plugin.build(self.task).train()
        if weights is not None:
            plugin.load_weights(module, weights)
        batch = next(self.train_data.batches(4))
        result = module(*(batch[name] for name in plugin.inputs))
        output = result if isinstance(result, Output) else Output(result)
        loss = sum(plugin.loss(output, batch, self.task).values(), torch.zeros(()))
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.grad is not None:
                    parameter.sub_(plugin.recipe.lr * parameter.grad)
        return FakePredictor(module, plugin.inputs)

    def log(self, event: str, **values: Any) -> None:
        """Keep the event in `events`."""
        self.events.append((event, values))


class FakeIndex:
    """Names of subjects, clips and splits as a protocol sees them."""

    def __init__(
        self,
        subjects: Mapping[str, Sequence[str]],
        clips: Mapping[str, Sequence[str]] | None = None,
        splits: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    ) -> None:
        self._subjects = subjects
        self._clips = clips or {}
        self._splits = splits or {}

    def subjects(self, dataset: str) -> tuple[str, ...]:
        """Subjects of a dataset, sorted."""
        return tuple(sorted(self._subjects.get(dataset, ())))

    def clips(self, dataset: str) -> tuple[str, ...]:
        """Clips of a dataset, sorted."""
        return tuple(sorted(self._clips.get(dataset, ())))

    def split(self, dataset: str, name: str) -> tuple[str, ...]:
        """Clips of a split of a dataset, sorted.

        Raises:
            DataError: if the dataset has no split of that name.
        """
        splits = self._splits.get(dataset, {})
        if name not in splits:
            raise DataError(f"{dataset}: no split '{name}'{near(name, splits)} (splits: {', '.join(splits) or 'none'})")
        return tuple(sorted(splits[name]))


def _target(plugin: ModelPlugin, task: Task, *, size: int, random: torch.Generator) -> Tensor:
    """`[B,A]` int8, of frames `[B,T,A]`, with two entries not coded, or `[B]` with the last not coded."""
    if task.kind == "clip-multiclass":
        classes = torch.arange(size) % task.num_outputs
        classes[-1] = -1
        return classes.to(torch.int8)
    shape = (size, task.frames, task.num_outputs) if plugin.per_frame else (size, task.num_outputs)
    target = torch.randint(0, 2, shape, generator=random).to(torch.int8)
    target.view(-1)[[0, -1]] = -1
    return target
