"""The page of the scaling suite: exponents, times with their floors, memory, and what did not run."""

import csv
import io
import math
from collections.abc import Callable, Sequence

from auharness.leaderboard.escape import csv_cell, markdown
from auharness.leaderboard.scaling.series import Line, Panel, milliseconds, panels
from auharness.leaderboard.tables import table_text
from auharness.scaling.case import PHASES, Mode, Phase
from auharness.scaling.fit import FROM
from auharness.scaling.point import Point
from auharness.scaling.records import Machine

__all__ = ["picture_name", "scaling_csv", "scaling_page"]

PEERS = {
    "fla-ttt": "flash-linear-attention: fla's TTT: one rate per query row, state moved by the last rate, "
    "output z + LN(z); not TTT-Linear",
    "mamba-ssm": "the CUDA scan of the mamba-ssm package",
    "flash-attn": "the flash-attn package",
}
LEVELS = {
    "op": (
        "Operators",
        "TTT and attention with 6 heads of 64 channels, Mamba with 768 channels and a state of 16, Mamba-2 with 12 "
        "heads of 64 and a state of 128; `-bi` reads both ways in one call, attention sees both ways by itself.",
    ),
    "layer": ("Layers", "384 channels in and out, projections included."),
    "model": ("Whole models", "The plugin {models} at its paper size, the mixer swapped by its setting."),
}
SWEEPS = {
    "length": "one sequence of growing length",
    "tokens": "fixed number of tokens in sequences of growing length",
    "mini-batch": "growing mini-batch of TTT",
    "frames": "growing number of frames of 197 tokens",
}
MIB = 2.0**20
_CASE = ("level", "mixer", "sweep", "length", "batch", "mini_batch", "frames", "dtype", "phase", "mode")
_TIMES = ("status", "note", "model", "limit_s", "best_ms", "p50_ms", "p95_ms", "samples", "clock")
_CSV = (*_CASE, *_TIMES, "peak_bytes", "saved_bytes", "floor_ms", "bound", "error")


def scaling_page(points: Sequence[Point], *, head: str = "") -> str:
    """Return the page as markdown; it holds no time of day and no path.

    Args:
        points: of any machines.
        head: a first line, such as a remark that the file is generated.
    """
    parts = [head] if head else []
    parts += ["# How the mixers scale", _about()]
    machine = ""
    for panel in panels(points):
        if panel.machine.device != machine:
            machine = panel.machine.device
            here = [point for point in points if point.machine.device == machine]
            parts += [f"## {_name(panel.machine)}", _machine(here)]
        parts += _section(panel)
    return "\n\n".join(parts) + "\n"


def picture_name(panel: Panel) -> str:
    """Return the file name of a panel's picture."""
    device = "".join(c if c.isalnum() else "-" for c in panel.machine.device.lower()).strip("-")
    return f"scaling-{panel.machine.kind}-{device}-{panel.level}-{panel.sweep}-{panel.dtype}.png"


def scaling_csv(points: Sequence[Point]) -> str:
    """Return one line per point."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["device", *_CSV, "backend"])
    for panel in panels(points):
        for point in (point for line in panel.lines for point in line.points):
            values = ["" if (value := getattr(point, name)) is None else value for name in _CSV]
            writer.writerow([csv_cell(value) for value in (point.machine.device, *values, _text(point))])
    return stream.getvalue()


def _about() -> str:
    return (
        "Each operator is compared with its plain reference before it is timed. *Exponent* is the slope of log time "
        f"over log length for L >= {FROM}, with its 95 % interval: 1 is linear, 2 quadratic. *Floor* is the least time "
        "that the algorithm's own arithmetic, bytes and exponentials allow at rates that the same process measured: a "
        "large matrix product (on a CPU multiply-adds in registers) and a copy; a layer's or model's floor counts "
        "matrix products only. "
        "Training is forward and backward. Memory is what is allocated above inputs and parameters; *kept* is what the "
        "forward pass stores for the backward pass. On a shared CPU only ratios inside one process mean anything, so "
        "times there are given relative to the same line, never in milliseconds."
    )


def _name(machine: Machine) -> str:
    return markdown(f"{machine.device} ({'CUDA' if machine.kind == 'cuda' else f'CPU, {machine.threads} thread'})")


def _machine(points: Sequence[Point]) -> str:
    """Every set of versions that points of the machine were measured with."""
    found = dict.fromkeys(_versions(point.machine) for point in points)
    return markdown("; ".join(found))


def _versions(machine: Machine) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions.items()))
    return f"{versions}{f', driver {machine.driver}' if machine.driver else ''}."


def _section(panel: Panel) -> list[str]:
    if not any(line.measured for line in panel.lines):
        return []
    title, about = LEVELS[panel.level]
    models = sorted({f"`{point.model}`" for line in panel.lines for point in line.points if point.model})
    parts = [f"### {title}: {SWEEPS[panel.sweep]}, {panel.dtype}", about.format(models=" and ".join(models))]
    if panel.sweep == "length":
        parts += [f"![Time and memory of the mixers against length]({picture_name(panel)})", *_exponents(panel)]
    for mode in _modes(panel):
        for phase in PHASES:
            lines = [line for line in panel.of(phase, mode) if line.measured]
            if lines:
                parts += _times(panel, lines, phase, mode)
    parts += _memory(panel)
    peers = [f"`{name}`: {text}." for name, text in PEERS.items() if any(line.mixer == name for line in panel.lines)]
    return [*parts, *peers, *_backends(panel), *_failures(panel)]


def _modes(panel: Panel) -> list[Mode]:
    return list(dict.fromkeys(line.mode for line in sorted(panel.lines, key=lambda line: line.mode != "eager")))


def _exponents(panel: Panel) -> list[str]:
    rows = []
    for mixer in dict.fromkeys(line.mixer for line in panel.lines):
        row = {"model": f"`{mixer}`"}
        for phase in PHASES:
            line = next((line for line in panel.of(phase) if line.mixer == mixer), None)
            found = None if line is None else line.exponent
            row[f"exponent, {phase}"] = (
                "" if found is None else f"{found.slope:.2f} [{found.low:.2f}, {found.high:.2f}]"
            )
        rows.append(row)
    return [table_text(rows)] if any(row[f"exponent, {PHASES[0]}"] for row in rows) else []


def _times(panel: Panel, lines: list[Line], phase: Phase, mode: Mode) -> list[str]:
    along = _along(panel)
    how = "" if mode == "eager" else f", {mode}"
    if panel.absolute:
        title = f"Time of {phase}{how} in ms, in brackets how many floors that is:"
        cell = _milliseconds
    else:
        title = f"Time of {phase}{how} relative to the same line's cell `1x`, in brackets how many floors it is:"
        starts = {line.mixer: milliseconds(_unit(line)) for line in lines}

        def cell(point: Point) -> str:
            return f"{_short(milliseconds(point) / starts[point.mixer])}x{_floors(point)}"

    return [title, _grid(lines, along, cell)]


def _unit(line: Line) -> Point:
    """The mini-batch of TTT's authors where that is what varies, else the smallest."""
    return next(
        (point for point in line.measured if point.sweep == "mini-batch" and point.mini_batch == 16), line.measured[0]
    )


