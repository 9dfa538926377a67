"""The picture of a stretch of a recording: panels over one axis of time."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from auharness.data.sound import RATE
from auharness.explain.answers import threshold_of
from auharness.explain.figures import INK, MUTED, Made, new_figure, save_arrays, save_figure
from auharness.explain.loaded import LoadedRun
from auharness.explain.windows import WindowTraces

__all__ = ["draw_window", "outputs_worth_a_look"]

_SAID: Final = "#1f5a96"
_TRUE: Final = "#f2b84b"
_SOUND: Final = "#5b4a8a"
_NONE: Final = "#e9e9e9"
_ACROSS, _INCHES_PER_CHANNEL = 9.5, 0.17
_POINTS = 4000
"""A waveform is drawn by the least and greatest value of so many pieces."""

Draw = Callable[[Any], None]


def outputs_worth_a_look(found: WindowTraces, asked: Sequence[str]) -> list[str]:
    """Return the asked outputs, or those that are present or predicted in the stretch; of none, the likeliest."""
    unit = found.stretch.sample.unit
    if asked:
        return list(asked)
    highest = {name: found.scores[:, unit.outputs.index(name)].max() for name in unit.columns}
    present = dict(zip(unit.columns, (found.truth == 1).any(axis=0), strict=True))
    seen = [name for name in unit.columns if present[name] or highest[name] >= threshold_of(unit, name)]
    return seen or [max(highest, key=lambda name: float(highest[name]))]


def draw_window(run: LoadedRun, found: WindowTraces, outputs: Sequence[str], out: Path) -> Made:
    """Write `<dataset>/<sequence>/window.png`, with the frame number where one was asked for, and an npz beside it.

    From top to bottom: frames; each output's probability and label; the waveform; each trace, one channel as a line,
    several as a heatmap. Frames that are not coded leave a gap.

    Args:
        run: that was explained.
        found: what it did.
        outputs: which are drawn.
        out: folder; made if needed.
    """
    stretch = found.stretch
    parts = [part.replace("..", "_") for part in stretch.recording.split("/") if part]
    name = "window" if stretch.whole else f"window.{stretch.sample.id.rpartition('/')[2]}"
    place = out.joinpath(*parts)
    panels = _panels(found, outputs)
    heights = [height for height, _ in panels]
    figure = new_figure(_ACROSS, 0.9 + sum(heights), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (_, draw) in zip(axes, panels, strict=True):
        draw(axis)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    starts, ends = _spans(found)
    axes[-1].set_xlim(starts[0], ends[-1])
    axes[-1].set_xlabel("seconds since the beginning of the recording", fontsize=9)
    figure.suptitle(_title(run, found), fontsize=11, x=0.01, ha="left", color=INK)
    _save(found, place / f"{name}.npz")
    path = save_figure(figure, place / f"{name}.png")
    return {
        "kind": "window",
        "path": str(path),
        "sample": stretch.recording if stretch.whole else stretch.sample.id,
        "outputs": list(outputs),
        "traces": list(found.traces),
        "frames": [int(found.frames[0]), int(found.frames[-1])],
        "seconds": [float(found.time_s[0]), float(found.time_s[-1])],
        "sound": None if found.recorded is None else bool(found.recorded.any()),
    }


def _panels(found: WindowTraces, outputs: Sequence[str]) -> list[tuple[float, Draw]]:
    """Height in inches and what draws it."""
    panels: list[tuple[float, Draw]] = [(0.75, partial(_draw_crops, found))]
    panels += [(0.5, partial(_draw_output, found, output)) for output in outputs]
    if found.sound is not None:
        panels.append((0.7, partial(_draw_sound, found)))
    for name, values in found.traces.items():
        line = len(values) == 1
        height = 0.75 if line else 0.35 + _INCHES_PER_CHANNEL * len(values)
        panels.append((height, partial(_draw_line if line else _draw_channels, found, name)))
    return panels


def _draw_crops(found: WindowTraces, axis: Any) -> None:
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.tick_params(bottom=False)
    share = 1 / len(found.crops)
    for number, crop in enumerate(found.crops):
        small = axis.inset_axes((number * share, 0, share, 1))
        small.imshow(crop, interpolation="bilinear")
        small.set_axis_off()


def _draw_output(found: WindowTraces, output: str, axis: Any) -> None:
    unit = found.stretch.sample.unit
    column = unit.outputs.index(output)
    values, line = found.probability[:, column], threshold_of(unit, output)
    if np.isnan(values).all():
        values = found.scores[:, column]
    elif unit.score_kind == "logit":
        line = float(1 / (1 + np.exp(-line)))
    low, high = (0.0, 1.0) if unit.score_kind != "margin" else (float(values.min()), float(values.max()))
    truth = found.truth[:, unit.columns.index(output)] if output in unit.columns else np.full(len(values), -1)
    for wanted, colour in ((1, _TRUE), (-1, _NONE)):
        _shade(axis, found, truth == wanted, colour)
    axis.plot(*_with_gaps(found, values), color=_SAID, linewidth=1.2)
    axis.axhline(line, color=MUTED, linewidth=0.7, linestyle="--")
    axis.set_ylim(low - 0.02 * (high - low), high + 0.02 * (high - low))
    axis.set_ylabel(output, fontsize=9, rotation=0, ha="right", va="center")


def _draw_sound(found: WindowTraces, axis: Any) -> None:
    sound, recorded = found.sound, found.recorded
    assert sound is not None and recorded is not None
    pieces = min(_POINTS, len(sound))
    starts = np.linspace(0, len(sound), pieces, endpoint=False).astype(np.int64)
    low, high = np.minimum.reduceat(sound, starts), np.maximum.reduceat(sound, starts)
    times = found.time_s[0] + starts / RATE
    axis.fill_between(times, low, high, color=_SOUND, linewidth=0.3)
    silent = ~np.logical_or.reduceat(recorded, starts)
    axis.fill_between(times, -1, 1, where=silent, color=_NONE, linewidth=0, transform=axis.get_xaxis_transform())
    reach = max(float(np.abs(sound).max()), 1e-3)
    axis.set_ylim(-1.05 * reach, 1.05 * reach)
    said = "sound" if recorded.any() else "sound: none"
    axis.set_title(said, fontsize=9, loc="left", color=INK, pad=2)


def _draw_line(found: WindowTraces, name: str, axis: Any) -> None:
    axis.plot(*_with_gaps(found, found.traces[name][0].astype(np.float64)), color=INK, linewidth=1.1)
    axis.set_title(found.plugin.traces[name], fontsize=9, loc="left", color=INK, pad=2)
    axis.grid(True, axis="y", color="#e4e4e4", linewidth=0.7)
    axis.locator_params(axis="y", nbins=4)


def _draw_channels(found: WindowTraces, name: str, axis: Any) -> None:
    values, gaps = found.traces[name], _gaps(found.frames)
    starts, ends = _spans(found)
    edges = np.insert(np.append(starts, ends[-1]), gaps, ends[gaps - 1])
    filled = np.insert(values.astype(np.float64), gaps, np.nan, axis=1)
    mesh = axis.pcolormesh(edges, np.arange(len(values) + 1), filled, cmap="viridis", vmin=0)
    names = found.plugin.trace_channels().get(name, [str(number) for number in range(len(values))])
    axis.set_yticks(np.arange(len(values)) + 0.5, names)
    axis.invert_yaxis()
    axis.set_title(found.plugin.traces[name], fontsize=9, loc="left", color=INK, pad=2)
    bar = axis.figure.colorbar(mesh, ax=axis, pad=0.01, fraction=0.03)
    bar.ax.tick_params(labelsize=7.5, color=MUTED)
    bar.outline.set_visible(False)


def _gaps(frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places before which frame numbers are left out."""
    return np.flatnonzero(np.diff(frames) > 1) + 1


