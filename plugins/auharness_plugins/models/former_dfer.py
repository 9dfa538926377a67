"""Former-DFER: a ResNet-18 with a transformer over the places of each frame, and a transformer over frames.

Zhao and Liu, Former-DFER: Dynamic Facial Expression Recognition Transformer, ACM Multimedia 2021; original code:
https://github.com/zengqunzhao/Former-DFER (MIT), from whose description this is written anew. 18,031,943 parameters
with 7 classes (printed: 18 M), 8.30 GMACs for 16 frames of 112 pixels. The 9.11 G that are printed cannot be had from
the public code, whose network this is.

The recipe, which the other video baselines share, and where it differs from the code: `auharness.api.clip_recipes`.
Also, a clip of fewer frames than the network reads repeats its last one, where the code leaves short clips out.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from auharness.api import Augment, ModelPlugin, Preprocess, Recipe, clip_recipes
from auharness.hookspecs import hookimpl
from auharness.nn.cam_layers import stage_layers
from auharness.nn.encoder import Block
from auharness.nn.mixers import Attention
from auharness.nn.resnet2d import ClipResNet
from auharness.nn.vision import check_start
from auharness.records import Task


def blocks(dim: int, *, depth: int, heads: int) -> nn.Sequential:
    """Return pre-norm transformer blocks, `[B,L,dim] -> [B,L,dim]`, with an MLP of twice the width."""
    return nn.Sequential(
        *(
            Block(dim, mixer=Attention(dim, heads=heads, qkv_bias=False), mlp_ratio=2.0, gelu="tanh", eps=1e-5)
            for _ in range(depth)
        )
    )


class SpatialFormer(nn.Module):
    """Frames `[N,C,S,S]` to features `[N,8 width]`: three stages, transformer over places, the fourth stage (S-Former).

    Args:
        resnet: without a last layer.
        side: S in pixels.
        depth: transformer blocks.
        heads: attention heads.
    """

    def __init__(self, resnet: ClipResNet, *, side: int, depth: int, heads: int) -> None:
        super().__init__()
        dim = resnet.widths[2]
        self.resnet = resnet
        self.positions = nn.Parameter(torch.randn(1, ceil(side / 16) ** 2, dim))
        self.transformer = blocks(dim, depth=depth, heads=heads)

    def forward(self, frames: Tensor) -> Tensor:
        net = self.resnet
        found = net.stem(frames[:, None])
        for number in range(1, 4):
            found = net.get_submodule(f"layer{number}")(found)
        tokens = self.transformer(found.flatten(2).transpose(1, 2) + self.positions)
        mixed = tokens.transpose(1, 2).unflatten(2, found.shape[2:])
        return net.classify(net.get_submodule("layer4")(mixed))


class TemporalFormer(nn.Module):
    """Features `[B,T,dim]` to those of a class token `[B,dim]`, which stands first (T-Former); no norm at the end.

    Args:
        dim: features of a frame.
        frames: T.
        depth: transformer blocks.
        heads: attention heads.
    """

    def __init__(self, dim: int, *, frames: int, depth: int, heads: int) -> None:
        super().__init__()
        self.cls = nn.Parameter(torch.randn(1, 1, dim))
        self.positions = nn.Parameter(torch.randn(1, frames + 1, dim))
        self.transformer = blocks(dim, depth=depth, heads=heads)

    def forward(self, features: Tensor) -> Tensor:
        tokens = torch.cat((self.cls.expand(len(features), -1, -1), features), dim=1)
        return self.transformer(tokens + self.positions)[:, 0]


class FormerDFERNet(nn.Module):
    """Clip `[B,T,C,S,S]` to logits `[B,A]`."""

    def __init__(self, spatial: SpatialFormer, temporal: TemporalFormer, num_outputs: int) -> None:
        super().__init__()
        self.spatial, self.temporal = spatial, temporal
        self.fc = nn.Linear(spatial.resnet.features, num_outputs)

    def forward(self, clip: Tensor) -> Tensor:
        features = self.spatial(clip.flatten(0, 1)).unflatten(0, clip.shape[:2])
        return self.fc(self.temporal(features))


class FormerDFER(ModelPlugin):
    """Trained from scratch with the cross-entropy, classes unweighted."""

    name = "former-dfer"
    paper = "Zhao, Liu, Former-DFER: Dynamic Facial Expression Recognition Transformer, ACM Multimedia 2021"
    inputs = ("clip",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {"width": 16, "temporal_depth": 1, **clip_recipes.tiny(epochs=40)},
    }

    width: int = Field(64, ge=8, multiple_of=8, description="channels of the ResNet's first stage")
    heads: int = Field(8, ge=1, description="heads of both transformers")
    spatial_depth: int = Field(1, ge=1, description="blocks over the places of a frame")
    temporal_depth: int = Field(3, ge=1, description="blocks over frames")

    init: Literal["none", "weights"] = Field("none", description="from scratch, or from --weights FILE")
    preprocess: Preprocess = clip_recipes.PREPROCESS.model_copy(update={"sampler": "former-dfer"})
    augment: Augment = clip_recipes.AUGMENT
    recipe: Recipe = clip_recipes.RECIPE

    def check_ready(self, *, origin: str, weights: bool) -> None:
        check_start(self.name, init=self.init, weights=weights)

    def build(self, task: Task) -> nn.Module:
        resnet = ClipResNet(1, None, channels=self.preprocess.channels, width=self.width)
        spatial = SpatialFormer(resnet, side=task.image_size, depth=self.spatial_depth, heads=self.heads)
        temporal = TemporalFormer(resnet.features, frames=task.frames, depth=self.temporal_depth, heads=self.heads)
        return FormerDFERNet(spatial, temporal, task.num_outputs)

    def parameter_groups(self, module: nn.Module) -> Sequence[Mapping[str, Any]]:
        # one group, so the decay of weights is on positions, norms and biases, too
        return [{"params": list(module.parameters())}]

    def cam_layers(self, module: nn.Module) -> Mapping[str, nn.Module]:
        return stage_layers(module)


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return FormerDFER
