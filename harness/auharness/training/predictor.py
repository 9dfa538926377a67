"""A fitted module as a predictor: evaluation mode, no gradient, float32 scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from auharness.api import Batch, BatchSource, ModelPlugin, Output, Predictor

__all__ = ["ModulePredictor", "as_output", "call", "is_out_of_memory", "predict"]


def call(module: nn.Module, batch: Batch, inputs: Sequence[str]) -> Any:
    """Call a module with the batch's inputs in the plugin's order."""
    return module(*(batch[name] for name in inputs))


def as_output(result: Tensor | Output) -> Output:
    """Wrap bare logits."""
    return result if isinstance(result, Output) else Output(result)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or in the CPU allocator."""
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)


class ModulePredictor:
    """A module with its selected weights; implements `auharness.api.Predictor`."""

    def __init__(self, module: nn.Module, plugin: ModelPlugin, fabric: Fabric) -> None:
        self.module = module.eval()
        self.plugin = plugin
        self.fabric = fabric
        self.chosen_epoch: int | None = None
        self.epochs: int | None = None

    def __call__(self, batch: Batch) -> Tensor:
        """Return scores `[B,A]`, float32."""
        with torch.inference_mode(), self.fabric.autocast():
            return as_output(call(self.module, batch, self.plugin.inputs)).logits.float()

    def state(self) -> Mapping[str, Tensor]:
        """Return the weights."""
        return self.module.state_dict()


def predict(predictor: Predictor, source: BatchSource, *, size: int, device: torch.device) -> Tensor:
    """Return the scores of all rows in row order, `[N,A]` on the CPU; the batch is halved when memory runs out."""
    while True:
        try:
            return torch.cat([predictor(batch).cpu() for batch in source.batches(size, device=device)])
        except RuntimeError as error:
            if not is_out_of_memory(error) or size == 1:
                raise
            size = (size + 1) // 2
