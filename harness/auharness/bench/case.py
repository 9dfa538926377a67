"""Which model is measured: a plugin at a preset, with the labels of the data set that trains it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from auharness import registry
from auharness.api import DatasetPlugin, ModelPlugin
from auharness.bench.naming import network_digest, training_sets
from auharness.errors import UsageError
from auharness.records import Task, au_name
from auharness.settings import resolve
from auharness.testing import fake_batch

__all__ = ["Case", "Subject", "accepting", "reads"]


@dataclass(frozen=True)
class Case:
    """One model to be measured; `subject` builds it."""

    model: str
    presets: tuple[str, ...]
    dataset: str
    """Its labels are the outputs, its `by_dataset` settings hold."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Nested settings above the presets."""
    side: int | None = None
    """Pixels per side of the input instead of the preset's."""

    @property
    def preset(self) -> str:
        """The presets as text, e.g. `paper,baseline`."""
        return ",".join(self.presets)

    def subject(self) -> "Subject":
        """Return what is measured; weights are random, so that no file is needed.

        Raises:
            UsageError: a preset or setting is unknown or wrong.
        """
        dataset: type[DatasetPlugin] = registry.load("dataset", self.dataset)
        plugin = self._plugin({"init": "none"}, {})
        outputs = tuple(map(au_name, dataset.aus)) or dataset.classes
        ones, twos = (1,) * len(outputs), (2,) * len(outputs)
        task = Task(outputs, dataset.kind, self.dataset, ones, twos, plugin.preprocess.crop, plugin.preprocess.frames)
        return Subject(plugin, task)

    def _plugin(self, *extra: Mapping[str, Any]) -> ModelPlugin:
        """Resolve with the first of the layers that the plugin takes."""
        loaded: type[ModelPlugin] = registry.load("model", self.model)
        given = [("--set", self.settings)]
        for layer in extra[:-1]:
            try:
                return self._sized(loaded, [*given, ("bench", layer)])
            except UsageError:
                continue
        return self._sized(loaded, [*given, ("bench", extra[-1])])

    def _sized(self, loaded: type[ModelPlugin], layers: list[tuple[str, Mapping[str, Any]]]) -> ModelPlugin:
        options: dict[str, Any] = {"dataset": self.dataset, "presets": self.presets}
        plugin = resolve(loaded, layers=layers, **options).plugin
        if self.side is None:
            return plugin
        before = plugin.preprocess
        # the margin that is cut away grows with the crop
        resize = round(before.resize * self.side / before.crop)
        sized = {"preprocess": {"crop": self.side, "resize": resize}}
        return resolve(loaded, layers=[*layers, ("--input", sized)], **options).plugin


@dataclass(frozen=True)
class Subject:
    """A plugin with all its settings, and the task that it is built for."""

    plugin: ModelPlugin
    task: Task

    @property
    def network(self) -> str:
        """What tells the network from others of its plugin, see `network_digest`."""
        return network_digest(self.plugin.model_dump(mode="json"))

    def module(self, device: torch.device | str) -> nn.Module:
        """Return the network in evaluation mode, its random weights drawn from a fixed seed.

        Raises:
            UsageError: the plugin refuses this task.
        """
        meta = torch.device(device).type == "meta"
        with torch.random.fork_rng(devices=[]), torch.device("meta" if meta else "cpu"):
            torch.manual_seed(0)
            return self.plugin.build(self.task).to(device).eval()

    def inputs(self, device: torch.device | str, *, batch: int = 1) -> dict[str, Tensor]:
        """Return the inputs of the network by name, the first axis of each the batch; the samples are equal."""
        sample = fake_batch(self.plugin, self.task, size=1)
        named: dict[str, Tensor] = {name: sample[name].to(device) for name in self.plugin.inputs}
        return {name: x.repeat(batch, *(1,) * (x.ndim - 1)) for name, x in named.items()}


def accepting(model: str, presets: Sequence[str], settings: Mapping[str, Any] | None = None) -> Iterator[str]:
    """Yield the data sets that a model can train on, those that train most protocols first, each seen to build.

    Raises:
        UsageError: a preset or setting is unknown or wrong.
    """
    for name in training_sets():
        subject = Case(model, tuple(presets), name, settings or {}).subject()
        if not reads(subject.plugin, subject.task.kind):
            continue
        try:
            subject.module("meta")
        except UsageError:
            continue
        except Exception:  # what breaks is for the measurement to tell
            pass
        yield name


def reads(plugin: ModelPlugin, kind: str) -> bool:
    """Return whether a run pairs the plugin with labels of this kind."""
    if plugin.per_frame:
        return kind == "frame-multilabel"
    if "clip" in plugin.inputs:
        return kind != "frame-multilabel"
    return kind == "frame-multilabel" or type(plugin).fit is not ModelPlugin.fit
