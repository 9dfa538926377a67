"""SP: a student whose clips resemble each other as they do for its teacher.

Tung and Mori, Similarity-Preserving Knowledge Distillation, ICCV 2019; https://arxiv.org/abs/1907.09682.

A ResNet-18 learns from a ResNet-34 that is trained first, in the same fold on the same rows. Which networks and weights
stand behind the rows SP and SP-18 in Tables 1 and 2 of AU-LLM is not published; this is our reading.
Clips and recipe are those of `resnet18`, which the student is once it is trained.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from auharness.api import Augment, ModelPlugin, Predictor, Preprocess, Recipe, Unit
from auharness.hookspecs import hookimpl
from auharness.losses import similarity_preserving
from auharness.nn.cam_layers import stage_layers
from auharness.nn.resnet2d import ClipResNet, View
from auharness.nn.vision import import_torchvision
from auharness.records import Task
from auharness.training.distillation import TeacherStudent, distil, train_teacher


class SimilarityPreserving(ModelPlugin):
    """Similarities of the maps behind the last stage, beside the masked binary cross-entropy."""

    name = "kd-sp"
    paper = "Tung and Mori, Similarity-Preserving Knowledge Distillation, ICCV 2019"
    inputs = ("clip",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "weight": 10.0,
            "width": 8,
            "preprocess": {"resize": 40, "crop": 40},
            "recipe": {"epochs": 16, "batch_size": 32, "lr": 2e-3, "schedule": "cosine"},
        },
    }

    weight: float = Field(3000.0, ge=0, description="gamma of the similarity loss")  # sec. 4.1
    view: View = Field("stack", description="all frames, or the changes since the first one, as channels")
    width: int = Field(64, ge=1, description="channels of the first stage, of teacher and student")

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
        return self._net(task)

    def cam_layers(self, module: nn.Module) -> Mapping[str, nn.Module]:
        return stage_layers(module)

    def fit(self, unit: Unit) -> Predictor:
        teacher = train_teacher(unit, self, partial(self._net, depth=34))
        return distil(unit, self, self._pair, transfer=self._transfer, weights=teacher)

    def _transfer(self, aux: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"similarity": self.weight * similarity_preserving(aux["student3"], aux["teacher3"])}

    def _pair(self, task: Task) -> nn.Module:
        return TeacherStudent(self._net(task), self._net(task, depth=34))

    def _net(self, task: Task, *, depth: int = 18) -> ClipResNet:
        channels = self.preprocess.channels
        return ClipResNet(
            task.frames, task.num_outputs, depth=depth, channels=channels, width=self.width, view=self.view
        )


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return SimilarityPreserving
