"""The code that measured numbers follow from, so that what was edited since is measured again."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from auharness import registry
from auharness.results.atomic import digest

__all__ = ["SHARED", "code_digests"]

SHARED: Final = ("auharness.efficiency", "auharness.features", "auharness.nn", "auharness.ops")
"""Packages that count and time, and those that networks of all plugins are made of."""


def code_digests(models: Iterable[str]) -> dict[str, str]:
    """Return, by model, 16 hex digits of the plugin's source, as runs record it, and of the packages `SHARED`.

    Args:
        models: names of plugins; the empty name is no plugin, and stands for the packages alone.

    Raises:
        UsageError: no plugin has the name.
    """
    specs = [find_spec(name) for name in SHARED]
    shared = [registry.code_digest(Path(spec.origin)) for spec in specs if spec is not None and spec.origin]
    return {name: digest([shared, registry.source_digest("model", name) if name else ""], 16) for name in models}
