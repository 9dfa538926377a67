"""Teacher and student: a larger network is trained first, on the same rows, and a smaller one learns from it too."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from auharness.api import Batch, ModelPlugin, Output, Predictor, Unit
from auharness.nn.resnet2d import ClipResNet
from auharness.records import Task

__all__ = ["Learner", "StudentPredictor", "TeacherStudent", "distil", "train_hints", "train_teacher"]

Make = Callable[[Task], nn.Module]
Terms = Callable[[Output, Batch, Task], dict[str, Tensor]]
Transfer = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""From the `aux` of `TeacherStudent` to named loss terms."""


class TeacherStudent(nn.Module):
    """Clip `[B,T,C,H,W]` to the student's logits; while training, `aux` holds what both networks see.

    `aux`: `student0` to `student3` and `teacher0` to `teacher3`, the maps behind the stages; `student_logits` and
    `teacher_logits`; with `guided`, `regressed`, the student's map of that stage in the teacher's channels. The teacher
    stays in evaluation mode and never learns.

    Args:
        student: learns.
        teacher: of the same view, with stages of the same sizes.
        guided: stage, from 0, whose map is regressed by a 1x1 convolution; None for no regressor.
    """

    def __init__(self, student: ClipResNet, teacher: ClipResNet, *, guided: int | None = None) -> None:
        super().__init__()
        self.student = student
        self.teacher = teacher.requires_grad_(False)
        self.guided = guided
        self.regressor = None if guided is None else nn.Conv2d(student.widths[guided], teacher.widths[guided], 1)

    def train(self, mode: bool = True) -> "TeacherStudent":
        """Set the mode of the student; the teacher keeps the statistics that it was trained with."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, clip: Tensor) -> Output:
        """Return logits `[B,A]`, and `aux` while training."""
        maps = self.student.stages(clip)
        logits = self.student.classify(maps[-1])
        if not self.training:
            return Output(logits)
        with torch.no_grad():
            taught = self.teacher.stages(clip)
            aux = {"student_logits": logits, "teacher_logits": self.teacher.classify(taught[-1])}
        aux |= {f"student{stage}": found for stage, found in enumerate(maps)}
        aux |= {f"teacher{stage}": found for stage, found in enumerate(taught)}
        if self.regressor is not None and self.guided is not None:
            aux["regressed"] = self.regressor(maps[self.guided])
        return Output(logits, aux)


class Learner(ModelPlugin):
    """What the training loop is given in the place of the plugin: another network, another loss, its recipe."""

    name: ClassVar[str] = "learner"
    inputs: ClassVar[tuple[str, ...]] = ("clip",)

    make: Make
    terms: Terms

    def build(self, task: Task) -> nn.Module:
        """Return what `make` makes."""
        return self.make(task)

    def loss(self, output: Output, batch: Batch, task: Task) -> dict[str, Tensor]:
        """Return what `terms` returns."""
        return self.terms(output, batch, task)


class StudentPredictor:
    """The student alone, out of a trained `TeacherStudent`; implements `auharness.api.Predictor`."""

    def __init__(self, pair: Any) -> None:
        self._pair = pair
        self.module: nn.Module = pair.module.student
        self.chosen_epoch: int | None = getattr(pair, "chosen_epoch", None)
        self.epochs: int | None = getattr(pair, "epochs", None)

    def __call__(self, batch: Batch) -> Tensor:
        """Return scores `[B,A]`."""
        scores: Tensor = self._pair(batch)
        return scores

    def state(self) -> Mapping[str, Tensor]:
        """Return the student's weights, under the names of the network that stands alone."""
        return self.module.state_dict()


def train_teacher(unit: Unit, plugin: ModelPlugin, make: Make) -> dict[str, Tensor]:
    """Train a teacher on the unit's rows with the plugin's loss and recipe; return its weights as `teacher.*`."""
    fitted = unit.train(_learner(plugin, make, plugin.loss), stage="teacher")
    return {f"teacher.{name}": value for name, value in fitted.state().items()}


def train_hints(
    unit: Unit, plugin: ModelPlugin, make: Make, *, transfer: Transfer, epochs: int, teacher: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Train a fresh student on the transfer terms alone; return its weights as `student.*`.

    Args:
        unit: rows and seed.
        plugin: gives recipe and clips.
        make: a `TeacherStudent`.
        transfer: the loss.
        epochs: of this stage.
        teacher: from `train_teacher`.
    """
    learner = _learner(plugin, make, lambda output, batch, task: transfer(output.aux), epochs=epochs)
    state = unit.train(learner, stage="hints", weights=teacher).state()
    return {name: value for name, value in state.items() if name.startswith("student.")}


def distil(
    unit: Unit, plugin: ModelPlugin, make: Make, *, transfer: Transfer, weights: Mapping[str, Tensor]
) -> Predictor:
    """Train a student on the plugin's loss and the transfer terms.

    Args:
        unit: rows and seed.
        plugin: gives loss, recipe and clips.
        make: a `TeacherStudent`.
        transfer: further loss terms.
        weights: from `train_teacher`, and from `train_hints` where the student does not start afresh.
    """

    def terms(output: Output, batch: Batch, task: Task) -> dict[str, Tensor]:
        return {**plugin.loss(output, batch, task), **transfer(output.aux)}

    return StudentPredictor(unit.train(_learner(plugin, make, terms), weights=weights))


def _learner(plugin: ModelPlugin, make: Make, terms: Terms, *, epochs: int | None = None) -> Learner:
    recipe = plugin.recipe if epochs is None else plugin.recipe.model_copy(update={"epochs": epochs})
    return Learner(make=make, terms=terms, preprocess=plugin.preprocess, augment=plugin.augment, recipe=recipe)