def _with_gaps(found: WindowTraces, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times and values, with NaN where frame numbers are left out, so that no line is drawn across."""
    gaps = _gaps(found.frames)
    return np.insert(found.time_s, gaps, found.time_s[gaps]), np.insert(values, gaps, np.nan)


def _spans(found: WindowTraces) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`[N]` from when and `[N]` until when each frame is there: halfway to its neighbours, as usual beside a gap."""
    times = found.time_s
    if len(times) == 1:
        return times - 0.5, times + 0.5
    half = np.diff(times) / 2
    half[_gaps(found.frames) - 1] = np.median(half)
    return times - np.append(half[:1], half), times + np.append(half, half[-1:])


def _shade(axis: Any, found: WindowTraces, where: NDArray[np.bool_], colour: str) -> None:
    """Colour the frames of a kind behind the line, one bar for neighbours."""
    starts, ends = _spans(found)
    apart = (np.diff(found.frames) > 1) | (where[1:] != where[:-1])
    for alike in np.split(np.arange(len(where)), np.flatnonzero(apart) + 1):
        if where[alike[0]]:
            axis.axvspan(starts[alike[0]], ends[alike[-1]], color=colour, alpha=0.55, linewidth=0)


def _title(run: LoadedRun, found: WindowTraces) -> str:
    sample = found.stretch.sample
    fold = sample.unit.fold if sample.unit.fold.startswith("fold") else f"fold {sample.unit.fold}"
    mark = "   TRAINING SAMPLE" if sample.training else ""
    seed = f", seed {sample.unit.seed}" if len({unit.seed for unit in run.units}) > 1 else ""
    span = f"frames {found.frames[0]} to {found.frames[-1]}"
    return (
        f"{found.stretch.recording}, {span}{mark}   {run.name}, {fold}{seed}\n"
        "line: probability, dashed: threshold, yellow: present, grey: not coded"
    )


def _save(found: WindowTraces, path: Path) -> None:
    sound = {} if found.sound is None else {"sound": found.sound, "sound_recorded": found.recorded}
    save_arrays(
        path,
        outputs=np.array(found.stretch.sample.unit.outputs),
        frames=found.frames,
        time_s=found.time_s,
        scores=found.scores,
        probability=found.probability,
        truth=found.truth,
        **found.traces,
        **sound,
    )
