"""The confusion matrix of a run of classes: counts, shares of each true class, and what it is taken for most often."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auharness.explain.figures import INK, MUTED, new_figure, save_figure
from auharness.metrics import normalise_rows
from auharness.results.schema import UnitRecord

__all__ = ["confusion_table", "draw_confusion", "total_confusion"]

TOP = 2
"""So many classes that a class is taken for are named beside it."""


def total_confusion(units: Sequence[UnitRecord]) -> NDArray[np.int64]:
    """Return the counts `[K,K]` over all clusters of some units, rows are true classes."""
    return np.sum([np.array(item.counts, np.int64) for unit in units for item in unit.clusters], axis=0)


def confusion_table(units: Sequence[UnitRecord]) -> pd.DataFrame:
    """Return counts and shares in percent of the row: all units together (fold `all`), then each fold and seed.

    Columns: `fold, seed, true, n, recall`, a count per class, and `<class> %`; undefined shares are empty.
    """
    columns = units[0].columns
    parts: list[tuple[str, str, Sequence[UnitRecord]]] = [("all", "all", units)]
    parts += [(unit.fold, str(unit.seed), [unit]) for unit in units]
    rows = []
    for fold, seed, members in parts:
        counts = total_confusion(members)
        shares = 100 * normalise_rows(counts)
        for place, name in enumerate(columns):
            row: dict[str, object] = {"fold": fold, "seed": seed, "true": name, "n": int(counts[place].sum())}
            row["recall"] = round(float(shares[place, place]), 2)
            row |= {other: int(value) for other, value in zip(columns, counts[place], strict=True)}
            row |= {f"{other} %": round(float(v), 2) for other, v in zip(columns, shares[place], strict=True)}
            rows.append(row)
    return pd.DataFrame(rows)


def draw_confusion(counts: NDArray[np.int64], columns: Sequence[str], path: Path, *, title: str) -> Path:
    """Write a png: shares of each true class in colour, counts below them, the top confusions at the right.

    Args:
        counts: `[K,K]`, rows are true classes.
        columns: names of the classes.
        path: of the png.
        title: stands above.
    """
    size = len(columns)
    cell = 0.78
    longest = max(len(name) for name in columns)
    left, right, top, bottom = 0.55 + 0.085 * longest, 3.0, 0.75, 0.55 + 0.06 * longest
    width, height = left + cell * size + right, top + cell * size + bottom
    figure = new_figure(width, height)
    axis = figure.add_axes((left / width, bottom / height, cell * size / width, cell * size / height))
    shares = 100 * normalise_rows(counts)
    axis.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for row in range(size):
        for column in range(size):
            _cell(axis, row, column, share=float(shares[row, column]), count=int(counts[row, column]))
        axis.text(
            size - 0.35, row, _confusions(counts, shares, row, columns), fontsize=8.5, va="center", ha="left", color=INK
        )
    axis.text(size - 0.35, -0.62, "recall, and taken for", fontsize=8.5, va="bottom", ha="left", color=MUTED)
    axis.set_xticks(range(size), columns, fontsize=9, rotation=30 if longest > 7 else 0)
    axis.set_yticks(range(size), columns, fontsize=9)
    axis.set_xlabel("predicted", fontsize=9.5, color=INK)
    axis.set_ylabel("true", fontsize=9.5, color=INK)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    figure.text(0.12 / width, 1 - 0.3 / height, title, fontsize=11, ha="left", va="center", color=INK)
    return save_figure(figure, path)


def _cell(axis: Any, row: int, column: int, *, share: float, count: int) -> None:
    colour = "white" if share > 55 else INK if count or row == column else MUTED
    text = "n/a" if np.isnan(share) else f"{share:.1f} %"
    weight = "bold" if row == column else "normal"
    axis.text(column, row - 0.1, text, ha="center", va="center", fontsize=8.5, color=colour, fontweight=weight)
    axis.text(column, row + 0.22, f"{count}", ha="center", va="center", fontsize=7, color=colour)


def _confusions(counts: NDArray[np.int64], shares: NDArray[np.float64], row: int, columns: Sequence[str]) -> str:
    if not counts[row].sum():
        return "no sample"
    others = sorted((place for place in range(len(columns)) if place != row), key=lambda place: -counts[row, place])
    named = [f"{columns[place]} {shares[row, place]:.0f} %" for place in others[:TOP] if counts[row, place]]
    return f"{shares[row, row]:.1f} %   " + (", ".join(named) if named else "never mistaken")
