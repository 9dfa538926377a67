"""The unit that a model's `fit` receives: training rows, a seed and the loop; nothing of the test part."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from auharness.api import ModelPlugin
from auharness.errors import UsageError
from auharness.records import Task
from auharness.training.loop import Loop
from auharness.training.predictor import ModulePredictor
from auharness.training.ranks import Rank, parallel
from auharness.training.source import CropSource

__all__ = ["TrainingUnit", "check_precision", "make_fabric"]

ALONE = Rank()
CHECKPOINT_S = 30.0
"""Least seconds between two checkpoints of a unit."""


def make_fabric(device: str, precision: str, rank: Rank = ALONE) -> Fabric:
    """Return the Fabric of one process; on a CPU one thread, so that results do not depend on load or on the executor.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: a Fabric precision such as `32-true`.
        rank: which of the connected processes this is; with `cuda` it computes on the GPU of this number.

    Raises:
        UsageError: if the device cannot compute in this precision.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    check_precision(kind, precision)
    if kind == "cpu":
        torch.set_num_threads(1)
    told: dict[str, Any] = parallel(rank) | ({"devices": [int(number)]} if number else {})
    fabric = Fabric(accelerator="gpu" if kind == "cuda" else kind, precision=precision, **told)  # type: ignore[arg-type]  # validated by the recipe
    fabric.launch()
    return fabric


def check_precision(kind: str, precision: str) -> None:
    """Refuse half precision on a CPU: Fabric would compute in bfloat16 instead, under another name.

    Raises:
        UsageError: for `cpu` and `16-mixed`.
    """
    if kind == "cpu" and precision == "16-mixed":
        raise UsageError(
            "recipe.precision is 16-mixed, which a CPU does not compute; give --set recipe.precision=bf16-mixed or "
            "32-true, or --device cuda"
        )


class TrainingUnit:
    """One fold and seed; implements `auharness.api.Unit`."""

    def __init__(
        self,
        task: Task,
        train_data: CropSource,
        validation_data: CropSource | None,
        *,
        fabric: Fabric,
        seed: int,
        folder: Path,
        log: Callable[..., None],
        weights: Mapping[str, Tensor] | None = None,
        name: str = "",
    ) -> None:
        self.task = task
        self.train_data = train_data
        self.validation_data = validation_data
        self.seed = seed
        self.folder = folder
        self.fabric = fabric
        self.log = log
        self.weights = weights
        self.name = name
        self.observe: Callable[[int, ModulePredictor], None] | None = None
        self.checkpoint_s = CHECKPOINT_S

    @property
    def device(self) -> torch.device:
        """The device that computes."""
        return self.fabric.device

    def train(
        self, plugin: ModelPlugin, *, stage: str = "", weights: Mapping[str, Tensor] | None = None
    ) -> ModulePredictor:
        """Run the training loop, from its checkpoint if one is there; only the last stage, "", is observed."""
        folder = self.folder / stage
        folder.mkdir(parents=True, exist_ok=True)
        loop = Loop(
            plugin,
            self.task,
            fabric=self.fabric,
            seed=self.seed,
            folder=folder,
            weights=self.weights if weights is None else weights,
            log=partial(self.log, stage=stage) if stage else self.log,
            owner=f"{self.name} {stage}".rstrip(),
        )
        observe = None if stage else self.observe
        return loop.run(self.train_data, self.validation_data, checkpoint_s=self.checkpoint_s, observe=observe)
