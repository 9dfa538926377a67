"""The files of a profile: the trace, the table of operators, the memory timeline, and a summary that names them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from auharness.api import ModelPlugin
from auharness.efficiency.memory import ran_out
from auharness.errors import DataError
from auharness.profiling.memory_timeline import (
    draw_timelines,
    read_timeline,
    read_trace,
    step_times,
    timelines_csv,
)
from auharness.profiling.op_table import OpRow, make_rows, table_csv, table_markdown
from auharness.profiling.recording import Recording, record_steps
from auharness.profiling.step import Phase, make_step
from auharness.results.atomic import write_bytes, write_json
from auharness.scaling.machine import check_device, describe

__all__ = ["Options", "Profile", "profile_model"]

SUMMARY = "profile.json"


@dataclass(frozen=True)
class Options:
    """What is profiled."""

    phase: Phase
    device: torch.device
    batch: int
    steps: int
    """Recorded steps."""
    preset: str
    """As it was asked for; for names and titles."""


@dataclass(frozen=True)
class Profile:
    """A finished profile."""

    rows: list[OpRow]
    summary: dict[str, Any]
    """As `profile.json` has it: what was profiled, times, peaks and the names of the files."""


def profile_model(plugin: ModelPlugin, options: Options, folder: Path) -> Profile:
    """Profile a model with random weights on a random batch and write what came out into a folder.

    The trace is new with every call; `top_ops.csv`, `top_ops.md`, `memory.csv`, `memory.png` (with matplotlib) and
    `profile.json` are those of the last one.

    Args:
        plugin: the model with its settings.
        options: what to profile.
        folder: where the files go; it is made with the first of them.

    Raises:
        DataError: there is no such device, memory does not suffice, or weights or a package are missing.
        UsageError: the phase is training and nothing learns by gradients.
    """
    check_device(options.device, command="profile")
    plugin.check_ready(origin="synthetic", weights=True)  # random ones stand for a file
    plugin.fetch()
    worker = f"{plugin.name}-{options.preset.replace(',', '-')}-{options.phase}-{options.device.type}"
    try:
        step = make_step(plugin, phase=options.phase, device=options.device, batch=options.batch)
        found = record_steps(step, steps=options.steps, device=options.device, folder=folder, worker=worker)
    except (RuntimeError, MemoryError) as error:  # torch's own error of a GPU is a RuntimeError too
        if not ran_out(error):
            raise
        raise DataError(
            f"profile {plugin.name}: {options.device} has too little memory for --batch {options.batch}; lower it"
        ) from None
    rows = make_rows(found.events, steps=options.steps)
    write_bytes(folder / "top_ops.csv", table_csv(rows).encode())
    write_bytes(folder / "top_ops.md", f"{table_markdown(rows)}\n".encode())
    trace = read_trace(found.trace)
    memory = _write_memory(trace, folder, title=f"{worker}, batch {options.batch}")
    summary = {**_facts(plugin, options, found), "recorded_step_ms": _step_ms(trace), **memory}
    summary["files"] = {
        "trace": found.trace.name,
        "top_ops": "top_ops.csv",
        "top_ops_markdown": "top_ops.md",
        **memory["files"],
    }
    write_json(folder / SUMMARY, summary)
    return Profile(rows, summary)


def _facts(plugin: ModelPlugin, options: Options, found: Recording) -> dict[str, Any]:
    machine = describe(options.device)
    return {
        "model": plugin.name,
        "preset": options.preset,
        "phase": options.phase,
        "batch": options.batch,
        "steps": options.steps,
        "precision": plugin.recipe.precision,
        "machine": machine.model_dump(mode="json"),
        "backends": found.backends,
        "own_fit": type(plugin).fit is not ModelPlugin.fit,
        "step_ms": round(found.plain.p50_ms, 3),
        "clock": found.plain.clock,
        "settings": plugin.model_dump(mode="json"),
    }


def _step_ms(trace: Mapping[str, Any]) -> list[float]:
    return [round(length / 1e3, 3) for _, (_, length) in sorted(step_times(trace).items())]


def _write_memory(trace: Mapping[str, Any], folder: Path, *, title: str) -> dict[str, Any]:
    timelines = read_timeline(trace)
    write_bytes(folder / "memory.csv", timelines_csv(timelines).encode())
    files = {"memory": "memory.csv", "memory_picture": "memory.png"}
    why = ""
    try:
        draw_timelines(timelines, trace, folder / "memory.png", title=title)
    except ImportError:
        why = "matplotlib is not installed; pip install 'auharness[viz]'"
        del files["memory_picture"]
        (folder / "memory.png").unlink(missing_ok=True)  # that of an earlier profile
    peaks = {line.device: line.peak_bytes for line in timelines}
    return {"peak_bytes": peaks, "no_picture": why, "files": files}
