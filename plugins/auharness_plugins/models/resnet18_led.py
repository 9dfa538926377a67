"""ResNet18-LED: learnable Eulerian dynamics in front of a ResNet-18.

Varanka, Peng, Zhao, Learnable Eulerian Dynamics for Micro-Expression Action Unit Detection, SCIA 2023, is what AU-LLM
cites for its rows "Resnet18 LED"; no code of such a network is public, so this is our reading, in two forms. `video`:
the five filtered frames pass the 3D ResNet-18 of action recognition with a stem of one channel. Variant `stack`: they
are the channels of a 2D ResNet-18, as the raw frames are for `resnet18`.

The raw first frame that LED passes on is dropped, and LED's constants learn at 1,000 times the rate of all else, both
as in SSSNet-LED; clips and recipe are otherwise those of `resnet18`. 33,151,563 parameters with 8 AUs, 11,186,891 as a
stack.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from auharness.api import Augment, ModelPlugin, Preprocess, Recipe
from auharness.errors import UsageError
from auharness.hookspecs import hookimpl
from auharness.nn.cam_layers import stage_layers
from auharness.nn.led import LED
from auharness.nn.resnet2d import ClipResNet
from auharness.nn.resnet3d import ResNet3D18
from auharness.nn.vision import import_torchvision
from auharness.records import Task


class FilteredNet(nn.Module):
    """Clip `[B,T,C,S,S]` to what a network says of its T - 1 filtered frames."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.led = LED()
        self.net = net

    def forward(self, clip: Tensor) -> Tensor:
        # the first frame is the raw one
        return self.net(self.led(clip)[:, 1:])


class ResNet18LED(ModelPlugin):
    """Trained from scratch with the masked binary cross-entropy."""

    name = "resnet18-led"
    paper = "Varanka et al., Learnable Eulerian Dynamics for Micro-Expression Action Unit Detection, SCIA 2023"
    inputs = ("clip",)
    cam_first_frame = 1  # LED leaves out frame 0
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "width": 8,
            "led_lr_scale": 10.0,
            "preprocess": {"resize": 32, "crop": 32},
            "recipe": {"epochs": 10, "batch_size": 32, "lr": 2e-3, "schedule": "cosine"},
        },
        "video": {"form": "video"},
        "stack": {"form": "stack"},
    }
    variants = ("video", "stack")

    form: Literal["video", "stack"] = Field("video", description="3D convolutions, or frames as channels")
    width: int = Field(64, ge=1, description="channels of the first stage")
    led_lr_scale: float = Field(1000.0, gt=0, description="learning rate of LED's constants / of all else")

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
    recipe: Recipe = Recipe(optimiser="adam", lr=1e-4, weight_decay=1e-3, schedule="constant", epochs=50, batch_size=64)

    def check_ready(self, *, origin: str, weights: bool) -> None:
        import_torchvision()

    def build(self, task: Task) -> nn.Module:
        if task.frames < 2:
            raise UsageError(f"resnet18-led: LED needs 2 frames, got {task.frames}; set preprocess.frames")
        channels = self.preprocess.channels
        if self.form == "video":
            return FilteredNet(ResNet3D18(task.num_outputs, channels=channels, width=self.width))
        return FilteredNet(ClipResNet(task.frames - 1, task.num_outputs, channels=channels, width=self.width))

    def cam_layers(self, module: nn.Module) -> Mapping[str, nn.Module]:
        return stage_layers(module)

    def parameter_groups(self, module: nn.Module) -> Sequence[Mapping[str, Any]]:
        assert isinstance(module, FilteredNet)
        return [
            {"params": list(module.net.parameters())},
            {"params": list(module.led.parameters()), "lr_scale": self.led_lr_scale},
        ]


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return ResNet18LED
