"""Benchmark harness for facial action units and dynamic expressions.

Every public name is imported on first use, so `import auharness` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auharness.api import (
        Augment,
        DatasetPlugin,
        ModelPlugin,
        Output,
        Preprocess,
        ProtocolPlugin,
        Recipe,
        Settings,
    )
    from auharness.hookspecs import hookimpl
    from auharness.records import ClipRecord, Fold, FrameRecord, LandmarkFile, Media, Task, read_parts
    from auharness.runner import run

    __version__: str

_HOMES = {
    "auharness.api": (
        "Augment",
        "DatasetPlugin",
        "ModelPlugin",
        "Output",
        "Preprocess",
        "ProtocolPlugin",
        "Recipe",
        "Settings",
    ),
    "auharness.hookspecs": ("hookimpl",),
    "auharness.records": ("ClipRecord", "Fold", "FrameRecord", "LandmarkFile", "Media", "Task", "read_parts"),
    "auharness.runner": ("run",),
}
_HOME_OF = {name: home for home, exported in _HOMES.items() for name in exported}

__all__ = [
    "Augment",
    "ClipRecord",
    "DatasetPlugin",
    "Fold",
    "FrameRecord",
    "LandmarkFile",
    "Media",
    "ModelPlugin",
    "Output",
    "Preprocess",
    "ProtocolPlugin",
    "Recipe",
    "Settings",
    "Task",
    "__version__",
    "hookimpl",
    "read_parts",
    "run",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("auharness")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'auharness' has no attribute '{name}'")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
