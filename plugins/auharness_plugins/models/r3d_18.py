"""R3D-18: the 3D ResNet-18 of Tran et al., from torchvision's blocks.

Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018;
https://arxiv.org/abs/1711.11248. 33,169,863 parameters with 7 classes, 40.7 GMACs for 16 frames of 112 pixels. The "3D
ResNet18" of DFEW's tables with 8.32 G is another network, `resnet3d-18`: its stem pools.

Recipe: Former-DFER's, under which the video baselines are compared here; preset `dfew-paper`: the one of DFEW's own
repository. What both are, and where they differ from their sources: `auharness.api.clip_recipes`.

`--weights` takes torchvision's names, so its weights of Kinetics-400; their last layer starts afresh.
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


class R3D18(ModelPlugin):
    """Trained from scratch with the cross-entropy; the network is torchvision's `r3d_18`."""

    name = "r3d-18"
    paper = "Tran et al., A Closer Look at Spatiotemporal Convolutions, CVPR 2018"
    inputs = ("clip",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {"width": 12, **clip_recipes.tiny(epochs=36, side=48)},
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
        return ResNet3D18(task.num_outputs, channels=self.preprocess.channels, width=self.width, form="r3d")

    def parameter_groups(self, module: nn.Module) -> Sequence[Mapping[str, Any]]:
        # one group, as in Former-DFER
        return [{"params": list(module.parameters())}]

    def cam_layers(self, module: nn.Module) -> Mapping[str, nn.Module]:
        return stage_layers(module)


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return R3D18
