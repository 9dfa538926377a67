"""The same scores for every sample, without training: the floor that any model has to beat."""

from collections.abc import Mapping
from math import log
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from auharness.api import ModelPlugin, Predictor, Preprocess, Unit
from auharness.api.unit import Batch
from auharness.errors import UsageError
from auharness.hookspecs import hookimpl
from auharness.records import Task

SURE = 10.0
"""Logit of a certain answer."""


class ConstantNet(nn.Module):
    """Images or clips `[B,...]` to the same logits `[B,A]` for every sample."""

    logits: Tensor

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self, image: Tensor) -> Tensor:
        return self.logits.to(image.device).expand(len(image), -1).clone()


class ConstantPredictor:
    """The predictor of a module that nothing is learned for."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, batch: Batch) -> Tensor:
        return self.module(batch["image"] if "image" in batch else batch["clip"])

    def state(self) -> Mapping[str, Tensor]:
        return self.module.state_dict()


class Constant(ModelPlugin):
    """`one`: every AU always present, or always the majority class; `zero`: never; `prior`: the training rate."""

    name = "constant"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {"preprocess": {"resize": 68, "crop": 64}},
        "zero": {"value": "zero"},
        "one": {"value": "one"},
        "prior": {"value": "prior"},
    }

    value: Literal["zero", "one", "prior"] = Field("one", description="what is always answered")

    preprocess: Preprocess = Preprocess(resize=64, crop=56)

    def build(self, task: Task) -> nn.Module:
        if task.kind == "clip-multiclass":
            return ConstantNet(self._class_logits(task))
        if self.value == "prior":
            return ConstantNet(torch.tensor([_logit(rate) for rate in task.rates]))
        return ConstantNet(torch.full((task.num_outputs,), SURE if self.value == "one" else -SURE))

    def fit(self, unit: Unit) -> Predictor:
        return ConstantPredictor(self.build(unit.task))

    def _class_logits(self, task: Task) -> Tensor:
        if self.value == "zero":
            raise UsageError("constant: 'value = zero' has no meaning for classes; set value to one or prior")
        rates = torch.tensor(task.rates)
        if self.value == "prior":
            return rates.clamp(min=1e-6).log()
        return torch.where(torch.arange(len(rates)) == rates.argmax(), SURE, -SURE)


def _logit(rate: float) -> float:
    """Log odds, kept within +-SURE; 0 where nothing is coded."""
    if rate != rate:
        return 0.0
    bounded = min(max(rate, 1e-12), 1 - 1e-12)
    return max(-SURE, min(SURE, log(bounded / (1 - bounded))))


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return Constant