def _milliseconds(point: Point) -> str:
    return f"{_short(milliseconds(point))}{_floors(point)}"


def _floors(point: Point) -> str:
    return f" ({_short(milliseconds(point) / point.floor_ms, 2)})" if point.floor_ms else ""


def _short(value: float, digits: int = 3) -> str:
    """Return a number with few digits and no exponent.

    >>> _short(1234.5), _short(0.01234), _short(2.0)
    ('1234', '0.0123', '2')
    """
    decimals = max(0, digits - 1 - math.floor(math.log10(value))) if value > 0 else 0
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _memory(panel: Panel) -> list[str]:
    lines = [line for line in panel.of("training") if any(point.peak_bytes is not None for point in line.points)]
    if not lines:
        return []

    def cell(point: Point) -> str:
        if point.peak_bytes is None:
            return ""
        kept = "" if point.saved_bytes is None else f" ({point.saved_bytes / 1024 / point.case.tokens:.2f})"
        return f"{point.peak_bytes / MIB:.1f}{kept}"

    return [
        "Peak memory of training in MiB, and KiB kept for the backward pass per token:",
        _grid(lines, _along(panel), cell),
    ]


def _along(panel: Panel) -> Callable[[Point], tuple[int, str]]:
    """What names a column, sortable."""
    if panel.sweep == "mini-batch":
        return lambda point: (point.mini_batch, f"K = {point.mini_batch}")
    if panel.sweep == "frames":
        return lambda point: (point.frames, f"{point.frames} frame{'s' if point.frames > 1 else ''}")
    if panel.sweep == "tokens":
        return lambda point: (point.length, f"{point.batch} x {point.length}")
    return lambda point: (point.length, f"L = {point.length}")


def _grid(lines: list[Line], along: Callable[[Point], tuple[int, str]], cell: Callable[[Point], str]) -> str:
    columns = sorted({along(point) for line in lines for point in line.points})
    rows = []
    for line in lines:
        cells = {along(point): cell(point) if point.status == "ok" else point.status for point in line.points}
        rows.append({"model": f"`{line.mixer}`", **{name: cells.get((size, name), "") for size, name in columns}})
    return table_text(rows)


def _backends(panel: Panel) -> list[str]:
    used = {line.mixer: markdown(_text(point)) for line in panel.lines for point in line.measured if point.backend}
    return ["Backends: " + "; ".join(f"`{mixer}` {text}" for mixer, text in used.items()) + "."] if used else []


def _text(point: Point) -> str:
    return ", ".join(f"{operator}: {name}" for operator, name in sorted(point.backend.items()))


def _failures(panel: Panel) -> list[str]:
    notes = [
        f"- `{point.mixer}` {point.phase} {point.mode}, L = {point.length}, batch {point.batch}: {point.status}"
        + (f" ({markdown(point.note)})" if point.note else "")
        for line in panel.lines
        for point in line.points
        if point.status != "ok"
    ]
    return ["Not measured:\n\n" + "\n".join(notes)] if notes else []
