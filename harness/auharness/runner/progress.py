"""What a run tells while it works; the command line draws it, everyone else may stay silent."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["Progress"]


class Progress:
    """Receives the stages of a run; the base class is silent."""

    def data(self, dataset: str, done: int, total: int, text: str) -> None:
        """A stand-in is being written: `done` of `total` parts of a dataset."""

    def crops(self, dataset: str, done: int, total: int) -> None:
        """Crops of `done` of `total` sequences of a dataset are in the cache."""

    def units(self, units: Sequence[Any], *, kept: int) -> None:
        """Units are about to run; `kept` of them were finished before."""

    def events(self, events: Iterable[Mapping[str, Any]]) -> None:
        """New lines of the run's event log."""
