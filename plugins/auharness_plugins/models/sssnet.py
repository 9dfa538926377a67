"""SSSNet: a shallow network on optical flow.

Varanka, Peng, Zhao, Micro-Expression Recognition with Noisy Labels, IS&T Electronic Imaging 2021; the form here is the
one of https://github.com/tvaranka/meb (Apache-2.0), `meb/models/me_networks.py`, written anew from its description.
1,350,536 parameters with 8 AUs.

Differs from the benchmark in how the flow is made, because its flow needs MATLAB and an apex label:
- Lucas and Kanade's local least squares in place of "Secrets of optical flow".
- from the first frame to the sampled frame that differs most from it, so that no apex label is read.
- grey crops of the same size, instead of larger ones.
Horizontal and vertical motion and strain are scaled to [0, 1] each, as there. The learning rate is not published; it is
that of SSSNet-LED.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from auharness.api import Augment, ModelPlugin, Preprocess, Recipe
from auharness.errors import UsageError
from auharness.hookspecs import hookimpl
from auharness.records import Task

WINDOW = 7
"""Side of the square over which one motion is assumed, in pixels."""
RIDGE = 1e-5
"""Added to the squared gradients of [0, 1] pixels: where there is no texture the motion is 0."""


def lucas_kanade(first: Tensor, second: Tensor) -> Tensor:
    """Return the motion from one image to another, `[B,2,H,W]` in pixels: to the right, then down.

    One linear step of least squares over `WINDOW`, made for motions well below a pixel.

    Args:
        first: `[B,1,H,W]` in [0, 1].
        second: like `first`.
    """
    across, down = _gradients((first + second) / 2)
    change = second - first
    products = torch.cat(
        (across * across, across * down, down * down, across * change, down * change),
        dim=1,
    )
    means = F.avg_pool2d(products, WINDOW, stride=1, padding=WINDOW // 2, count_include_pad=False)
    xx, xy, yy, xt, yt = means.unbind(1)
    xx, yy = xx + RIDGE, yy + RIDGE
    determinant = xx * yy - xy * xy
    return torch.stack((xy * yt - yy * xt, xy * xt - xx * yt), dim=1) / determinant[:, None]


def flow_image(clip: Tensor) -> Tensor:
    """Return `[B,3,H,W]` in [0, 1]: horizontal and vertical motion and strain, each over its range in the sample.

    The motion leads from the first frame to the frame that differs most from it in the mean.

    Args:
        clip: `[B,T,1,H,W]` in [0, 1].
    """
    first = clip[:, 0]
    difference = (clip[:, 1:] - clip[:, :1]).abs().flatten(2).mean(dim=2)
    farthest = 1 + difference.argmax(dim=1)
    second = clip.gather(1, farthest.view(-1, 1, 1, 1, 1).expand(-1, 1, *clip.shape[2:]))[:, 0]
    motion = lucas_kanade(first, second)
    (u_x, u_y), (v_x, v_y) = _gradients(motion[:, :1]), _gradients(motion[:, 1:])
    strain = (u_x.square() + v_y.square() + (u_y + v_x).square() / 2).sqrt()
    channels = torch.cat((motion, strain), dim=1)
    low, high = channels.amin(dim=(2, 3), keepdim=True), channels.amax(dim=(2, 3), keepdim=True)
    return (channels - low) / (high - low).clamp(min=1e-12)


def _gradients(image: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences of `[B,1,H,W]` to the right and down, the border repeated."""
    wide = F.pad(image, (1, 1, 1, 1), mode="replicate")
    return (wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2]) / 2, (wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]) / 2


class SSSNetNet(nn.Module):
    """Clip `[B,T,1,S,S]` in [0, 1] to logits `[B,A]`."""

    def __init__(self, task: Task, *, widths: tuple[int, int], hidden: int, dropout: float) -> None:
        super().__init__()
        first, second = widths
        side = ((task.image_size - 4) // 3 - 2) // 2
        if side < 1 or task.frames < 2:
            raise UsageError(
                f"sssnet needs crops of 16 px and 2 frames, got {task.image_size} px and {task.frames}; set "
                "preprocess.crop and preprocess.frames"
            )
        self.layers = nn.Sequential(
            nn.Conv2d(3, first, 5),
            nn.ReLU(),
            nn.MaxPool2d(3),
            nn.BatchNorm2d(first),
            nn.Dropout2d(dropout),
            nn.Conv2d(first, second, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(second),
            nn.Dropout2d(dropout),
            nn.Flatten(),
            nn.Linear(second * side**2, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, task.num_outputs),
        )

    def forward(self, clip: Tensor) -> Tensor:
        with torch.no_grad():
            flow = flow_image(clip)
        return self.layers(flow)


class SSSNet(ModelPlugin):
    """Trained from scratch with the masked binary cross-entropy."""

    name = "sssnet"
    paper = "Varanka et al., Micro-Expression Recognition with Noisy Labels, Electronic Imaging 2021"
    inputs = ("clip",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "widths": (8, 16),
            "hidden": 64,
            "dropout": 0.1,
            "preprocess": {"resize": 48, "crop": 48},
            "recipe": {"epochs": 64, "batch_size": 32, "lr": 2e-3, "schedule": "cosine"},
        },
    }

    widths: tuple[int, int] = Field((32, 64), description="channels of the convolutions")
    hidden: int = Field(256, ge=1, description="units of the hidden layer")
    dropout: float = Field(0.5, ge=0, lt=1)

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
    recipe: Recipe = Recipe(
        optimiser="adam", lr=1e-4, weight_decay=1e-3, schedule="constant", epochs=200, batch_size=64
    )

    def build(self, task: Task) -> nn.Module:
        if self.preprocess.channels != 1:
            raise UsageError("sssnet: the motion is found in grey images; expected preprocess.channels=1, got 3")
        return SSSNetNet(task, widths=self.widths, hidden=self.hidden, dropout=self.dropout)


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return SSSNet
