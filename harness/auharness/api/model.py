"""The model interface: what a network needs and how it learns."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from auharness.api.base import Plugin
from auharness.api.recipe import Augment, Preprocess, Recipe
from auharness.errors import DataError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from auharness.api.unit import Batch, KeptFrames, Predictor, Unit
    from auharness.records import Task

__all__ = ["INPUTS", "ModelPlugin", "Output"]

INPUTS = ("image", "clip", "landmarks", "landmarks_valid", "time_s", "audio", "audio_valid", "frame_s")
"""Batch keys that a module may ask for: pixels and sound of a sample, and what is found in them without a label."""

_DECAY_RATE = re.compile(r"(^|\.)A(_\w+)?_log$")
"""Names of a state-space mixer's rates, `A_log` and `A_b_log`."""


@dataclass(slots=True)
class Output:
    """What a module may return when its loss needs more than the logits."""

    logits: Tensor
    """`[B,A]`, or `[B,T,A]` for one prediction per frame."""
    aux: Mapping[str, Tensor] = field(default_factory=dict)


class ModelPlugin(Plugin):
    """One model; the author names the inputs and writes `build`, everything else has a default."""

    inputs: ClassVar[tuple[str, ...]] = ("image",)
    """Batch keys out of `INPUTS`, given to the module in this order."""
    per_frame: ClassVar[bool] = False
    """Whether the model reads windows of a recording and answers for each of their frames, `[B,T,A]`."""
    score_kind: ClassVar[str] = "logit"
    """`logit`, `probability` or `margin`: what the outputs are; a probability decides at 0.5, the others at 0."""
    variants: ClassVar[tuple[str, ...]] = ()
    """Presets that are rows of the ablation table, in the paper's order."""
    crossed: ClassVar[tuple[str, ...]] = ()
    """Presets with which `run --ablation` combines every variant and control, one at a time, e.g. language models; all
    of them or, where a preset or flag sets the same settings, none."""
    controls: ClassVar[tuple[str, ...]] = ()
    """Rows that the paper's ablation lacks and `run --ablation` adds: presets, several joined by a comma, or names of
    other models."""
    uncrossed: ClassVar[tuple[str, ...]] = ()
    """Those of `controls` that are the same with each of `crossed`, so that they run once; other models always are."""
    traces: ClassVar[Mapping[str, str]] = {}
    """Entries of `Output.aux` that are weights over time, `[B,C,T]`, and what they are; `explain` draws them."""
    cam_first_frame: ClassVar[int] = 0
    """First frame of a clip that reaches the layers of `cam_layers`; 1 where a filter leaves out frame 0."""
    pretrained_on: ClassVar[str] = ""
    """Data behind the paper's starting weights, for the record."""
    extra_data: ClassVar[str] = ""
    """Other data that training uses beyond the protocol's, for the record."""
    uses_apex: ClassVar[bool] = False
    """Whether the model knows the annotated apex of the clips that it is tested on. No batch holds it, so a model has
    it from a file of its own; then it says so here, and its record and row do."""

    preprocess: Preprocess = Preprocess()
    augment: Augment = Augment()
    recipe: Recipe = Recipe()
    init: str = "none"
    """Starting weights: `none`, `weights` (given by `--weights FILE.safetensors`) or `hf:NAME`."""

    @property
    def unused(self) -> tuple[str, ...]:
        """Names (fnmatch patterns) of trainable parameters that have no gradient, e.g. of a switched-off branch."""
        return ()

    @abstractmethod
    def build(self, task: Task) -> nn.Module:
        """Return an untrained module that is called as `module(*(batch[name] for name in inputs))`."""

    def loss(self, output: Output, batch: Batch, task: Task) -> dict[str, Tensor]:
        """Return named loss terms (scalars) that are summed; default: masked BCE, or cross-entropy for classes."""
        from auharness.losses.default import default_loss

        return default_loss(output.logits, batch["target"], task)

    def monitor(self, output: Output, batch: Batch, task: Task) -> dict[str, Tensor]:
        """Return named scalars that the log shows beside the loss terms and that train nothing; default none.

        Called without gradients for each training batch, and for each batch of inner-val, where `output.aux` is empty.
        """
        return {}

    def parameter_groups(self, module: nn.Module) -> Sequence[Mapping[str, Any]]:
        """Return optimiser groups; each trainable parameter in exactly one. `lr_scale` multiplies the recipe's rate.

        The default exempts from weight decay biases, norms and other vectors, and the rates `A_log` of state-space
        mixers, as their authors do.
        """
        decay: list[nn.Parameter] = []
        plain: list[nn.Parameter] = []
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                exempt = parameter.ndim <= 1 or _DECAY_RATE.search(name) is not None
                (plain if exempt else decay).append(parameter)
        return [group for group in ({"params": decay}, {"params": plain, "weight_decay": 0.0}) if group["params"]]

    def load_weights(self, module: nn.Module, weights: Mapping[str, Tensor]) -> Sequence[str]:
        """Copy starting weights into a fresh module and return the names of its parameters that were not in them.

        The default takes every tensor whose name and shape fit and refuses weights of which none fits.
        """
        from auharness.nn.weights import load_matching

        return load_matching(module, weights)

    def check_ready(self, *, origin: str, weights: bool) -> None:
        """Refuse a run that cannot give the paper's number, before any data is read.

        Args:
            origin: `licensed` or `synthetic`.
            weights: whether `--weights` was given.

        Raises:
            DataError: naming what is missing and the flags that cure it.
        """

    def missing(self) -> str:
        """Return what the model needs beside the data and this machine lacks, in one line with its cure.

        Empty for nothing, the default. `plan` shows it, so only files are looked at, and nothing is loaded.
        """
        return ""

    def fetch(self) -> None:
        """Have on this machine what is `missing`; called once by a run, before its first unit starts.

        Raises:
            DataError: if it cannot be had; the default fetches nothing.
        """
        missing = self.missing()
        if missing:
            raise DataError(missing)

    @property
    def timed_by_a_step(self) -> bool:
        """Whether `plan` may build the network and tell a unit's time from one step; default with the default `fit`."""
        return type(self).fit is ModelPlugin.fit

    def fit(self, unit: Unit) -> Predictor:
        """Train on `unit.train_data` and return the fitted model; the default is the one training loop."""
        return unit.train(self)

    def cam_layers(self, module: nn.Module) -> Mapping[str, nn.Module]:
        """Return the layers whose activations `explain` can map onto the face, by name, the deepest last.

        A layer gives `[B,C,T',H,W]`, `[B*T',C,H,W]` (the frames of a clip beside each other) or `[B,C,H,W]`, once per
        forward pass; of a tuple the first entry counts. The default is the last 2D or 3D convolution.
        """
        from auharness.nn.cam_layers import last_conv

        return last_conv(module)

    def trace_channels(self) -> Mapping[str, Sequence[str]]:
        """Return names for the C channels of some of `traces`; default none."""
        return {}

    def kept_frames(self) -> KeptFrames | None:
        """Return what is made of every frame once and kept, for a model of windows; default none.

        `clip` then holds that, `[B,T,*shape]` float16, in the place of pixels, and no picture is varied.
        """
        return None

    def shared(self, device: torch.device) -> object | None:
        """Return what all units of one process share, e.g. a frozen base model; default none.

        Called before the clock of each unit starts. The result is not passed on: keep it in a cache that `build` reads
        too, so that only the first call of a process takes long.
        """
        return None
