"""R(2+1)D and ResNet-18 side by side: our reading of "R(2+1)D ResNet18 Hybrid".

A table of DFEW (Mamba-style SSM for dynamic facial expressions, table 2) has a row of this name, for which it cites
Sathisha et al., Facial Expression Recognition in Video Using 3D-CNN Deep Features Discrimination, INOCON 2024. Neither
a description nor code of such a network is public. What is known is the name and 47 G.

Guessed, all of it: two branches see the same clip, R(2+1)D-18 as a whole and ResNet-18 frame by frame; the means over
places and time, 512 features each, stand side by side before one linear layer; both branches start from scratch. Two
branches, because 47 G are more than R(2+1)D-18 takes alone: these take 48.3 GMACs for 16 frames of 112 pixels, 2.7 %
more than printed, and 42,483,812 parameters with 7 classes.

Recipe: Former-DFER's, under which the video baselines are compared here. What it is, and where it differs from its
source: `auharness.api.clip_recipes`.

`--weights` takes torchvision's names behind `video.` and `frames.`; either branch may be missing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from auharness.api import Augment, ModelPlugin, Preprocess, Recipe, clip_recipes
from auharness.hookspecs import hookimpl
from auharness.nn.resnet2d import ClipResNet
from auharness.nn.resnet3d import ResNet3D18
from auharness.nn.vision import check_start
from auharness.records import Task


class TwoBranches(nn.Module):
    """Clip `[B,T,C,H,W]` to logits `[B,A]`: features of the clip beside the mean of those of its frames."""

    def __init__(self, video: ResNet3D18, frames: ClipResNet, num_outputs: int) -> None:
        super().__init__()
        self.video, self.frames = video, frames
        self.fc = nn.Linear(video.features + frames.features, num_outputs)

    def forward(self, clip: Tensor) -> Tensor:
        by_frame = self.frames(clip.flatten(0, 1)[:, None]).unflatten(0, clip.shape[:2])
        return self.fc(torch.cat((self.video(clip), by_frame.mean(dim=1)), dim=1))


class R2Plus1DResNet18(ModelPlugin):
    """Trained from scratch with the cross-entropy."""

    name = "r2plus1d-resnet18"
    paper = "our reading of a table's row; cited there: Sathisha et al., INOCON 2024"
    inputs = ("clip",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {"width": 12, **clip_recipes.tiny(epochs=36, side=48)},
    }

    width: int = Field(64, ge=1, description="channels of the first stage of both branches")

    init: Literal["none", "weights"] = Field("none", description="from scratch, or from --weights FILE")
    preprocess: Preprocess = clip_recipes.PREPROCESS
    augment: Augment = clip_recipes.AUGMENT
    recipe: Recipe = clip_recipes.RECIPE

    def check_ready(self, *, origin: str, weights: bool) -> None:
        check_start(self.name, init=self.init, weights=weights)

    def build(self, task: Task) -> nn.Module:
        channels = self.preprocess.channels
        video = ResNet3D18(None, channels=channels, width=self.width, form="r2plus1d")
        frames = ClipResNet(1, None, channels=channels, width=self.width)
        return TwoBranches(video, frames, task.num_outputs)

    def parameter_groups(self, module: nn.Module) -> Sequence[Mapping[str, Any]]:
        # one group, as in Former-DFER
        return [{"params": list(module.parameters())}]

    def cam_layers(self, module: nn.Module) -> Mapping[str, nn.Module]:
        branches = ("video", "frames")
        return {f"{name}-layer4": module.get_submodule(f"{name}.layer4") for name in branches}


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return R2Plus1DResNet18
