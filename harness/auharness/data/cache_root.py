"""Where derived files live: crops, stand-ins and detected landmarks, all of which can be made again."""

import os
from pathlib import Path

__all__ = ["cache_root", "crop_folder"]


def cache_root() -> Path:
    """Return the user's cache folder for this harness; it need not exist yet.

    `AUHARNESS_CACHE` decides if set, then `XDG_CACHE_HOME/auharness`, then `~/.cache/auharness`.
    """
    own = os.environ.get("AUHARNESS_CACHE")
    if own:
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared).expanduser() if shared else Path.home() / ".cache") / "auharness"


def crop_folder(dataset: str, key: str) -> Path:
    """Return the folder of one crop cache: `crops/DATASET/KEY` below the cache root."""
    return cache_root() / "crops" / dataset / key
