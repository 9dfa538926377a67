"""The index of all boards: one line per protocol, and the pictures."""

from collections.abc import Mapping

from auharness.leaderboard.escape import markdown
from auharness.leaderboard.generalisation import Generalisation
from auharness.leaderboard.levels import best_constant
from auharness.leaderboard.page import Page
from auharness.leaderboard.reported import MEAN
from auharness.leaderboard.tables import percent, table_text

__all__ = ["overview_text"]


def overview_text(
    pages: Mapping[str, Page],
    figures: Mapping[str, Generalisation],
    *,
    head: str,
    scaling: bool,
    efficiency: bool = False,
) -> str:
    """Return the index as markdown.

    Args:
        pages: protocol name -> page.
        figures: file name of a picture -> what it shows.
        head: the first line.
        scaling: whether there is a page of the scaling suite.
        efficiency: whether there is a page of what models cost.
    """
    parts = [
        head,
        "# Leaderboards",
        "Each page holds measured rows with intervals and floors, and apart from them what papers report, audited. "
        "Scores are the protocol's headline in percent. Measured rows come from `auharness leaderboard add RUN`; the "
        "records in `data/` hold counts per subject and no predictions; where a protocol draws clips, one confusion "
        "matrix per fold and seed and no clip by itself.",
        table_text([_line(page) for page in pages.values()]),
    ]
    if efficiency:
        parts.append("[What models cost](efficiency.md): parameters, MACs, FLOPs and memory of every model.")
    if scaling:
        parts.append("[How TTT, Mamba and attention scale](mixer-scaling.md): time and memory against sequence length.")
    for name, found in figures.items():
        parts += _figure_section(name, found)
    return "\n\n".join(parts) + "\n"


def _line(page: Page) -> dict[str, str]:
    name = page.protocol.name
    licensed = [row for table in page.tables if table.origin == "licensed" for row in table.rows]
    stand_in = [row for table in page.tables if table.origin == "synthetic" for row in table.rows]
    printed = [
        (row.cells[MEAN], row.method, table)
        for table in page.reported
        if table.kind == "results"
        for row in table.rows
        if MEAN in row.cells
    ]
    best = max(printed, default=None, key=lambda item: item[0])
    top = next((row for row in licensed if row.rank == 1 or row.untested), None)
    floor = best_constant(page.floors) or max(page.floors.items(), key=lambda item: item[1], default=None)
    return {
        "protocol": f"[{markdown(name)}]({name}.md)",
        "measured, licensed": str(len(licensed)),
        "measured, stand-in": str(len(stand_in)),
        "highest measured": "" if top is None else f"{percent(top.score.headline)} ({markdown(top.entry.run.model)})",
        "highest reported": "" if best is None else f"{best[0]:.{best[2].decimals}f} ({markdown(best[1])})",
        "floor": "" if floor is None else f"{percent(floor[1])} ({floor[0]})",
    }


def _figure_section(name: str, found: Generalisation) -> list[str]:
    lines = [
        {
            "method": markdown(row.method),
            "within domain": f"{row.within:.2f}",
            "across domains": f"{row.across:.2f}",
            "gap": f"{row.gap:.2f}",
        }
        for row in found.rows
    ]
    if found.floor_within is not None and found.floor_across is not None:
        gap = f"{found.floor_within - found.floor_across:.2f}"
        floors = (f"{found.floor_within:.2f}", f"{found.floor_across:.2f}", gap)
        keys = ("within domain", "across domains", "gap")
        lines.append({"method": "*floor: constant-1*", **dict(zip(keys, floors, strict=True))})
    return [
        "## Reported scores within and across domains",
        f"![Reported F1 within and across domains, one line per method]({name})",
        f"Computed from {' and '.join(map(markdown, found.tables))} of {markdown(found.citation)}: within is the mean "
        f"of {' and '.join(found.within)}, across the mean of {' and '.join(found.across)}. Methods without a number "
        "in every direction are left out.",
        table_text(lines),
    ]
