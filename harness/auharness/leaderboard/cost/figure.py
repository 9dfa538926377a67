"""Score against cost as a picture: measured and reported rows under different marks, a stand-in by itself."""

import io
from collections.abc import Sequence
from typing import Any, Final

from auharness.errors import DataError
from auharness.leaderboard.cost.section import Line
from auharness.leaderboard.escape import clean
from auharness.results.atomic import digest

__all__ = ["LEAST", "cost_digest", "cost_picture", "draw_cost", "drawn"]

LEAST = 3
"""Rows below which a picture says no more than its table."""

INK, QUIET = "#222222", "#8a8a8a"
KINDS: Final = (
    ("measured on licensed data", "o", "#1f5a96", True),
    ("measured on a stand-in", "^", "#2e8540", True),
    ("reported score, our count", "s", "#d9792b", False),
    ("reported score, printed cost", "D", "#7a5ba8", False),
)
"""Label, mark, colour, filled."""
_SIDES: Final = (
    *((7, y, "left", "center") for y in (0, 9, -9)),
    *((-7, y, "right", "center") for y in (0, 9, -9)),
    *((0, 7, "center", "bottom"), (0, -7, "center", "top")),
    *((x, y, "left" if x > 0 else "right", "center") for y in (18, -18, 27, -27) for x in (7, -7)),
)
"""Where a name may stand: offset in points, alignments."""


def drawn(lines: Sequence[Line]) -> list[Line]:
    """Return the lines that the picture shows, each cost and score of a model once; none where they are too few.

    Scores on rendered faces and on real ones have no common axis, nor have those on two sizes of a stand-in: licensed
    and reported rows are shown together, and without enough of them the stand-in of which there are most rows.
    """
    once = {(line.model, line.preset, line.origin, line.score, line.gigamacs): line for line in lines if line.gigamacs}
    real = [line for line in once.values() if not line.rendered]
    stand_ins = [line.origin for line in once.values() if line.rendered]
    most = max(stand_ins, default="", key=stand_ins.count)
    for shown in (real, [line for line in once.values() if line.origin == most]):
        if len(shown) >= LEAST:
            return shown
    return []


def cost_picture(protocol: str) -> str:
    """Return the file name of a protocol's picture."""
    return f"cost-{protocol}.png"


def cost_digest(lines: Sequence[Line], floor: tuple[str, float] | None) -> str:
    """Return the digest of what a picture shows."""
    shown = [[line.model, line.preset, _kind(line), line.score, line.gigamacs] for line in lines]
    return digest([shown, floor])


def draw_cost(lines: Sequence[Line], *, title: str, score: str, floor: tuple[str, float] | None) -> bytes:
    """Return a png: one mark per line, MACs on a logarithmic axis, the floor dashed.

    The digest of the numbers is stored in the file.

    Args:
        lines: from `drawn`.
        title: above the picture.
        score: name of the score.
        floor: name and score in percent of the best constant predictor, None where it is not known.

    Raises:
        DataError: if matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, NullFormatter
    except ImportError:
        raise DataError("the picture needs matplotlib, which is not installed; pip install 'auharness[viz]'") from None
    figure = Figure(figsize=(9.0, 5.4), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    for number, (label, mark, colour, filled) in enumerate(KINDS):
        own = [line for line in lines if _kind(line) == number]
        if own:
            face = colour if filled else "white"
            costs, scores = [line.gigamacs or 0.0 for line in own], [line.score for line in own]
            axes.scatter(costs, scores, s=52, marker=mark, edgecolors=colour, facecolors=face, label=label, zorder=3)
    if floor is not None:
        label = f"floor on the published data: {floor[0]} ({floor[1]:.2f})"
        axes.axhline(floor[1], color=QUIET, linestyle=(0, (4, 3)), linewidth=1.2, label=label, zorder=0)
    wide = _finish(axes, lines, score, title)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(lambda value, place: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    canvas: Any = FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    _name(canvas.get_renderer(), axes, lines)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Description": cost_digest(lines, floor), "Software": None})
    return stream.getvalue()


def _kind(line: Line) -> int:
    if line.origin == "reported":
        return 2 if line.printed is None else 3
    return 1 if line.rendered else 0


def _finish(axes: Any, lines: Sequence[Line], score: str, title: str) -> bool:
    """Label the axes; return whether the costs lie decades apart."""
    axes.set_xscale("log")
    low, high = (pick(line.gigamacs or 0.0 for line in lines) for pick in (min, max))
    # room for names, which stand on the right
    span = max(high / low, 2.0)
    axes.set_xlim(low / span**0.08, high * span**0.25)
    axes.set_xlabel("GMACs of one sample, 10⁹, counted or as printed", fontsize=9)
    axes.set_ylabel(f"{score} in percent", fontsize=9)
    axes.set_title(title, fontsize=11, loc="left")
    axes.margins(y=0.12)
    axes.grid(True, which="major", color="#e9e9e9", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", labelsize=8)
    return span > 100


def _name(renderer: Any, axes: Any, lines: Sequence[Line]) -> None:
    """Write each name beside its mark, on the first side where it covers nothing."""
    centres = [axes.transData.transform((line.gigamacs, line.score)) for line in lines]
    taken = [(x - 8, y - 8, x + 8, y + 8) for x, y in centres]
    left, low, right, high = axes.get_window_extent(renderer).extents
    for line in sorted(lines, key=lambda line: (-line.score, line.model)):
        text = clean(f"{line.model} {line.preset}")
        for last, (dx, dy, ha, va) in enumerate(_SIDES, 1):
            note = axes.annotate(
                text, (line.gigamacs, line.score), (dx, dy), textcoords="offset points", ha=ha, va=va, fontsize=7.5,
                color=INK, parse_math=False,
            )  # fmt: skip
            box = note.get_window_extent(renderer).extents
            inside = left < box[0] and low < box[1] and box[2] < right and box[3] < high
            if last == len(_SIDES) or (inside and not any(_meet(box, other) for other in taken)):
                taken.append(tuple(box))
                break
            note.remove()


def _meet(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
