"""FitNet: a student whose first half is trained on its teacher's features before it sees a label.

Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015; https://arxiv.org/abs/1412.6550.

A ResNet-18 learns from a ResNet-34 that is trained first, in the same fold on the same rows. Which networks and weights
stand behind the rows Fitnet and Fit-18 in Tables 1 and 2 of AU-LLM is not published; this is our reading.
Clips and recipe are those of `resnet18`, which the student is once it is trained.

Two stages for the student, as in the paper: up to the guided stage on the hint loss, through a 1x1 convolution, then as
a whole on the labels and the teacher's softened answers. The paper lets the weight of the latter fall during training;
here it stays. Its students are thinner than their teachers, ours is only shallower.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from auharness.api import Augment, ModelPlugin, Predictor, Preprocess, Recipe, Unit
from auharness.hookspecs import hookimpl
from auharness.losses import hint, soft_targets
from auharness.nn.cam_layers import stage_layers
from auharness.nn.resnet2d import ClipResNet, View
from auharness.nn.vision import import_torchvision
from auharness.records import Task
from auharness.training.distillation import TeacherStudent, distil, train_hints, train_teacher


class FitNet(ModelPlugin):
    """Hints behind the second of four stages, then labels and soft targets."""

    name = "kd-fitnet"
    paper = "Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015"
    inputs = ("clip",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "tiny": {
            "width": 8,
            "hint_epochs": 4,
            "preprocess": {"resize": 40, "crop": 40},
            "recipe": {"epochs": 14, "batch_size": 32, "lr": 2e-3, "schedule": "cosine"},
        },
    }

    guided: int = Field(2, ge=1, le=4, description="stage of the student that learns from the teacher's same stage")
    hint_epochs: int = Field(20, ge=1, description="epochs on the hint loss")
    weight: float = Field(1.0, ge=0, description="lambda of the soft targets")
    temperature: float = Field(3.0, gt=0, description="tau of the soft targets")  # sec. 3
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
        hinted = train_hints(
            unit, self, self._guided_pair, transfer=self._hint, epochs=self.hint_epochs, teacher=teacher
        )
        return distil(unit, self, self._pair, transfer=self._soft, weights={**teacher, **hinted})

    def _hint(self, aux: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"hint": hint(aux["regressed"], aux[f"teacher{self.guided - 1}"])}

    def _soft(self, aux: Mapping[str, Tensor]) -> dict[str, Tensor]:
        soft = soft_targets(aux["student_logits"], aux["teacher_logits"], temperature=self.temperature)
        return {"soft": self.weight * soft}

    def _guided_pair(self, task: Task) -> nn.Module:
        return TeacherStudent(self._net(task), self._net(task, depth=34), guided=self.guided - 1)

    def _pair(self, task: Task) -> nn.Module:
        return TeacherStudent(self._net(task), self._net(task, depth=34))

    def _net(self, task: Task, *, depth: int = 18) -> ClipResNet:
        channels = self.preprocess.channels
        return ClipResNet(
            task.frames, task.num_outputs, depth=depth, channels=channels, width=self.width, view=self.view
        )


@hookimpl
def auharness_model() -> type[ModelPlugin]:
    return FitNet
