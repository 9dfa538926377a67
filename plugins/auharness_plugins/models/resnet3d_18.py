"""3D ResNet-18 of Hara et al.: the "3D ResNet18" of DFEW's tables.

Hara, Kataoka, Satoh, Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?, CVPR 2018;
https://arxiv.org/abs/1711.09577. A stem of 7x7x7 that halves the image and a pool that halves everything, then 3x3x3
convolutions; 33,207,495 parameters with 7 classes, 8.31 GMACs for 16 frames of 112 pixels. Which form DFEW's tables
mean is told by their 8.32 G; `r3d-18` takes five times that.

Recipe: Former-DFER's, under which the video baselines are compared here. Preset `dfew-paper` is the one of DFEW's own
repository (jiangxingxun/DFEW): Adam at 1e-3, times 0.9 after every epoch, whole frames of 112 pixels, nothing varied
but the choice of frames; 100 of its 500 epochs, for the rate is then 3e-5 of its start.

Differs from the sources of these recipes in: the last epoch is kept, where they take the best one on the test fold;
the last, smaller batch trains, too; random resized crops are cut from frames of 112 pixels, in Former-DFER from the
recorded ones.

`--weights` takes the names of torchvision's `r3d_18`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import nn

from auharness.api import Augment, ModelPlugin, Preprocess, Recipe
from auharness.hookspecs import hookimpl
from auharness.nn.cam_layers import stage_layers
from auharness.nn.resnet3d import ResNet3D18
from auharness.nn.vision import check_start
from auharness.records import Task


class ResNet3D18Hara(ModelPlugin):
    """Trained from scratch with the cross-entropy; a shortcut that changes shape is a 1x1x1 convolution."""

    name = "resnet3d-18"
    paper = "Hara et al., Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?, CVPR 2018"
    inputs = ("clip",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "width": 16,
            "preprocess": {"resize": 48, "crop": 48, "frames": 8, "channels": 1},
            "augment": {"random_resized_crop": (0.8, 1.0)},
            "recipe": {
                "optimiser": "adamw",
                "epochs": 16,
                "batch_size": 16,
                "lr": 1e-3,
                "weight_decay": 0.05,
                "schedule": "cosine",
                "warmup": 0.1,
            },
        },
        "dfew-paper": {
            "preprocess": {"sampler": "linspace"},
            "augment": {"flip": 0.0, "random_resized_crop": None, "temporal_jitter": True},
            "recipe": {
                "optimiser": "adam",
                "lr": 1e-3,
                "weight_decay": 0.0,
                "step_epochs": 1,
                "step_factor": 0.9,
            },
        },
    }

    width: int = Field(64, ge=1, description="channels of the first stage")

    init: Literal["none", "weights"] = Field("none", description="from scratch, or from --weights FILE")
    preprocess: Preprocess = Preprocess(
        align="none",
        landmarks="mean-shape",
        resize=112,
        crop=112,
        frames=16,
        sampler="dfer-clip",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )
    augment: Augment = Augment(
        flip=0.5, random_resized_crop=(0.08, 1.0), random_crop=False, brightness=0, contrast=0, saturation=0
    )
    recipe: Recipe = Recipe(
        optimiser="sgd", lr=0.01, nesterov=False, weight_decay=1e-4, schedule="step", epochs=100, batch_size=32
    )

    def check_ready(self, *, origin: str, weights: bool) -> None:
        check_start(self.name, init=self.init, weights=weights)

    def build(self, task: Task) -> nn.Module:
        return ResNet3D18(task.num_outputs, channels=self.preprocess.channels, width=self.width, form="wide")

    def parameter_groups(self, module: nn.Module) -> Sequence[Mapping[str, Any]]:
        # one group, as in Former-DFER
        return [{"params": list(module.parameters())}]

    def cam_layers(self, module: nn.Module) -> Mapping[str, nn.Module]:
        return stage_layers(module)


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return ResNet3D18Hara
