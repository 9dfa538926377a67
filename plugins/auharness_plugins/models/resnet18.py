"""ResNet-18, trained from scratch on six grey frames as the channels of one image.

He et al., Deep Residual Learning for Image Recognition, CVPR 2016; https://arxiv.org/abs/1512.03385. 11,190,024
parameters with 8 AUs; the blocks are torchvision's.

Tables 1, 2 and 4 of AU-LLM do not say what their ResNet sees of a clip, nor how it starts; this is our reading. The
stack is the plainest input that holds the movement; `view=difference` gives the five changes since the first frame.
Recipe: that of the ResNets in the benchmark meb, which see optical flow. `--weights` takes weights with torchvision's
names; the first convolution, which sees other channels, starts afresh.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import nn

from auharness.api import Augment, ModelPlugin, Preprocess, Recipe
from auharness.hookspecs import hookimpl
from auharness.nn.cam_layers import stage_layers
from auharness.nn.resnet2d import ClipResNet, View
from auharness.nn.vision import import_torchvision
from auharness.records import Task


class ResNet18(ModelPlugin):
    """Trained with the masked binary cross-entropy."""

    name = "resnet18"
    paper = "He et al., Deep Residual Learning for Image Recognition, CVPR 2016"
    inputs = ("clip",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "width": 16,
            "preprocess": {"resize": 48, "crop": 48},
            "recipe": {"epochs": 16, "batch_size": 32, "lr": 2e-3, "schedule": "cosine"},
        },
    }

    view: View = Field("stack", description="all frames, or the changes since the first one, as channels")
    width: int = Field(64, ge=1, description="channels of the first stage")

    preprocess: Preprocess = Preprocess(
        align="none",
        landmarks="mean-shape",
        resize=64,
        crop=64,
        channels=1,
        frames=6,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )
    augment: Augment = Augment(flip=0, random_crop=False, brightness=0, contrast=0, saturation=0, temporal_jitter=True)
    recipe: Recipe = Recipe(optimiser="adam", lr=1e-4, weight_decay=1e-3, schedule="constant", epochs=50, batch_size=64)

    def check_ready(self, *, origin: str, weights: bool) -> None:
        import_torchvision()

    def build(self, task: Task) -> nn.Module:
        channels = self.preprocess.channels
        return ClipResNet(task.frames, task.num_outputs, depth=18, channels=channels, width=self.width, view=self.view)

    def cam_layers(self, module: nn.Module) -> Mapping[str, nn.Module]:
        return stage_layers(module)


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return ResNet18
