"""Memory over time, from the allocations that a trace holds: bytes above what was there when the recording began."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auharness.results.atomic import write_bytes

__all__ = ["MemoryTimeline", "draw_timelines", "read_timeline", "step_times", "timelines_csv"]

_DEVICES = {0: "cpu", 1: "cuda"}
"""c10::DeviceType."""
_STEP = "ProfilerStep#"


@dataclass(frozen=True)
class MemoryTimeline:
    """Allocations and releases on one device, in the order of time."""

    device: str
    """`cpu` or `cuda:N`."""
    time_ms: NDArray[np.float64]
    """`[n]`, from the beginning of the first step."""
    allocated: NDArray[np.int64]
    """`[n]` bytes in use after each: on a CPU what was allocated since the recording began, on CUDA everything."""
    change: NDArray[np.int64]
    """`[n]` bytes, below 0 for a release."""

    @property
    def peak_bytes(self) -> int:
        """Most bytes in use at once."""
        return int(self.allocated.max(initial=0))


def read_timeline(trace: Mapping[str, Any]) -> list[MemoryTimeline]:
    """Return the timeline of every device that a trace speaks of.

    Args:
        trace: content of a trace file of torch's profiler that recorded memory.
    """
    begin = min((start for start, _ in step_times(trace).values()), default=0.0)
    found: dict[str, list[tuple[float, int, int]]] = {}
    for event in trace["traceEvents"]:
        if event.get("name") == "[memory]":
            facts = event["args"]
            kind, number = _DEVICES.get(facts["Device Type"], f"device {facts['Device Type']}"), facts["Device Id"]
            device = kind if kind == "cpu" else f"{kind}:{number}"
            point = (event["ts"] - begin) / 1e3, facts["Total Allocated"], facts["Bytes"]
            found.setdefault(device, []).append(point)
    return [_timeline(device, sorted(points, key=lambda point: point[0])) for device, points in sorted(found.items())]


def step_times(trace: Mapping[str, Any]) -> dict[int, tuple[float, float]]:
    """Return the recorded steps of a trace: number -> beginning and length in microseconds."""
    return {
        int(event["name"].removeprefix(_STEP)): (event["ts"], event["dur"])
        for event in trace["traceEvents"]
        # on CUDA a step has a shadow of its kernels
        if event.get("cat") == "user_annotation" and event["name"].startswith(_STEP)
    }


def timelines_csv(timelines: list[MemoryTimeline]) -> str:
    """Return the timelines as csv: device, time_ms, allocated_bytes, change_bytes."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("device", "time_ms", "allocated_bytes", "change_bytes"))
    for line in timelines:
        columns = (line.time_ms.round(3).tolist(), line.allocated.tolist(), line.change.tolist())
        writer.writerows((line.device, *cells) for cells in zip(*columns, strict=True))
    return stream.getvalue()


def draw_timelines(timelines: list[MemoryTimeline], trace: Mapping[str, Any], path: Path, *, title: str) -> None:
    """Draw one line per device, with the beginnings of the steps, as a png.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), dpi=150, layout="constrained")
    axes = figure.add_subplot(xlabel="time, ms", ylabel="allocated, MiB", title=title)
    for line in timelines:
        label = f"{line.device}, peak {line.peak_bytes / 2**20:.1f} MiB"
        axes.plot(line.time_ms, line.allocated / 2**20, drawstyle="steps-post", linewidth=0.8, label=label)
    begins = sorted(begin for begin, _ in step_times(trace).values())
    for begin in begins:
        axes.axvline((begin - begins[0]) / 1e3, color="#8a8a8a", linewidth=0.5, linestyle=":")
    axes.set_ylim(bottom=0)
    if timelines:
        axes.legend(frameon=False, fontsize=8)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor="white", metadata={"Software": None})
    write_bytes(path, stream.getvalue())


def read_trace(path: Path) -> dict[str, Any]:
    """Return the content of a trace file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _timeline(device: str, points: list[tuple[float, int, int]]) -> MemoryTimeline:
    times, totals, changes = zip(*points, strict=True)
    return MemoryTimeline(device, np.array(times), np.array(totals, np.int64), np.array(changes, np.int64))
