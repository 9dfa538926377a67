"""A small convolutional baseline: strided 3x3 convolutions and one linear layer on the map that is left.

No paper; 0.5 M parameters at full width with 12 outputs. The map keeps its places (7 x 7), for AUs have one. Group
normalisation, so a logit never depends on the batch.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

from pydantic import Field
from torch import nn

from auharness.api import ModelPlugin, Preprocess, Recipe
from auharness.hookspecs import hookimpl
from auharness.records import Task

GROUPS = 8
SIDE = 7
"""Cells per side of the last map; larger ones are averaged down."""


class SmallCNN(ModelPlugin):
    """Trained from scratch with the masked binary cross-entropy."""

    name = "small-cnn"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "widths": (16, 32, 64),
            "preprocess": {"resize": 60, "crop": 56},
            "augment": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2},
            "recipe": {"epochs": 8, "batch_size": 16, "lr": 2e-3},
        },
    }

    widths: tuple[int, ...] = Field((32, 64, 128, 256), description="channels of each convolution, multiples of 8")

    preprocess: Preprocess = Preprocess(resize=256, crop=224)
    recipe: Recipe = Recipe(lr=1e-3, weight_decay=5e-4, epochs=20, batch_size=64)

    def build(self, task: Task) -> nn.Module:
        layers: list[nn.Module] = []
        for before, after in pairwise((3, *self.widths)):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(GROUPS, after), nn.ReLU()]
        head = nn.Linear(self.widths[-1] * SIDE**2, task.num_outputs)
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(SIDE), nn.Flatten(), head)


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return SmallCNN
