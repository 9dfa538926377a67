"""R(2+1)D-18: every 3D convolution as one over the image and one over time, from torchvision's blocks.

Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018;
https://arxiv.org/abs/1711.11248. 31,303,716 parameters with 7 classes, 40.5 GMACs for 16 frames of 112 pixels.

Tables of DFEW print 42.36 G and 33 M: the same network with the paper's own rule for the channels between the two
parts of a convolution, where torchvision's blocks share the first one's. That is `between=rule`, 33,182,188 parameters
and 42.1 GMACs.

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
from auharness.nn.resnet3d import Form3D, ResNet3D18
from auharness.nn.vision import check_start
from auharness.records import Task


class R2Plus1D18(ModelPlugin):
    """Trained from scratch with the cross-entropy; the network is torchvision's `r2plus1d_18`."""

    name = "r2plus1d-18"
    paper = "Tran et al., A Closer Look at Spatiotemporal Convolutions, CVPR 2018"
    inputs = ("clip",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {"width": 12, **clip_recipes.tiny(epochs=36, side=48)},
        "dfew-paper": clip_recipes.DFEW_PAPER,
    }

    width: int = Field(64, ge=1, description="channels of the first stage")
    between: Literal["torchvision", "rule"] = Field(
        "torchvision", description="channels inside a convolution: shared in a block, or each by the paper's rule"
    )

    init: Literal["none", "weights"] = Field("none", description="from scratch, or from --weights FILE")
    preprocess: Preprocess = clip_recipes.PREPROCESS
    augment: Augment = clip_recipes.AUGMENT
    recipe: Recipe = clip_recipes.RECIPE

    def check_ready(self, *, origin: str, weights: bool) -> None:
        check_start(self.name, init=self.init, weights=weights)

    def build(self, task: Task) -> nn.Module:
        form: Form3D = "r2plus1d" if self.between == "torchvision" else "r2plus1d-rule"
        return ResNet3D18(task.num_outputs, channels=self.preprocess.channels, width=self.width, form=form)

    def parameter_groups(self, module: nn.Module) -> Sequence[Mapping[str, Any]]:
        # one group, as in Former-DFER
        return [{"params": list(module.parameters())}]

    def cam_layers(self, module: nn.Module) -> Mapping[str, nn.Module]:
        return stage_layers(module)


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return R2Plus1D18
