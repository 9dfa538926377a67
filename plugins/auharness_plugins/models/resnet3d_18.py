"""3D ResNet-18 of Hara et al.: the "3D ResNet18" of DFEW's tables.

Hara, Kataoka, Satoh, Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?, CVPR 2018;
https://arxiv.org/abs/1711.09577. A stem of 7x7x7 that halves the image and a pool that halves everything, then 3x3x3
convolutions; 33,207,495 parameters with 7 classes, 8.31 GMACs for 16 frames of 112 pixels. Which form DFEW's tables
mean is told by their 8.32 G; `r3d-18` takes five times that.

Recipe: Former-DFER's, under which the video baselines are compared here; preset `dfew-paper`: the one of DFEW's own
repository. What both are, and where they differ from their sources: `auharness.api.clip_recipes`.

`--weights` takes the names of torchvision's `r3d_18`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import nn

from auharness.api import Augment, ModelPlugin, Preprocess, Recipe, clip_recipes
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
        "tiny": {"width": 12, **clip_recipes.tiny(epochs=24)},
        "dfew-paper": clip_recipes.DFEW_PAPER,
    }

    width: int = Field(64, ge=1, description="channels of the first stage")

    init: Literal["none", "weights"] = Field("none", description="from scratch, or from --weights FILE")
    preprocess: Preprocess = clip_recipes.PREPROCESS
    augment: Augment = clip_recipes.AUGMENT
    recipe: Recipe = clip_recipes.RECIPE

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
