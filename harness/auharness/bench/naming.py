"""What rows are told apart by; read by the boards too, so nothing heavy is imported."""

from collections.abc import Mapping, Sequence
from typing import Any

from auharness import registry
from auharness.results.atomic import digest

__all__ = ["network_digest", "shape_text", "training_sets"]

_PIXELS = ("crop", "channels", "frames")
"""What of the preprocessing a network sees."""


def network_digest(settings: Mapping[str, Any]) -> str:
    """Return what identifies a network among those of its plugin, from the settings as a record holds them.

    Recipe, augmentation and starting weights change no cost; of the preprocessing crop, channels and frames count. Two
    runs of one model on one data set with equal digests cost the same.
    """
    kept = {name: value for name, value in settings.items() if name not in ("recipe", "augment", "init", "preprocess")}
    pixels = {name: settings.get("preprocess", {}).get(name) for name in _PIXELS}
    return digest([kept, pixels])[:16]


def training_sets() -> tuple[str, ...]:
    """Return all data sets, those that train most protocols first."""
    uses = [name for each in registry.names("protocol") for name in registry.load("protocol", each).train_on]
    return tuple(sorted(registry.names("dataset"), key=lambda name: (-uses.count(name), name)))


def shape_text(shapes: Mapping[str, Sequence[int]]) -> str:
    """Return the pixels of a sample, and that there is sound.

    >>> shape_text({"clip": (16, 3, 112, 112), "landmarks": (16, 68, 2)})
    '16x3x112x112'
    """
    pixels = next((shape for name, shape in shapes.items() if name in ("image", "clip")), ())
    return "x".join(map(str, pixels)) + (" + sound" if "audio" in shapes else "")
