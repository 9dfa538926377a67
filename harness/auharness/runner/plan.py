"""The plan: resolved settings with their origins, folds and seeds as units, and what is missing to run them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from auharness import __version__, registry
from auharness.api import ModelPlugin
from auharness.data.cache import CropSettings
from auharness.data.index import Index, build_index
from auharness.data.verify import verify
from auharness.errors import UsageError, near
from auharness.executors.environment import cores
from auharness.executors.placement import Placement, place
from auharness.records import Fold
from auharness.results.atomic import digest, file_digest
from auharness.results.schema import DataInfo, UnitRef
from auharness.runner.inputs import Inputs
from auharness.runner.model import resolve_model
from auharness.runner.request import Request
from auharness.runner.trial import try_network
from auharness.settings import Resolved
from auharness.training.unit import check_precision

__all__ = ["Plan", "crop_settings", "make_plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is decided before the first unit."""

    inputs: Inputs
    presets: tuple[str, ...]
    model: Resolved[ModelPlugin]
    index: Index
    folds: tuple[Fold, ...]
    fold_names: tuple[str, ...]
    """All folds of the protocol in its order, of which `folds` are planned."""
    data: DataInfo
    run_id: str
    units: tuple[UnitRef, ...]
    placement: Placement

    @property
    def plugin(self) -> ModelPlugin:
        """The model with its resolved settings."""
        return self.model.plugin

    @property
    def jobs(self) -> int:
        """Processes at once: as asked, else one on a GPU; one more than cores on a CPU, so few sit idle at the end."""
        request = self.inputs.request
        if request.jobs is not None:
            return request.jobs
        if _on_gpu(request.device):
            return 1
        return min(len(self.units), max(1, (cores() + 1) // self.plugin.recipe.devices))

    @property
    def preset(self) -> str:
        """The composed presets as one text."""
        return ",".join(self.presets)


def make_plan(inputs: Inputs) -> Plan:
    """Index the data, resolve the model and list the units.

    Raises:
        UsageError: if a preset, setting or fold is wrong.
        DataError: if data are missing or bad, or the model cannot give the paper's number with what is there.
    """
    request, protocol = inputs.request, inputs.protocol
    _check_device(request)
    presets, model = resolve_model(request, protocol, origin=inputs.origin)
    if request.executor == "local":
        check_precision("cuda" if _on_gpu(request.device) else "cpu", model.plugin.recipe.precision)
    devices = _check_devices(model.plugin, request)
    placement = place(request.executor, request.resources, devices=devices, gpu=_on_gpu(request.device))
    indexes = [build_index(dataset) for dataset in inputs.datasets.values()]
    index = indexes[0] if len(indexes) == 1 else Index.concat(indexes)
    every = tuple(protocol.folds(index))
    folds = _chosen(every, request.folds, protocol.name)
    data = DataInfo(
        origin="synthetic" if inputs.origin == "synthetic" else "licensed",
        verified=_verified(inputs, indexes),
        size=inputs.standin_size,
        manifests=index.manifests,
        settings={name: dataset.recorded_settings for name, dataset in inputs.datasets.items()},
    )
    identity = _identity(inputs, model, index)
    units = tuple(
        UnitRef(unit_id=digest({**identity, "fold": fold.name, "seed": seed}, 16), fold=fold.name, seed=seed)
        for seed in request.seeds
        for fold in folds
    )
    names = tuple(fold.name for fold in every)
    try_network(model.plugin, index, folds[0], inputs)
    return Plan(inputs, presets, model, index, folds, names, data, digest(identity, 12), units, placement)


def _on_gpu(device: str) -> bool:
    return device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())


def _check_device(request: Request) -> None:
    device = request.device
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (":" in device and not (kind == "cuda" and number.isdigit())):
        raise UsageError(f"--device {device}: expected auto, cpu, cuda or cuda:N")
    if request.executor != "local":
        # the machine that asks need not be one of those that compute, and each of those gives a unit its own GPUs
        if number:
            raise UsageError(f"--device {device}: --executor {request.executor} chooses the GPUs; give --device cuda")
        return
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise UsageError(f"--device {device}: this machine has {torch.cuda.device_count()} usable GPUs")


def _check_devices(plugin: ModelPlugin, request: Request) -> int:
    """Return how many devices train a unit together; refuse more than there are."""
    devices = plugin.recipe.devices
    if devices > 1 and _on_gpu(request.device) and request.executor == "local":
        there = 1 if ":" in request.device else torch.cuda.device_count()
        if devices > there:
            raise UsageError(f"recipe.devices is {devices}: --device {request.device} has {there} usable here")
    return devices


def crop_settings(plugin: ModelPlugin) -> CropSettings:
    """How the crops of a model are made."""
    preprocess = plugin.preprocess
    return CropSettings(
        method=preprocess.align,
        size=preprocess.resize,
        enhance=preprocess.enhance_cached,
        landmarks=preprocess.landmarks,
        on_bad_frame=preprocess.on_bad_frame,
    )


def _chosen(folds: tuple[Fold, ...], asked: tuple[str, ...], protocol: str) -> tuple[Fold, ...]:
    names = [fold.name for fold in folds]
    for name in asked:
        if name not in names:
            raise UsageError(f"{protocol} has no fold '{name}'{near(name, names)} (folds: {', '.join(names)})")
    return tuple(fold for fold in folds if not asked or fold.name in asked)


def _verified(inputs: Inputs, indexes: list[Index]) -> bool | None:
    """Whether all datasets with published counts agree with them; None when none has any."""
    if inputs.origin == "synthetic":
        return None
    found = [verify(data, index).verified for data, index in zip(inputs.datasets.values(), indexes, strict=True)]
    known = [value for value in found if value is not None]
    return all(known) if known else None


def _identity(inputs: Inputs, model: Resolved[ModelPlugin], index: Index) -> Mapping[str, Any]:
    """All that a result depends on, except fold and seed."""
    request, protocol = inputs.request, inputs.protocol
    return {
        "core": __version__,
        "model": request.model,
        "settings": model.plugin.model_dump(mode="json"),
        "model_source": registry.source_digest("model", request.model),
        "weights": None if request.weights is None else file_digest(request.weights),
        "protocol": [protocol.name, protocol.version, registry.source_digest("protocol", protocol.name)],
        "datasets": {
            name: [plugin.recorded_settings, registry.source_digest("dataset", name)]
            for name, plugin in inputs.datasets.items()
        },
        "manifests": index.manifests,
        "limit": request.limit,
    }
