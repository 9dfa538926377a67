"""From a request to plugins and data roots, without torch: what is cheap enough to ask before every run."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from auharness import registry
from auharness.api import DatasetPlugin, ProtocolPlugin
from auharness.data.manifest import manifest_stat
from auharness.data.roots import RootChoice, check_origins, locate_root, resolve_root
from auharness.data.synthetic.standin import is_standin, standin_folder
from auharness.errors import UsageError, near
from auharness.results.atomic import file_digest
from auharness.runner.request import Layer, Request
from auharness.settings import environment_settings, resolve

__all__ = ["Inputs", "data_origin", "dataset_names", "gather"]


@dataclass(frozen=True, slots=True)
class Inputs:
    """The protocol and datasets of a request, ready to be indexed."""

    request: Request
    protocol: ProtocolPlugin
    datasets: Mapping[str, DatasetPlugin]
    roots: Mapping[str, RootChoice]
    request_hash: str

    @property
    def origin(self) -> str:
        """`licensed` or `synthetic`."""
        return next(iter(self.roots.values())).origin

    @property
    def standin_size(self) -> str:
        """Size that the stand-ins say they have; empty for licensed data."""
        marks = [is_standin(root.path) or {} for root in self.roots.values() if root.origin == "synthetic"]
        return ",".join(dict.fromkeys(str(mark.get("size", "unknown")) for mark in marks))


def gather(request: Request, *, progress: Callable[[str, int, int, str], None] | None = None) -> Inputs:
    """Load the protocol and dataset plugins, find their roots and hash the request.

    Raises:
        UsageError: if a name or a setting is wrong, or licensed and synthetic roots are mixed.
        DataError: if a root is missing.
    """
    registry.require("model", request.model)
    protocol = resolve(registry.load("protocol", request.protocol)).plugin
    names = dataset_names(protocol)
    _check_names(request.data_roots, names)
    _check_names(request.settings.get("data", {}), names)
    for table in ("data", "data_roots"):  # a file may serve several protocols
        for name in request.config.get(table, {}):
            registry.require("dataset", name)
    if _check_origin(names, request) == "synthetic" and _must_draw(names, request):
        # which takes minutes, so what is refused without data is refused before
        from auharness.runner.model import resolve_model

        resolve_model(request, protocol, origin="synthetic")
    roots = _roots(names, request, progress)
    datasets = {name: _dataset(name, request, roots[name]) for name in names}
    return Inputs(request, protocol, datasets, roots, _hash(request, datasets))


def dataset_names(protocol: ProtocolPlugin | type[ProtocolPlugin]) -> tuple[str, ...]:
    """Return the datasets that a protocol reads, each once."""
    return tuple(dict.fromkeys((*protocol.train_on, *protocol.test_on)))


def data_origin(request: Request) -> str:
    """Return `licensed` or `synthetic`, without writing a stand-in.

    Raises:
        UsageError: if licensed and synthetic roots are mixed.
        DataError: if a given root is not a folder.
    """
    return _check_origin(dataset_names(registry.load("protocol", request.protocol)), request)


def _roots(
    names: tuple[str, ...], request: Request, progress: Callable[[str, int, int, str], None] | None
) -> dict[str, RootChoice]:
    given, size, seed = _given_roots(request), request.data_size, request.data_seed
    return {
        name: resolve_root(
            name, **given, size=size, seed=seed, progress=None if progress is None else partial(progress, name)
        )
        for name in names
    }


def _must_draw(names: tuple[str, ...], request: Request) -> bool:
    """Whether a stand-in that is not there yet must be written."""
    given, size, seed = _given_roots(request), request.data_size, request.data_seed
    absent = [name for name in names if locate_root(name, **given) is None]
    return any(is_standin(standin_folder(name, size=size, seed=seed)) is None for name in absent)


def _check_origin(names: tuple[str, ...], request: Request) -> str:
    given, size, seed = _given_roots(request), request.data_size, request.data_seed
    return check_origins(
        locate_root(name, **given)
        or RootChoice(name, standin_folder(name, size=size, seed=seed), "synthetic", "stand-in")
        for name in names
    )


def _given_roots(request: Request) -> dict[str, Any]:
    return {"flags": request.data_roots, "config": request.config.get("data_roots", {}), "env": os.environ}


def _dataset(name: str, request: Request, root: RootChoice) -> DatasetPlugin:
    sources = [("file", request.config), ("environment", environment_settings(os.environ)), ("flag", request.settings)]
    layers: list[Layer] = [(origin, values.get("data", {}).get(name, {})) for origin, values in sources]
    plugin = registry.load("dataset", name)
    return resolve(plugin, dataset=name, layers=[*layers, ("root", {"root": root.path})]).plugin


def _check_names(given: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in given:
        if name not in names:
            raise UsageError(f"dataset '{name}': the protocol reads {', '.join(names)}{near(name, names)}")


def _hash(request: Request, datasets: Mapping[str, DatasetPlugin]) -> str:
    sources = {
        "model": registry.source_digest("model", request.model),
        "protocol": registry.source_digest("protocol", request.protocol),
        "datasets": {name: registry.source_digest("dataset", name) for name in datasets},
        "environment": environment_settings(os.environ),
        "manifests": {name: manifest_stat(plugin.root, plugin) for name, plugin in datasets.items()},
        "weights": None if request.weights is None else file_digest(request.weights),
    }
    return request.hash(sources)
