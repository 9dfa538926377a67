"""The hooks that a plugin module implements: exactly one of the first three, or any of the observers.

Each hook is called with keyword arguments by pluggy; a module marks its function with `@hookimpl`.
"""

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from auharness.api import DatasetPlugin, ModelPlugin, ProtocolPlugin

__all__ = ["hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("auharness")
hookimpl = pluggy.HookimplMarker("auharness")


class ModelSpecs:
    """Hooks of a module in the group `auharness.models`."""

    @hookspec(firstresult=True)
    def auharness_model(self) -> "type[ModelPlugin]":
        """Return the model plugin class; its `name` equals the file or entry-point name.

        Called by the registry when the model is asked for by name. May be implemented once per module.
        """
        raise AssertionError("a specification is never called")


class DatasetSpecs:
    """Hooks of a module in the group `auharness.datasets`."""

    @hookspec(firstresult=True)
    def auharness_dataset(self) -> "type[DatasetPlugin]":
        """Return the dataset plugin class; its `name` equals the file or entry-point name.

        Called by the registry when the dataset is asked for by name. May be implemented once per module.
        """
        raise AssertionError("a specification is never called")


class ProtocolSpecs:
    """Hooks of a module in the group `auharness.protocols`."""

    @hookspec(firstresult=True)
    def auharness_protocol(self) -> "type[ProtocolPlugin]":
        """Return the protocol plugin class; its `name` equals the file or entry-point name.

        Called by the registry when the protocol is asked for by name. May be implemented once per module.
        """
        raise AssertionError("a specification is never called")


class ObserverSpecs:
    """Hooks of a module in the group `auharness.hooks`: light observers, always loaded during a run.

    An observer sees results and never changes them; an exception in one is logged and the run goes on.
    """

    @hookspec
    def auharness_run_started(self, run_dir: "Path", request: "Mapping[str, object]") -> None:
        """Called by the runner once before the first unit, with the run folder and the resolved request."""

    @hookspec
    def auharness_epoch_finished(self, unit_id: str, epoch: int, values: "Mapping[str, float]") -> None:
        """Called by the training process after each epoch (1-based) with the logged losses and scores."""

    @hookspec
    def auharness_unit_finished(self, run_dir: "Path", unit_id: str, status: str) -> None:
        """Called by the runner when a unit ends; `status` is `finished`, `failed` or `kept`."""

    @hookspec
    def auharness_run_finished(self, run_dir: "Path", status: str) -> None:
        """Called by the runner after the last unit; `status` is `finished` or `failed`."""
