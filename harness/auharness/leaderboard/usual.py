"""What presets give, to tell a run's own settings from theirs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from auharness import registry
from auharness.errors import AuharnessError, UsageError
from auharness.settings import flat_settings, resolve

__all__ = ["data_settings", "own_settings", "usual_settings"]


def usual_settings(
    model: str, presets: Sequence[str], dataset: str, more: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the dotted settings that presets of an installed model give; empty where the plugin no longer has them.

    Args:
        model: name of a plugin.
        presets: composed left to right.
        dataset: on which it trains.
        more: settings above the presets.
    """
    layers = [("more", dict(more or {}))]
    try:
        plugin = resolve(registry.load("model", model), dataset=dataset, presets=presets, layers=layers).plugin
    except UsageError:
        return {}
    return dict(flat_settings(plugin.model_dump(mode="json")))


def own_settings(settings: Mapping[str, Any], usual: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the dotted settings of a run that differ, and their values as text; unknown ones are left out."""
    found = flat_settings(settings)
    return tuple((name, str(value)) for name, value in found if name in usual and usual[name] != value)


def data_settings(recorded: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how data were read where that is not the reader's default, e.g. `samm.images=raw`; empty where it is.

    Args:
        recorded: dataset -> settings, as `DataInfo` has them; all of them are shown where the reader is not installed.
    """
    found = []
    for name in sorted(recorded):
        usual = _reader_defaults(name)
        own = (item for item in flat_settings(recorded[name]) if item[0] not in usual or usual[item[0]] != item[1])
        found += [f"{name}.{key}={value}" for key, value in own]
    return ", ".join(found)


def _reader_defaults(dataset: str) -> dict[str, Any]:
    try:
        reader = registry.load("dataset", dataset).model_construct(root=Path())
    except AuharnessError:
        return {}
    return dict(flat_settings(reader.recorded_settings))
