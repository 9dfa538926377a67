"""Tells the installed observers how a run goes; one that raises is written to the run's events, and the run goes on."""

from collections.abc import Iterable
from typing import Any

from auharness import registry
from auharness.results.store import RunFolder
from auharness.runner.request import Request

__all__ = ["Watch"]


class Watch:
    """The observers of one run.

    Raises:
        PluginError: if an observer cannot be imported or has a misspelled hook.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.hooks = registry.observers()

    def run_started(self, request: Request, *, kept: Iterable[str]) -> None:
        """Before the first unit; `kept` units were finished earlier."""
        asked = {"model": request.model, "protocol": request.protocol, "seeds": request.seeds, "folds": request.folds}
        self._tell("run_started", request=asked)
        for unit_id in kept:
            self._tell("unit_finished", unit_id=unit_id, status="kept")

    def unit_ended(self, unit_id: str, *, failed: bool) -> None:
        """After each unit."""
        self._tell("unit_finished", unit_id=unit_id, status="failed" if failed else "finished")

    def run_ended(self, *, failed: bool) -> None:
        """After the last unit."""
        self._tell("run_finished", status="failed" if failed else "finished")

    def _tell(self, what: str, **values: Any) -> None:
        for problem in registry.notify(self.hooks, f"auharness_{what}", run_dir=self.folder.path, **values):
            self.folder.event("observer_failed", problem=problem)
