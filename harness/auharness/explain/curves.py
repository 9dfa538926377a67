"""A picture of training curves: a panel for every quantity, with its value on each part of the data."""

from pathlib import Path
from typing import Any, Final

import pandas as pd

from auharness.explain.figures import INK, MUTED, new_figure, save_figure
from auharness.scoring.curves import TEST

__all__ = ["draw_curves"]

_COLOURS: Final = {"training": "#1f5a96", "inner validation": "#c77b1b", "test": "#b03a2e"}
"""Part of the data -> colour; they differ in lightness, too."""
_PREFIXES: Final = {"train_": "training", "val_": "inner validation", TEST: "test"}
_SELECTING: Final = "inner_val"
_NAMES: Final = {"uar": "UAR", "war": "WAR", "macro f1": "macro-F1", "weighted f1": "weighted-F1"}
_PER_ROW = 3


def draw_curves(table: pd.DataFrame, path: Path, *, title: str) -> Path:
    """Write one panel per quantity and one colour per part: a thin line per fold and seed, and their mean.

    Args:
        table: from `auharness.scoring.curves`, at least one row.
        path: of the png.
        title: stands above.
    """
    panels = _panels(list(dict.fromkeys(table["quantity"])))
    across = min(_PER_ROW, len(panels))
    down = -(-len(panels) // across)
    figure = new_figure(max(3.9 * across, 5.2), 0.8 + 2.7 * down, layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for number, (axis, (name, parts)) in enumerate(zip(axes, panels.items(), strict=False)):
        for part, quantity in parts.items():
            _draw(axis, table[table["quantity"] == quantity], part)
        _finish(axis, name, legend=len(parts) > 1 or number == 0)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", color=INK)
    return save_figure(figure, path)


def _panels(quantities: list[str]) -> dict[str, dict[str, str]]:
    """Panel -> part of the data -> quantity, in the order in which they were logged."""
    panels: dict[str, dict[str, str]] = {}
    for quantity in quantities:
        stage, _, name = quantity.rpartition(": ")
        part = "training"
        if name == _SELECTING:
            part, name = "inner validation", "score"
        for prefix, of in _PREFIXES.items():
            if name.startswith(prefix):
                part, name = of, name.removeprefix(prefix)
        panel = name.replace("_", " ").replace("-", " ")
        panels.setdefault(f"{stage}: {panel}" if stage else panel, {})[part] = quantity
    # of classes the score is the UAR, which has a panel
    return {name: parts for name, parts in panels.items() if name != "score" or "uar" not in panels}


def _draw(axis: Any, table: pd.DataFrame, part: str) -> None:
    lines = table.pivot_table(index="epoch", columns=["fold", "seed"], values="value", sort=True)
    if lines.empty:
        return
    colour, several = _COLOURS[part], lines.shape[1] > 1
    if several:
        axis.plot(lines.index, lines.to_numpy(), color=colour, linewidth=0.7, alpha=0.35)
    # only where all lines go on: an early end of one would look like a change of the mean
    whole = lines.dropna()
    mark = "o" if len(whole) == 1 else None
    label = f"{part}, mean of {lines.shape[1]}" if several else part
    axis.plot(whole.index, whole.mean(axis=1), color=colour, linewidth=1.9, marker=mark, markersize=4, label=label)


def _finish(axis: Any, name: str, *, legend: bool) -> None:
    axis.set_title(_NAMES.get(name, name), fontsize=10, loc="left", color=INK)
    axis.set_xlabel("epoch", fontsize=9)
    axis.grid(True, color="#e4e4e4", linewidth=0.7)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8, color=MUTED)
    axis.locator_params(axis="x", integer=True, nbins=6)
    axis.locator_params(axis="y", nbins=6)
    if legend and axis.has_data():
        axis.legend(frameon=False, fontsize=8, loc="best")
