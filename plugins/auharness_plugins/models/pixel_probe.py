"""Logistic regression on the pixels of the crop: what a model that sees no structure can score."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import nn

from auharness.api import Augment, ModelPlugin, Preprocess, Recipe
from auharness.hookspecs import hookimpl
from auharness.records import Task


class PixelProbe(ModelPlugin):
    """One linear layer on the crop, averaged down to `side` x `side` cells."""

    name = "pixel-probe"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "side": 64,
            "preprocess": {"resize": 68, "crop": 64},
            "recipe": {"lr": 1e-2, "epochs": 15, "batch_size": 32},
        },
    }

    side: int = Field(28, ge=1, description="cells per side that the probe sees")

    preprocess: Preprocess = Preprocess(resize=256, crop=224)
    augment: Augment = Augment(flip=0.5, random_crop=True, brightness=0.0, contrast=0.0, saturation=0.0)
    recipe: Recipe = Recipe(lr=1e-3, weight_decay=5e-4, epochs=20, batch_size=64)

    def build(self, task: Task) -> nn.Module:
        pixels = 3 * self.side**2
        return nn.Sequential(nn.AdaptiveAvgPool2d(self.side), nn.Flatten(), nn.Linear(pixels, task.num_outputs))


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return PixelProbe
