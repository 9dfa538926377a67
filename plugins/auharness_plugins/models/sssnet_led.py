"""SSSNet-LED: learnable Eulerian dynamics in front of a shallow 3D network.

Varanka, Peng, Zhao, Learnable Eulerian Dynamics for Micro-Expression Action Unit Detection, SCIA 2023. Original code:
the notebook LED.ipynb of https://github.com/tvaranka/meb (Apache-2.0); written anew here from its description.
2,694,475 parameters with 8 AUs.

Differs from the notebook in:
- LED's matrix is 0 below the diagonal; the notebook leaves memory there as it finds it.
- the filtered frames are divided by the sum of magnitudes plus 1e-8 on [0, 1] pixels, as in AU-LLM; there 1 on 0..255.
- the rate of LED's constants stays at 1,000 times the others'; there it falls to a tenth at epoch 50.
- training clips end at a random frame (uniform); there it is a noisier sampler, of which one branch is never reached.
The recipe is the one of the CD6ME benchmark; the recipe behind the rows in other papers' tables is not published.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from auharness.api import Augment, ModelPlugin, Preprocess, Recipe
from auharness.hookspecs import hookimpl
from auharness.nn.led import LED
from auharness.nn.micro3d import micro3d_size
from auharness.records import Task


class SSSNetLEDNet(nn.Module):
    """Clip `[B,T,1,S,S]` to logits `[B,A]`."""

    def __init__(self, task: Task, *, channels: int, widths: tuple[int, int], hidden: int, dropout: float) -> None:
        super().__init__()
        first, second = widths
        self.led = LED()
        self.layers = nn.Sequential(
            nn.Conv3d(channels, first, (1, 5, 5)),
            nn.ReLU(),
            nn.MaxPool3d((1, 3, 3)),
            nn.BatchNorm3d(first),
            nn.Dropout3d(dropout),
            nn.Conv3d(first, second, (2, 3, 3)),
            nn.ReLU(),
            nn.MaxPool3d(2),
            nn.BatchNorm3d(second),
            nn.Dropout3d(dropout),
            nn.Flatten(),
            nn.Linear(second * micro3d_size(task.frames - 1, task.image_size), hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, task.num_outputs),
        )

    def forward(self, clip: Tensor) -> Tensor:
        # the first frame is the raw one
        return self.layers(self.led(clip)[:, 1:].transpose(1, 2))


class SSSNetLED(ModelPlugin):
    """Trained from scratch with the masked binary cross-entropy."""

    name = "sssnet-led"
    paper = "Varanka et al., Learnable Eulerian Dynamics for Micro-Expression Action Unit Detection, SCIA 2023"
    inputs = ("clip",)
    cam_first_frame = 1  # LED leaves out frame 0
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "widths": (8, 16),
            "hidden": 64,
            "dropout": 0.1,
            "led_lr_scale": 10.0,
            "preprocess": {"resize": 48, "crop": 48},
            "recipe": {"epochs": 64, "batch_size": 32, "lr": 2e-3, "schedule": "cosine"},
        },
    }

    widths: tuple[int, int] = Field((32, 64), description="channels of the convolutions")
    hidden: int = Field(256, ge=1, description="units of the hidden layer")
    dropout: float = Field(0.5, ge=0, lt=1)
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
    recipe: Recipe = Recipe(
        optimiser="adam", lr=1e-4, weight_decay=1e-3, schedule="constant", epochs=400, batch_size=64
    )

    def build(self, task: Task) -> nn.Module:
        return SSSNetLEDNet(
            task, channels=self.preprocess.channels, widths=self.widths, hidden=self.hidden, dropout=self.dropout
        )

    def parameter_groups(self, module: nn.Module) -> Sequence[Mapping[str, Any]]:
        assert isinstance(module, SSSNetLEDNet)
        return [
            {"params": list(module.layers.parameters())},
            {"params": list(module.led.parameters()), "lr_scale": self.led_lr_scale},
        ]


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return SSSNetLED
