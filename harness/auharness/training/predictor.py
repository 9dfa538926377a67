"""A fitted module as a predictor: evaluation mode, no gradient, float32 scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from auharness.api import Batch, ModelPlugin, Output, Predictor
from auharness.training.source import CropSource

__all__ = ["BLOCK", "ModulePredictor", "as_output", "call", "is_out_of_memory", "predict", "spare_memory"]

BLOCK = 32
"""Rows that an evaluated module sees at once, if they have at most `_LONG` frames."""

_LONG = 16
_CPU_ALLOCATOR = ("not enough memory", "can't allocate memory")
"""What torch says, by operating system."""


def call(module: nn.Module, batch: Batch, inputs: Sequence[str]) -> Any:
    """Call a module with the batch's inputs in the plugin's order."""
    return module(*(batch[name] for name in inputs))


def as_output(result: Tensor | Output) -> Output:
    """Wrap bare logits."""
    return result if isinstance(result, Output) else Output(result)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or in an allocator of the CPU."""
    said = str(error)
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(words in said for words in _CPU_ALLOCATOR)


class ModulePredictor:
    """A module with its selected weights; implements `auharness.api.Predictor`."""

    def __init__(self, module: nn.Module, plugin: ModelPlugin, fabric: Fabric) -> None:
        self.module = module.eval()
        self.plugin = plugin
        self.fabric = fabric
        self.chosen_epoch: int | None = None
        self.epochs: int | None = None
        self.block = max(1, BLOCK * _LONG // max(plugin.preprocess.frames, _LONG))

    def __call__(self, batch: Batch) -> Tensor:
        """Return scores `[B,A]`, float32.

        The module always sees exactly `block` rows, the last block filled up: matrix products round differently for
        other sizes, and a test-time-training scan magnifies that. So a score does not depend on the batch it came in.
        """
        inputs = [batch[name] for name in self.plugin.inputs]
        starts = range(0, len(inputs[0]), self.block)
        with torch.inference_mode(), self.fabric.autocast():
            return torch.cat([self._scores([x[start : start + self.block] for x in inputs]) for start in starts])

    def _scores(self, inputs: list[Tensor]) -> Tensor:
        rows = len(inputs[0])
        spare = self.block - rows
        filled = [torch.cat([x, x[:1].expand(spare, *x.shape[1:])]) if spare else x for x in inputs]
        return as_output(self.module(*filled)).logits[:rows].float()

    def state(self) -> Mapping[str, Tensor]:
        """Return the weights."""
        return self.module.state_dict()


def predict(predictor: Predictor, source: CropSource, *, size: int, device: torch.device) -> Tensor:
    """Return the scores of all rows in row order, `[N,A]` on the CPU; the batch is halved when memory runs out."""
    while True:
        try:
            return source.gather(torch.cat([predictor(batch).cpu() for batch in source.batches(size, device=device)]))
        except (RuntimeError, MemoryError) as error:
            size = spare_memory(error, predictor, size)


def spare_memory(error: Exception, predictor: Predictor, size: int) -> int:
    """Halve what a predictor evaluates at once after an error that says that memory ran out.

    Args:
        error: any; one of another cause, or at a single row, is raised again.
        predictor: its block is halved where it has one.
        size: rows per batch so far.

    Returns:
        The new number of rows per batch.
    """
    block = getattr(predictor, "block", size)
    if not is_out_of_memory(error) or block == 1:
        raise error
    if isinstance(predictor, ModulePredictor):
        predictor.block = (block + 1) // 2
    return (size + 1) // 2
