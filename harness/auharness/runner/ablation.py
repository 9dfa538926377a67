"""Which runs an ablation is: variants and controls of a model, crossed with language models or the like, by protocol.

All of them are resolved before the first one trains, so that a preset that does not fit stops nothing half way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from auharness import registry
from auharness.api import ModelPlugin
from auharness.errors import UsageError
from auharness.runner import find_answer
from auharness.runner.inputs import data_origin, dataset_names, gather
from auharness.runner.model import SIZES, resolve_model, variant_presets
from auharness.runner.request import Request, model_layers
from auharness.settings import Resolved, resolve

__all__ = ["AblationPlan", "plan_ablation"]

PLACES = {"flag": "--set", "environment": "the environment", "file": "the configuration file"}


@dataclass(frozen=True, slots=True)
class AblationPlan:
    """Every run of an ablation, protocol by protocol, and what is left out."""

    requests: tuple[Request, ...]
    remarks: tuple[str, ...]
    """One line each."""

    def fetch(self) -> None:
        """Have on this machine what the models of all runs need that are still to do, before the first one trains.

        Raises:
            DataError: if something cannot be had.
        """
        for request in self.requests:
            protocol = registry.load("protocol", request.protocol)()
            plugin = resolve_model(request, protocol, origin=data_origin(request))[1].plugin
            if plugin.missing() and find_answer(gather(request)) is None:
                plugin.fetch()


def plan_ablation(request: Request, protocols: Sequence[str] = ()) -> AblationPlan:
    """Return the runs of the model's variants and controls under each protocol.

    Within a protocol the order is: the first of `crossed` with every variant and control, then the next, so that a
    language model is loaded once; then controls that are the same for all.

    Args:
        request: the command; its presets, settings and seeds are those of every run.
        protocols: default the request's.

    Raises:
        UsageError: if the model names no variants, weights are given, or a variant does not fit presets or settings.
    """
    model: type[ModelPlugin] = registry.load("model", request.model)
    if not model.variants:
        raise UsageError(f"--ablation: model '{request.model}' names no variants")
    if request.weights is not None:
        raise UsageError("--ablation: every variant starts from scratch; leave --weights out")
    requests: list[Request] = []
    remarks: dict[str, None] = {}
    for one in _by_protocol(request, tuple(dict.fromkeys(protocols)) or (request.protocol,)):
        planned = _Planner(model, one)
        requests += planned.requests()
        remarks |= dict.fromkeys(planned.remarks)
    return AblationPlan(tuple(requests), tuple(remarks))


def _by_protocol(request: Request, protocols: tuple[str, ...]) -> Iterator[Request]:
    """The request for each protocol, with the roots and dataset settings that belong to it."""
    reads = {name: dataset_names(registry.load("protocol", name)) for name in protocols}
    elsewhere = {dataset for names in reads.values() for dataset in names}
    for name, own in reads.items():
        # one that no protocol reads is a mistake, and refused with the first run
        foreign = elsewhere - set(own)
        roots = {key: value for key, value in request.data_roots.items() if key not in foreign}
        settings = dict(request.settings)
        if "data" in settings:
            settings["data"] = {key: value for key, value in settings["data"].items() if key not in foreign}
        yield replace(request, protocol=name, data_roots=roots, settings=settings)


class _Planner:
    """The runs of one protocol."""

    def __init__(self, model: type[ModelPlugin], request: Request) -> None:
        self.model, self.request = model, request
        self.dataset = registry.load("protocol", request.protocol).train_on[0]
        origin = data_origin(request)
        self.presets = variant_presets(model, request.presets, synthetic=origin == "synthetic")
        self.remarks: list[str] = []
        self.seen: list[tuple[Mapping[str, Any], str]] = []
        """Resolved settings of what is planned, and its name."""

    def requests(self) -> Iterator[Request]:
        model = self.model
        other = [name for name in model.controls if not set(name.split(",")) <= set(model.presets)]
        for crossed in self._crossed() or ((),):
            for name in model.variants:
                resolved = self._resolve((*self.presets, *crossed, name))
                self.seen.append((resolved.values, f"variant {name}"))
                yield self._request((*crossed, name))
            for name in model.controls:
                if name not in (*other, *model.uncrossed):
                    yield from self._control(name, crossed)
        for name in model.controls:
            if name in model.uncrossed:
                yield from self._control(name)
        for name in other:
            yield from self._other_model(name)

    def _crossed(self) -> list[tuple[str, ...]]:
        """Each crossed preset; none where something stronger sets what they set."""
        names = self.model.crossed
        base = self._resolve(self.presets)
        for name in names:
            alone = resolve(self.model, presets=(name,)).origins
            for key in (key for key, origin in alone.items() if origin == f"preset {name}"):
                origin = base.origins[key]
                if origin != "default" and not origin.startswith("by_dataset "):
                    where = PLACES.get(origin, origin)
                    self.remarks.append(f"{where} sets {key} itself: not crossed with {', '.join(names)}")
                    return []
        return [(name,) for name in names]

    def _control(self, name: str, crossed: tuple[str, ...] = ()) -> Iterator[Request]:
        """A control, unless it does not fit here or is what runs anyway."""
        names, shown = (*crossed, *name.split(",")), f"control {name}"
        try:
            values = self._resolve((*self.presets, *names)).values
        except UsageError as error:
            self.remarks.append(f"{shown} left out: {str(error).partition(chr(10))[0]}")
            return
        same = next((what for other, what in self.seen if other == values), "")
        if same:
            self.remarks.append(f"{shown} left out: with preset {','.join(self.presets)} it is the {same}")
            return
        self.seen.append((values, shown))
        yield self._request(names)

    def _other_model(self, name: str) -> Iterator[Request]:
        """Another model as a control, at the same size and with those settings that it has too."""
        plugin: type[ModelPlugin] = registry.load("model", name)
        presets = tuple(preset for preset in self.presets if preset in plugin.presets or preset in SIZES)
        known = {*plugin.model_fields, "data"}
        settings = {key: value for key, value in self.request.settings.items() if key in known}
        file = {key: value for key, value in self.request.config.get("model", {}).items() if key in known}
        request = replace(
            self.request,
            model=name,
            presets=presets,
            settings=settings,
            config={**self.request.config, "model": file},
        )
        try:
            resolve(plugin, dataset=self.dataset, presets=presets, layers=model_layers(request))
        except UsageError as error:
            self.remarks.append(f"control {name} left out: {str(error).partition(chr(10))[0]}")
            return
        lost = [preset for preset in self.presets if preset not in presets]
        lost += [key for key in (*self.request.settings, *self.request.config.get("model", {})) if key not in known]
        if lost:
            self.remarks.append(f"control {name} runs without {', '.join(dict.fromkeys(lost))}, which it does not have")
        yield request

    def _request(self, names: tuple[str, ...]) -> Request:
        return replace(self.request, presets=(*self.presets, *names))

    def _resolve(self, presets: tuple[str, ...]) -> Resolved[ModelPlugin]:
        return resolve(self.model, dataset=self.dataset, presets=presets, layers=model_layers(self.request))
