"""An ablation as bars: per variant what is reported and what was measured, one panel for each language model."""

import io
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auharness.errors import DataError
from auharness.leaderboard.ablation import Ablation
from auharness.leaderboard.reported import MEAN
from auharness.results.atomic import digest

__all__ = ["Panel", "ablation_digest", "ablation_panels", "ablation_picture", "draw_ablation"]

MEASURED, STAND_IN, INK, FLOOR = "#1f5a96", "#2e8540", "#222222", "#8a8a8a"
WIDTH = 0.4
"""Of a bar, where 1 is the distance between two variants."""


@dataclass(frozen=True)
class Panel:
    """The bars of one printed table, or of what was measured where no printed number stands beside it."""

    title: str
    subtitle: str
    names: tuple[str, ...]
    """Variants, then controls."""
    n_variants: int
    reported: Mapping[str, float]
    measured: Mapping[str, tuple[float, float, float]]
    """Score, low and high of its interval, in percent; low and high are the score where there is no interval."""
    floor: tuple[str, float] | None = None
    synthetic: bool = False
    unit: str = "subjects"


def ablation_picture(protocol: str, model: str) -> str:
    """Return the file name of a picture."""
    return f"{protocol}.{model}.ablation.png"


def ablation_digest(ablations: Sequence[Ablation]) -> str:
    """Return the digest of what a picture shows."""
    return digest([repr(panel) for panel in ablation_panels(ablations)])


def ablation_panels(ablations: Sequence[Ablation]) -> list[Panel]:
    """Return what is drawn: a printed table with what was measured on licensed data, and every stand-in by itself.

    A score on rendered faces never stands beside a printed one.
    """
    panels: list[Panel] = []
    for ablation in ablations:
        synthetic = ablation.origin == "synthetic"
        table = ablation.table
        if table is not None and synthetic:
            reported = _panel(Ablation(ablation.model, table, ablation.variants))
            if all(panel.title != reported.title for panel in panels):
                panels.append(reported)
        if ablation.rows or table is not None:
            panels.append(_panel(ablation))
    return panels


