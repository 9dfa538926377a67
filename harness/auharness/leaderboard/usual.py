"""What presets give, to tell a run's own settings from theirs."""

from collections.abc import Mapping, Sequence
from typing import Any

from auharness import registry
from auharness.errors import UsageError
from auharness.leaderboard.rows import flat_settings
from auharness.settings import resolve

__all__ = ["own_settings", "usual_settings"]


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
