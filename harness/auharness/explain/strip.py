"""A strip: the frames of a sample in a row, and below them the maps of layers or of several models."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from auharness.explain.figures import INK, MUTED, new_canvas, overlay, place, save_figure
from auharness.explain.grad_cam import normalised

__all__ = ["StripRow", "draw_strip"]

LEFT, RIGHT, TOP, BOTTOM, GAP = 1.45, 0.85, 0.95, 0.42, 0.06
"""Margins and the space between pictures, in inches."""


@dataclass(frozen=True, slots=True)
class StripRow:
    """One row of pictures."""

    label: str
    frames: NDArray[np.float32]
    """`[T,S,S,3]` in [0, 1]."""
    maps: NDArray[np.float32] | None = None
    """`[T,S,S]`, not normalised, NaN on frames that are not seen; None shows the frames alone."""


def draw_strip(rows: Sequence[StripRow], path: Path, *, title: str, subtitle: str, per_frame: bool = False) -> Path:
    """Write a png and return its path.

    Args:
        rows: from top to bottom; they may have different numbers of frames.
        path: of the png.
        title: first line.
        subtitle: second line.
        per_frame: each frame is divided by its own maximum; else by that of its row, so that frames can be compared.
    """
    widest = max(len(row.frames) for row in rows)
    cell = 1.25 if widest <= 8 else 0.92
    width = max(LEFT + widest * (cell + GAP) + RIGHT, 6.2)
    height = TOP + len(rows) * (cell + GAP) + BOTTOM
    figure, canvas = new_canvas(width, height)
    for number, row in enumerate(rows):
        bottom = height - TOP - (number + 1) * (cell + GAP) + GAP
        _draw_row(canvas, row, bottom=bottom, cell=cell, per_frame=per_frame)
    for number in range(len(rows[0].frames)):
        text = f"frame {number}" if widest <= 8 else str(number)
        middle = LEFT + number * (cell + GAP) + cell / 2
        canvas.text(middle, height - TOP + 0.04, text, fontsize=8, ha="center", va="bottom", color=MUTED)
    canvas.text(0.12, height - 0.24, title, fontsize=11, va="center", color=INK, fontweight="bold")
    canvas.text(0.12, height - 0.50, subtitle, fontsize=9.5, va="center", color=INK)
    canvas.text(0.12, 0.17, _note(rows, per_frame=per_frame), fontsize=8, va="center", color=MUTED)
    if any(row.maps is not None for row in rows):
        _draw_scale(canvas, left=LEFT + widest * (cell + GAP) + 0.12, cell=cell)
    return save_figure(figure, path)


def _draw_row(canvas: Any, row: StripRow, *, bottom: float, cell: float, per_frame: bool) -> None:
    maps = None if row.maps is None else normalised(torch.from_numpy(row.maps)[None], per_frame=per_frame)[0].numpy()
    for number, frame in enumerate(row.frames):
        left = LEFT + number * (cell + GAP)
        unseen = maps is not None and bool(np.isnan(maps[number]).any())
        shown = frame if maps is None else 0.5 + 0.5 * frame if unseen else overlay(frame, maps[number])
        place(canvas, shown, left=left, bottom=bottom, size=cell)
        if unseen:
            canvas.add_patch(_hatch(left, bottom, cell))
    canvas.text(
        LEFT - 0.12, bottom + cell / 2, row.label, fontsize=8.5, ha="right", va="center", color=INK, linespacing=1.35
    )


def _note(rows: Sequence[StripRow], *, per_frame: bool) -> str:
    note = f"Grad-CAM; 1 is the {'frame' if per_frame else 'clip'}'s maximum"
    if max(len(row.frames) for row in rows) > 1:
        note += "; cells are time x height x width, those of time spread evenly"
        hatched = any(row.maps is not None and np.isnan(row.maps).any() for row in rows)
        note += " over the frames that are not hatched" if hatched else ""
    return note


def _draw_scale(canvas: Any, *, left: float, cell: float) -> None:
    """The colours over an even grey, at the right of the last row."""
    values = np.linspace(1, 0, 128, dtype=np.float32)[:, None].repeat(8, 1)
    colours = overlay(np.full((128, 8, 3), 0.55, np.float32), values)
    canvas.imshow(colours, aspect="auto", extent=(left, left + 0.14, BOTTOM, BOTTOM + cell))
    for value in (0, 0.5, 1):
        canvas.text(left + 0.2, BOTTOM + value * cell, f"{value:g}", fontsize=7.5, va="center", color=INK)


def _hatch(left: float, bottom: float, size: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((left, bottom), size, size, fill=False, hatch="////", edgecolor=MUTED, linewidth=0, zorder=3)