def draw_ablation(ablations: Sequence[Ablation]) -> bytes:
    """Return a png: hatched bars are reported, solid ones measured, with the 95 % interval over subjects.

    Bars start at 0, so that a small step looks small. The digest of the numbers is stored in the file.

    Raises:
        DataError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise DataError("the picture needs matplotlib, which is not installed; pip install 'auharness[viz]'") from None
    panels = ablation_panels(ablations)
    columns = len(panels) if len(panels) <= 3 else math.ceil(math.sqrt(len(panels)))
    rows = math.ceil(len(panels) / columns)
    inches = max(4.4, 1.2 + 0.62 * max(len(panel.names) for panel in panels))
    figure = Figure(figsize=(max(7.0, columns * inches), 0.6 + 3.8 * rows), dpi=130, layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis, panel in zip(axes, panels, strict=False):
        _draw_panel(axis, panel, inches)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    handles = {label: handle for axis in figure.axes for handle, label in zip(*_legend(axis), strict=True)}
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    stream = io.BytesIO()
    description = ablation_digest(ablations)
    figure.savefig(stream, format="png", metadata={"Description": description, "Software": None})
    return stream.getvalue()


def _panel(ablation: Ablation) -> Panel:
    synthetic, table = ablation.origin == "synthetic", ablation.table
    printed = {row.variant: row.cells[MEAN] for row in table.rows if MEAN in row.cells} if table else {}
    if ablation.rows:
        data = "synthetic stand-in, not comparable with print" if synthetic else "licensed data"
        subtitle = f"measured on {data}: {ablation.base}"
        if ablation.start is not None:
            found = "random weights" if ablation.start[0] == "none" else f"weights: {ablation.start[0]}"
            subtitle = f"{found}, where the paper has {ablation.start[1]}\n{subtitle}"
    else:
        subtitle = "reported only"
    title = table.table if table is not None else ablation.model
    row = next(iter(ablation.rows.values()), None)
    floor = None if row is None else row.score.highest_floor
    return Panel(
        title=f"{title}, measured" if synthetic and table is not None else title,
        subtitle=subtitle,
        names=(*ablation.variants, *ablation.controls),
        n_variants=len(ablation.variants),
        reported={} if synthetic else printed,
        measured=dict(_bars(ablation)),
        floor=None if floor is None else (floor[0], round(100 * floor[1], 4)),
        synthetic=synthetic,
        unit=ablation.unit,
    )


def _bars(ablation: Ablation) -> Iterator[tuple[str, tuple[float, float, float]]]:
    for name, row in ablation.rows.items():
        value, interval = row.score.headline, row.score.interval
        if not math.isnan(value):
            low, high = (value, value) if interval is None else (interval.low, interval.high)
            yield name, (round(100 * value, 4), round(100 * low, 4), round(100 * high, 4))


def _draw_panel(axis: Any, panel: Panel, inches: float) -> None:
    _draw_bars(axis, panel)
    _draw_marks(axis, panel)
    axis.set_xticks(range(len(panel.names)), panel.names, rotation=30, ha="right", fontsize=8)
    axis.set_xlim(-0.6, len(panel.names) - 0.4)
    axis.set_ylim(0, 108)
    axis.set_ylabel("score in percent", fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(axis="y", labelsize=8)
    title = textwrap.fill(panel.title, int(inches * 11))
    floor = [] if panel.floor is None else [f"floor: {panel.floor[0]} {panel.floor[1]:.1f}"]
    small = "\n".join(textwrap.fill(line, int(inches * 16)) for line in (*panel.subtitle.splitlines(), *floor))
    axis.set_title(title + "\n" * (small.count("\n") + 1), fontsize=9.5, loc="left")
    note = axis.annotate(small, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", fontsize=7.5)
    # the title keeps the space for it
    note.set_in_layout(False)


def _draw_bars(axis: Any, panel: Panel) -> None:
    both = bool(panel.reported) and bool(panel.measured)
    for place, name in enumerate(panel.names):
        printed, found = panel.reported.get(name), panel.measured.get(name)
        if printed is not None:
            _bar(axis, place - WIDTH / 2 * both, printed, label="reported", hatched=True)
        if found is not None:
            value, low, high = found
            label = f"measured{' on a stand-in' if panel.synthetic else ''}, 95 % interval over {panel.unit}"
            where = place + WIDTH / 2 * (both and printed is not None)
            colour = STAND_IN if panel.synthetic else MEASURED
            _bar(axis, where, value, label=label, colour=colour)
            axis.vlines(where, low, high, color=INK, linewidth=1.2)


def _draw_marks(axis: Any, panel: Panel) -> None:
    """The floor, and the line between variants and controls."""
    if panel.floor is not None:
        label = "highest floor: what a predictor that sees nothing scores"
        axis.axhline(panel.floor[1], color=FLOOR, linestyle=(0, (4, 3)), linewidth=1.1, zorder=3, label=label)
    if panel.n_variants < len(panel.names):
        axis.axvline(panel.n_variants - 0.5, color="#c9c9c9", linewidth=1)
        axis.annotate("controls", (panel.n_variants - 0.42, 106), va="top", fontsize=7.5, color=INK)


def _bar(axis: Any, where: float, value: float, *, label: str, colour: str = "#d9792b", hatched: bool = False) -> None:
    style = {"facecolor": "white", "edgecolor": colour, "hatch": "////"} if hatched else {"color": colour}
    axis.bar(where, value, WIDTH * 0.94, label=label, linewidth=1, **style)
    # at the foot, where no interval crosses it
    box = {"facecolor": "white" if hatched else colour, "edgecolor": "none", "pad": 0.8}
    ink = INK if hatched else "white"
    axis.annotate(
        f"{value:.1f}", (where, 0), (0, 4), textcoords="offset points", ha="center", fontsize=7, color=ink, bbox=box
    )


def _legend(axis: Any) -> tuple[list[Any], list[str]]:
    handles, labels = axis.get_legend_handles_labels()
    return handles, labels
