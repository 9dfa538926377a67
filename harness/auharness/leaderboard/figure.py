"""The gap between domains as a picture."""

import io
from collections.abc import Callable
from pathlib import Path

from auharness.errors import DataError
from auharness.leaderboard.generalisation import Generalisation

__all__ = ["Picture", "draw_generalisation", "is_drawn"]

Picture = tuple[str, Callable[[], bytes]]
"""The digest of the numbers that it shows, and what draws it as a png that holds the digest."""

WITHIN, ACROSS, FLOOR, INK = "#1f5a96", "#d9792b", "#8a8a8a", "#222222"


def draw_generalisation(found: Generalisation) -> bytes:
    """Return a png: one line per method from its score across domains to its score within, with the gap beside it.

    The digest of the numbers is stored in the file, see `is_drawn`.

    Raises:
        DataError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise DataError("the picture needs matplotlib, which is not installed; pip install 'auharness[viz]'") from None
    figure = Figure(figsize=(8.0, 1.9 + 0.46 * len(found.rows)), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    places = range(len(found.rows) - 1, -1, -1)
    for place, row in zip(places, found.rows, strict=True):
        axes.plot(
            [row.across, row.within], [place, place], color="#c9c9c9", linewidth=5, solid_capstyle="round", zorder=1
        )
        axes.annotate(
            f"-{row.gap:.2f}", ((row.within + row.across) / 2, place), (0, 5), textcoords="offset points",
            ha="center", va="bottom", fontsize=9, color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip
        for value, side in ((row.across, "right"), (row.within, "left")):
            offset = -8 if side == "right" else 8
            axes.annotate(
                f"{value:.2f}", (value, place), (offset, 0), textcoords="offset points",
                ha=side, va="center", fontsize=9, color=ACROSS if side == "right" else WITHIN,
            )  # fmt: skip
    axes.scatter([row.within for row in found.rows], list(places), s=70, color=WITHIN, zorder=3, label="within domain")
    axes.scatter([row.across for row in found.rows], list(places), s=70, color=ACROSS, zorder=3, label="across domains")
    for floor, colour, style, label in (
        (found.floor_within, WITHIN, (0, (4, 3)), "always-present floor within"),
        (found.floor_across, ACROSS, (0, (1, 2)), "always-present floor across"),
    ):
        if floor is not None:
            axes.axvline(floor, color=colour, linestyle=style, linewidth=1.3, zorder=0, label=f"{label} ({floor:.2f})")
    axes.set_yticks(list(places), [row.method for row in found.rows])
    axes.set_ylim(-0.6, len(found.rows) - 0.3)
    lowest = min(row.across for row in found.rows)
    axes.set_xlim(max(0, lowest - 6), max(row.within for row in found.rows) + 6)
    axes.set_xlabel("F1 in percent")
    axes.set_title(f"Reported F1 within and across domains ({' and '.join(found.tables)})", fontsize=11, loc="left")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Description": found.digest, "Software": None})
    return stream.getvalue()


def is_drawn(path: Path, digest: str) -> bool:
    """Return whether a picture shows these numbers; its pixels may differ with the version of matplotlib."""
    return path.is_file() and digest.encode() in path.read_bytes()
