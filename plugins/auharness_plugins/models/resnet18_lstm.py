"""ResNet-18 and LSTM: the features of every frame, read in order.

He et al., CVPR 2016; Hochreiter and Schmidhuber, 1997. The sizes of the network in DFEW's tables are not published;
this is our reading: torchvision's ResNet-18 without its last layer per frame, one LSTM of 512 units, and a linear
layer on the state behind the last frame. 13,281,351 parameters with 7 classes. 7.79 GMACs for 16 frames of 112 pixels,
of which the tables' 7.78 G are the ResNet's alone.

Preset `dfew-paper` is the network that DFEW's own repository (jiangxingxun/DFEW) calls ResNet-18 and LSTM: eight
bottleneck blocks, so 2,048 features, three LSTMs of 256 units, and all frames' states side by side. 17,388,871
parameters, 9.12 GMACs. Its recipe is from there, too: Adam at 1e-3, times 0.9 after every epoch, whole frames of 112
pixels, nothing varied but the choice of frames; 100 of its 500 epochs, for the rate is then 3e-5 of its start. It
differs from the repository in the border of its first pool and in its first weights. The recipe of `paper` is Former-
DFER's.

Differs from the sources of these recipes in: the last epoch is kept, where they take the best one on the test fold;
the last, smaller batch trains, too; random resized crops are cut from frames of 112 pixels, in Former-DFER from the
recorded ones.

`--weights` takes torchvision's names of a ResNet-18, so its weights of ImageNet-1K.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from auharness.api import Augment, ModelPlugin, Preprocess, Recipe
from auharness.hookspecs import hookimpl
from auharness.nn.cam_layers import stage_layers
from auharness.nn.frame_rnn import FrameRNN, Pool
from auharness.nn.resnet2d import BlockKind, ClipResNet
from auharness.nn.vision import check_start
from auharness.nn.weights import load_matching
from auharness.records import Task


class ResNet18LSTM(ModelPlugin):
    """Trained from scratch with the cross-entropy."""

    name = "resnet18-lstm"
    paper = "He et al., Deep Residual Learning, CVPR 2016, and Hochreiter, Schmidhuber, Long Short-Term Memory, 1997"
    inputs = ("clip",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "width": 16,
            "hidden": 64,
            "preprocess": {"resize": 48, "crop": 48, "frames": 8, "channels": 1},
            "augment": {"random_resized_crop": (0.8, 1.0)},
            "recipe": {
                "optimiser": "adamw",
                "epochs": 24,
                "batch_size": 16,
                "lr": 2e-3,
                "weight_decay": 0.05,
                "schedule": "cosine",
                "warmup": 0.1,
            },
        },
        "dfew-paper": {
            "block": "bottleneck",
            "hidden": 256,
            "layers": 3,
            "pool": "flatten",
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

    width: int = Field(64, ge=1, description="channels of the ResNet's first stage")
    block: BlockKind = Field("basic", description="what the ResNet's stages are made of")
    hidden: int = Field(512, ge=1, description="units of the LSTM")
    layers: int = Field(1, ge=1, description="LSTMs, each on the states of the one before")
    bidirectional: bool = Field(False, description="read the clip backwards, too")
    pool: Pool = Field("last", description="states that the last layer reads")

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
        return FrameRNN(
            ClipResNet(1, None, channels=self.preprocess.channels, width=self.width, block=self.block),
            task.num_outputs,
            length=task.frames,
            cell="lstm",
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
    return ResNet18LSTM
