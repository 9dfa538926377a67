"""Time and memory against length as a picture, on logarithmic axes."""

import io
from typing import Any, Final

from auharness.errors import DataError
from auharness.leaderboard.scaling.series import Line, Panel, milliseconds
from auharness.results.atomic import digest
from auharness.scaling.case import PHASES
from auharness.scaling.point import Point

__all__ = ["draw_scaling", "scaling_digest"]

COLOURS: Final = {
    "ttt": "#1f5a96",
    "ttt-bi": "#5b9bd5",
    "ttt-mlp": "#7a5ba8",
    "mamba": "#2e8540",
    "mamba-bi": "#7cb98b",
    "mamba2": "#9aa53a",
    "ag-ssm": "#c2185b",
    "attention": "#d9792b",
    "flash-attn": "#b03a2e",
    "fla-ttt": "#8c8c8c",
    "mamba-ssm": "#444444",
}
INK = "#222222"


def scaling_digest(panel: Panel) -> str:
    """Return the digest of what a picture shows."""
    return digest([[_name(line), *map(_drawn, line.points)] for line in panel.lines])


def draw_scaling(panel: Panel) -> bytes:
    """Return a png: time of both passes and memory of training against length, one line per mixer.

    On a GPU times are milliseconds with the floors dashed; on a CPU each line is drawn relative to its own shortest
    sequence, because nothing else may be compared there. The digest of the numbers is stored in the file.

    Raises:
        DataError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise DataError("the picture needs matplotlib, which is not installed; pip install 'auharness[viz]'") from None
    figure = Figure(figsize=(13.0, 4.6), dpi=130, layout="constrained")
    axes = figure.subplots(1, 3)
    unit = "ms" if panel.absolute else "relative to the shortest"
    for axis, phase in zip(axes, PHASES, strict=False):
        for line in panel.of(phase):
            _draw_times(axis, line, panel.absolute)
        _finish(axis, f"Time of {phase} ({unit})")
    for line in panel.of("training"):
        _draw_memory(axes[2], line)
    _finish(axes[2], "Peak memory of training (MiB)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(len(labels), 8) or 1, frameon=False, fontsize=9
    )
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Description": scaling_digest(panel), "Software": None})
    return stream.getvalue()


def _draw_times(axis: Any, line: Line, absolute: bool) -> None:
    points = line.measured
    if not points:
        return
    unit = 1.0 if absolute else milliseconds(points[0])
    lengths, colour = [point.length for point in points], COLOURS.get(line.mixer, INK)
    exponent = line.exponent
    label = line.mixer if exponent is None else f"{line.mixer} ({exponent.slope:.2f})"
    axis.plot(lengths, [milliseconds(p) / unit for p in points], "o-", color=colour, markersize=4, label=label)
    if absolute:
        floors = [(p.length, p.floor_ms) for p in points if p.floor_ms]
        axis.plot(*zip(*floors, strict=True), "--", color=colour, linewidth=0.9, alpha=0.6)


def _draw_memory(axis: Any, line: Line) -> None:
    points = [point for point in line.measured if point.peak_bytes]
    colour = COLOURS.get(line.mixer, INK)
    axis.plot(
        [p.length for p in points], [(p.peak_bytes or 0) / 2**20 for p in points], "o-", color=colour, markersize=4
    )


def _finish(axis: Any, title: str) -> None:
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xlabel("length L (tokens)", fontsize=9)
    axis.set_title(title, fontsize=10, loc="left")
    axis.grid(True, which="major", color="#e4e4e4", linewidth=0.7)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(which="both", labelsize=8)


def _name(line: Line) -> tuple[str, str, str]:
    return line.mixer, line.phase, line.mode


def _drawn(point: Point) -> tuple[object, ...]:
    return point.length, point.status, point.best_ms, point.p50_ms, point.floor_ms, point.peak_bytes
