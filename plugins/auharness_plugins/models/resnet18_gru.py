"""ResNet-18 and GRU: the features of every frame, read in order.

He et al., CVPR 2016; Chung et al., arXiv:1412.3555, 2014. The sizes of the network in DFEW's tables are not published;
this is our reading: torchvision's ResNet-18 without its last layer per frame, one GRU of 512 units, and a linear layer
on the state behind the last frame. 12,756,039 parameters with 7 classes. 7.78 GMACs for 16 frames of 112 pixels.

Recipe: Former-DFER's, under which the video baselines are compared here. What it is, and where it differs from its
source: `auharness.api.clip_recipes`.

`--weights` takes torchvision's names of a ResNet-18, so its weights of ImageNet-1K.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from auharness.api import Augment, ModelPlugin, Preprocess, Recipe, clip_recipes
from auharness.hookspecs import hookimpl
from auharness.nn.cam_layers import stage_layers
from auharness.nn.frame_rnn import FrameRNN, Pool
from auharness.nn.resnet2d import ClipResNet
from auharness.nn.vision import check_start
from auharness.nn.weights import load_matching
from auharness.records import Task


class ResNet18GRU(ModelPlugin):
    """Trained from scratch with the cross-entropy."""

    name = "resnet18-gru"
    paper = "He et al., Deep Residual Learning, CVPR 2016, and Chung et al., Gated Recurrent Neural Networks, 2014"
    inputs = ("clip",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {"width": 12, "hidden": 64, **clip_recipes.tiny(epochs=30)},
    }

    width: int = Field(64, ge=1, description="channels of the ResNet's first stage")
    hidden: int = Field(512, ge=1, description="units of the GRU")
    layers: int = Field(1, ge=1, description="GRUs, each on the states of the one before")
    bidirectional: bool = Field(False, description="read the clip backwards, too")
    pool: Pool = Field("last", description="states that the last layer reads")

    init: Literal["none", "weights"] = Field("none", description="from scratch, or from --weights FILE")
    preprocess: Preprocess = clip_recipes.PREPROCESS
    augment: Augment = clip_recipes.AUGMENT
    recipe: Recipe = clip_recipes.RECIPE

    def check_ready(self, *, origin: str, weights: bool) -> None:
        check_start(self.name, init=self.init, weights=weights)

    def build(self, task: Task) -> nn.Module:
        return FrameRNN(
            ClipResNet(1, None, channels=self.preprocess.channels, width=self.width),
            task.num_outputs,
            length=task.frames,
            cell="gru",
            hidden=self.hidden,
            layers=self.layers,
            bidirectional=self.bidirectional,
            pool=self.pool,
        )

    def load_weights(self, module: nn.Module, weights: Mapping[str, Tensor]) -> Sequence[str]:
        # a file of a ResNet alone has its names without the place that it has here
        own = module.state_dict()
        return load_matching(module, {key if key in own else f"frames.{key}": weights[key] for key in weights})

    def parameter_groups(self, module: nn.Module) -> Sequence[Mapping[str, Any]]:
        # one group, as in Former-DFER
        return [{"params": list(module.parameters())}]

    def cam_layers(self, module: nn.Module) -> Mapping[str, nn.Module]:
        return stage_layers(module)


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return ResNet18GRU
