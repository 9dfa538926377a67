"""One profile that the tests of this folder read: two training steps of au-ttt, tiny, with a single block."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch

from auharness import registry
from auharness.profiling import Options, Profile, profile_model, record_steps
from auharness.profiling.memory_timeline import read_trace
from auharness.settings import resolve

CPU = torch.device("cpu")


class Profiled:
    def __init__(self, profile: Profile, folder: Path) -> None:
        self.profile = profile
        self.folder = folder
        self.trace = folder / profile.summary["files"]["trace"]

    @cached_property
    def content(self) -> dict[str, Any]:
        return read_trace(self.trace)

    @property
    def events(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.content["traceEvents"]
        return found


@pytest.fixture(scope="session")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Profiled:
    """Not to be changed."""
    folder = tmp_path_factory.mktemp("profiles") / "au-ttt"
    plugin = resolve(registry.load("model", "au-ttt"), presets=("tiny",), layers=[("test", {"depth": 1})]).plugin
    options = Options("training", CPU, batch=1, steps=2, preset="tiny")
    return Profiled(profile_model(plugin, options, folder), folder)


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Any]:
    """Record three steps of a function."""

    def make(step: Callable[[], object], steps: int = 3) -> Any:
        return record_steps(lambda: step() and None, steps=steps, device=CPU, folder=tmp_path, worker="here")

    return make
