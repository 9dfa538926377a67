"""SCA: spatial and channel attention, both from second-order statistics, on a 3D ResNet-18.

Li, Huang, Zhao, Micro-Expression Action Unit Detection with Spatial and Channel Attention, Neurocomputing 2021. The
authors' code is not public; what is known is the port in the benchmark meb (https://github.com/tvaranka/meb,
Apache-2.0), `experiments/benchmarks/SCA.ipynb`, from whose description this is written anew. 33,891,896 parameters
with 8 AUs.

Kept from the port: the map of similarities between places is centred with the number of places, where a covariance
over channels would take the number of channels.

Differs from the port in:
- no weights of Kinetics to start from; `--weights` takes some under these names.
- a shortcut passes the gradient on; there it is cut where the stage changes.
- ten frames as they were recorded; there out of 50 that temporal interpolation made.
- training clips end at a random frame (uniform), by the sampler of the other micro-expression models.
- the learning rate stays; there it falls to a tenth for the last ten epochs. Nesterov's momentum, there plain.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from auharness.api import Augment, ModelPlugin, Preprocess, Recipe
from auharness.errors import UsageError
from auharness.hookspecs import hookimpl
from auharness.nn.resnet2d import initialise
from auharness.nn.resnet3d import wide_stem
from auharness.nn.vision import import_torchvision
from auharness.records import Task


class ZeroPadShortcut(nn.Module):
    """Every second place, and as many zero channels as are missing (shortcut A of He et al., CVPR 2016)."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride

    def forward(self, x: Tensor) -> Tensor:
        kept = x[:, :, :: self.stride, :: self.stride, :: self.stride]
        return F.pad(kept, (0, 0, 0, 0, 0, 0, 0, self.channels - x.shape[1]))


class Trunk(nn.Module):
    """Clip `[B,T,C,S,S]` to one map `[B,8W,N,N]`, N = ceil(S / 32): the 3D ResNet-18 of Hara et al., CVPR 2018."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        import_torchvision()
        from torchvision.models.video.resnet import BasicBlock, Conv3DSimple

        self.stem = wide_stem(channels, width)
        stages: list[nn.Module] = [BasicBlock(width, width, Conv3DSimple) for _ in range(2)]
        for before in (width, 2 * width, 4 * width):
            after = 2 * before
            stages += [
                BasicBlock(before, after, Conv3DSimple, 2, ZeroPadShortcut(after, 2)),
                BasicBlock(after, after, Conv3DSimple),
            ]
        self.stages = nn.Sequential(*stages)
        initialise(self)

    def forward(self, clip: Tensor) -> Tensor:
        return self.stages(self.stem(clip.transpose(1, 2))).squeeze(2)


class ChannelAttention(nn.Module):
    """Map `[B,C,N,N]` to weights `[B,C,1,1]`: each channel's row of their covariance decides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.row = nn.Conv2d(channels, channels, (channels, 1), groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.row(self.norm(_centred_products(x.flatten(2), x[0, 0].numel())[..., None])))


class SpatialAttention(nn.Module):
    """Map `[B,C,N,N]` to weights `[B,1,N,N]`: each place's row of similarities to all places decides."""

    def __init__(self, places: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(places)
        self.row = nn.Conv2d(places, 4 * places, (places, 1), groups=places)
        self.mix = nn.Conv2d(4 * places, places, 1)

    def forward(self, x: Tensor) -> Tensor:
        similar = _centred_products(x.flatten(2).transpose(1, 2), x[0, 0].numel())
        rows = torch.relu(self.row(self.norm(similar[..., None])))
        return torch.sigmoid(self.mix(rows)).view(len(x), 1, *x.shape[2:])


def _centred_products(rows: Tensor, count: int) -> Tensor:
    """Return X X^T / m - (X 1)(X 1)^T / m^2 of `[B,R,K]`, m = `count`: a covariance where m = K."""
    sums = rows.sum(dim=2, keepdim=True)
    return rows @ rows.transpose(1, 2) / count - sums @ sums.transpose(1, 2) / count**2


class SCANet(nn.Module):
    """Clip `[B,T,C,S,S]` to logits `[B,A]`."""

    def __init__(self, task: Task, *, channels: int, width: int) -> None:
        super().__init__()
        features, side = 8 * width, ceil(task.image_size / 32)
        self.trunk = Trunk(channels, width)
        self.channel = ChannelAttention(features)
        self.spatial = SpatialAttention(side**2)
        # over nine rows, within groups of 64 channels
        groups = max(1, features // 64)
        self.channel_gate = nn.Conv2d(features, features, (9, 1), padding=(4, 0), groups=groups)
        self.spatial_gate = nn.Conv2d(features, features, (9, 1), padding=(4, 0), groups=groups)
        self.norm = nn.BatchNorm2d(features)
        self.fc = nn.Linear(features, task.num_outputs)

    def forward(self, clip: Tensor) -> Tensor:
        found = self.trunk(clip)
        by_channel = found * self.channel(found)
        by_place = torch.relu(found * self.spatial(found))
        fused = self.channel_gate(by_channel) * by_channel + self.spatial_gate(by_place) * by_place
        return self.fc(self.norm(fused).mean(dim=(2, 3)))


class SCA(ModelPlugin):
    """Trained from scratch with the masked binary cross-entropy; clips and recipe as in the port."""

    name = "sca"
    paper = "Li et al., Micro-Expression Action Unit Detection with Spatial and Channel Attention, Neurocomputing 2021"
    inputs = ("clip",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "width": 8,
            "preprocess": {"resize": 52, "crop": 48, "frames": 6},
            "recipe": {"optimiser": "adam", "epochs": 10, "batch_size": 32, "lr": 2e-3, "schedule": "cosine"},
        },
    }

    width: int = Field(64, ge=8, multiple_of=8, description="channels of the first stage")

    preprocess: Preprocess = Preprocess(
        align="none",
        landmarks="mean-shape",
        resize=124,
        crop=112,
        frames=10,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )
    augment: Augment = Augment(flip=0.5, random_crop=True, brightness=0, contrast=0, saturation=0, temporal_jitter=True)
    recipe: Recipe = Recipe(optimiser="sgd", lr=1e-3, weight_decay=1e-3, schedule="constant", epochs=40, batch_size=32)

    def check_ready(self, *, origin: str, weights: bool) -> None:
        import_torchvision()

    def build(self, task: Task) -> nn.Module:
        if task.frames > 16:
            raise UsageError(
                f"sca: 16 frames are halved to one map, got {task.frames}; set preprocess.frames to 16 or fewer"
            )
        return SCANet(task, channels=self.preprocess.channels, width=self.width)

    def cam_layers(self, module: nn.Module) -> Mapping[str, nn.Module]:
        assert isinstance(module, SCANet)
        # what follows sees rows of products, no places
        return {"stage3": module.trunk.stages[5], "stage4": module.trunk.stages[7]}


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return SCA
