"""The baseline 3D-CNN of AU-LLM's Figure 3b: its visual backbone without what the paper adds.

Liu et al., AU-LLM, 2025; https://arxiv.org/abs/2507.21778. No LED, no squeeze-and-excitation, no language model: the
six raw frames pass the same convolutions, and one linear layer reads F_high. 2,694,472 parameters with 8 AUs.

The paper says no more of it than its name. Loss, recipe and clips are those of AU-LLM, so that a difference between the
two is one of the network.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from auharness.api import Augment, ModelPlugin, Output, Preprocess, Recipe
from auharness.api.unit import Batch
from auharness.errors import UsageError
from auharness.hookspecs import hookimpl
from auharness.losses import asl
from auharness.nn.micro3d import Micro3DCNN
from auharness.records import Task


class Baseline3DCNN(nn.Module):
    """Clip `[B,T,1,S,S]` to logits `[B,A]`."""

    def __init__(self, visual: Micro3DCNN, num_outputs: int) -> None:
        super().__init__()
        self.visual = visual
        self.head = nn.Linear(visual.high_size, num_outputs)

    def forward(self, clip: Tensor) -> Tensor:
        return self.head(self.visual(clip).high)


class CNN3D(ModelPlugin):
    """Defaults are those of AU-LLM."""

    name = "cnn3d"
    paper = "Liu et al., AU-LLM, arXiv:2507.21778, Figure 3b"
    inputs = ("clip",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "widths": (8, 16),
            "high": 64,
            "dropout": 0.1,
            "preprocess": {"resize": 48, "crop": 48},
            "recipe": {"epochs": 64, "batch_size": 32, "lr": 4e-3, "schedule": "cosine", "weight_decay": 1e-3},
        },
    }

    widths: tuple[int, int] = Field((32, 64), description="channels of the convolutions")
    high: int = Field(256, ge=1, description="length of F_high")
    dropout: float = Field(0.3, ge=0, lt=1)
    clip: float = Field(0.05, ge=0, le=1, description="margin of absent AUs in the loss")

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
        optimiser="adam", lr=3e-5, weight_decay=0.005, schedule="constant", epochs=350, batch_size=256
    )

    def build(self, task: Task) -> nn.Module:
        if task.kind == "clip-multiclass":
            raise UsageError(f"cnn3d detects action units; expected outputs such as AU12, got {task.outputs[0]}")
        visual = Micro3DCNN(
            task.frames,
            task.image_size,
            channels=self.preprocess.channels,
            widths=self.widths,
            high=self.high,
            dropout=self.dropout,
            led=False,
            se=False,
        )
        return Baseline3DCNN(visual, task.num_outputs)

    def loss(self, output: Output, batch: Batch, task: Task) -> dict[str, Tensor]:
        return {"asl": asl(output.logits, batch["target"], clip=self.clip)}

    def cam_layers(self, module: nn.Module) -> Mapping[str, nn.Module]:
        assert isinstance(module, Baseline3DCNN)
        return {"block1": module.visual.block1, "block2": module.visual.block2}

    def parameter_groups(self, module: nn.Module) -> Sequence[Mapping[str, Any]]:
        # one group, as in AU-LLM
        return [{"params": list(module.parameters())}]


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return CNN3D
