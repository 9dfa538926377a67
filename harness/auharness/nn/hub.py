"""Folders of pre-trained models: given by the user, or fetched from the hub, once and without code of theirs."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Final

__all__ = ["TIMEOUT_S", "fetch_folder", "find_folder", "lost_file"]

FILES: Final = ("*.json", "*.txt", "*.safetensors")
"""What is fetched: no pickled weights."""
TIMEOUT_S: Final = 5.0
"""Seconds for the hub to answer."""


def find_folder(source: str) -> Path | None:
    """Return the folder of a model, a given one or where files of the hub are kept; None where there is none."""
    if Path(source).is_dir():
        return Path(source)
    try:
        return Path(import_module("huggingface_hub").snapshot_download(source, local_files_only=True))
    except (OSError, ValueError):
        return None


def lost_file(folder: Path, needed: Sequence[str]) -> str | None:
    """Return the first of some patterns that no file of the folder has; None where all are there."""
    return next((pattern for pattern in needed if not any(folder.glob(pattern))), None)


def fetch_folder(source: str) -> Path:
    """Fetch a model from the hub and return its folder; what is there already is not fetched again.

    Raises:
        Exception: as the hub's client raises it, where there is no network or no such model.
    """
    with _still():
        download = import_module("huggingface_hub").snapshot_download
        return Path(download(source, allow_patterns=list(FILES), etag_timeout=TIMEOUT_S))


@contextmanager
def _still() -> Iterator[None]:
    """Keep what the client says of every attempt out of ours: one line tells why it failed."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
