"""Score and cost in one row: what a protocol's page holds where the cost of a model is known."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan

from auharness.api import ProtocolPlugin
from auharness.bench.naming import network_digest
from auharness.bench.summary import giga, mebi, whole
from auharness.leaderboard.cost.costs import Cost, Costs
from auharness.leaderboard.escape import markdown
from auharness.leaderboard.reported import MEAN, ReportedTable
from auharness.leaderboard.rows import BoardRow, BoardTable
from auharness.leaderboard.tables import NAMES, marked, table_text

__all__ = ["PRINTED", "Line", "cost_lines", "cost_of", "cost_section"]

PRINTED = "FLOPs (G)"
"""Name of a printed column of costs, which hold multiply-accumulates almost everywhere."""


@dataclass(frozen=True)
class Line:
    """One row with a score and a cost."""

    model: str
    """Plugin of a measured row, printed name of a reported one; text of these fields is not escaped yet."""
    preset: str
    origin: str
    """`licensed`, `stand-in small` (or another size), or `reported`."""
    where: str
    """The printed table of a reported row."""
    score: float
    """Headline in percent."""
    shown: str
    """The same with all that must stand beside it, as markdown."""
    cost: Cost | None
    printed: float | None = None
    """10^9, as a paper prints it."""

    @property
    def rendered(self) -> bool:
        """Whether the score is one on rendered faces."""
        return self.origin not in ("licensed", "reported")

    @property
    def gigamacs(self) -> float | None:
        """Where it stands on an axis of MACs: the printed cost beside a printed score, else the counted one."""
        if self.printed is not None:
            return self.printed
        macs = None if self.cost is None else self.cost.count.macs
        return None if not macs else macs / 1e9


def cost_lines(
    protocol: ProtocolPlugin, tables: tuple[BoardTable, ...], reported: tuple[ReportedTable, ...], costs: Costs
) -> list[Line]:
    """Return the ranked measured rows and the printed ones whose cost is known, in the order of the page."""
    lines = [line for table in tables for line in _measured(protocol, table, costs)]
    for printed in reported:
        if printed.kind == "results" and printed.metric == protocol.headline:
            lines += _reported(protocol, printed, costs)
    return lines


def cost_of(protocol: ProtocolPlugin, row: BoardRow, costs: Costs) -> Cost | None:
    """Return the cost of a measured row's own network, None where it was not counted."""
    unit = row.entry.first
    cost = costs.of(row.entry.run.model, protocol.train_on[0], network_digest(unit.settings))
    return cost if cost is not None and cost.count.outputs == len(unit.outputs) else None


def cost_section(protocol: ProtocolPlugin, lines: list[Line], *, picture: str = "", board: bool = False) -> list[str]:
    """Return the section as markdown; nothing where no cost is known.

    Args:
        protocol: names the score.
        lines: from `cost_lines`.
        picture: file name of the scatter plot, empty for none.
        board: the page stands beside `efficiency.md`.
    """
    if not lines:
        return []
    more = " All models: [efficiency](efficiency.md)." if board else ""
    about = (
        "One sample, one forward pass. Parameters, MACs and FLOPs are counted by `auharness bench` and belong to the "
        "row's own network; a reported row stands beside our plugin of it at the preset `paper`, and `printed` is the "
        "cost that its paper prints, 10^9. Memory is weights and what is held at once above the inputs, in eager mode. "
        f"Latency is the median of single samples on the device named; CPUs have none on a board.{more}"
    )
    parts = ["## Score and cost", about]
    real, rendered = [[line for line in lines if line.rendered is which] for which in (False, True)]
    parts += [_table(protocol, real)] if real else []
    if picture:
        parts.append(f"![Score against multiply-accumulates, one mark per row that has products]({picture})")
    if rendered:
        parts += ["Synthetic stand-ins, not comparable with reported numbers:", _table(protocol, rendered)]
    return parts


def _table(protocol: ProtocolPlugin, lines: list[Line]) -> str:
    cells = [_cells(protocol, line) for line in lines]
    empty = [name for name in ("preset", "printed", "latency") if all(row[name] in ("", "n/a") for row in cells)]
    rows = [{name: text for name, text in row.items() if name not in empty} for row in cells]
    return table_text(rows)


def _measured(protocol: ProtocolPlugin, table: BoardTable, costs: Costs) -> Iterator[Line]:
    origin = "licensed" if table.origin == "licensed" else f"stand-in {table.size}".strip()
    for row in table.rows:
        cost = cost_of(protocol, row, costs)
        if cost is None or isnan(row.score.headline):
            continue
        score = 100 * row.score.headline
        preset = "; ".join(filter(None, (row.entry.run.preset, row.difference)))
        yield Line(row.entry.run.model, preset, origin, "", score, marked(row.score), cost)


def _reported(protocol: ProtocolPlugin, table: ReportedTable, costs: Costs) -> Iterator[Line]:
    dataset = protocol.train_on[0]
    for row in table.rows:
        if MEAN not in row.cells:
            continue
        cost = costs.of_paper(row.model, dataset, row.setting) if row.model else None
        printed = row.cost if table.cost == PRINTED else None
        if cost is None and printed is None:
            continue
        score = row.cells[MEAN]
        shown = f"{score:.{table.decimals}f}"
        yield Line(row.method, "", "reported", table.table, score, shown, cost, printed)


def _cells(protocol: ProtocolPlugin, line: Line) -> dict[str, str]:
    count = None if line.cost is None else line.cost.count
    return {
        "model": markdown(line.model),
        "preset": markdown(line.preset),
        "origin": markdown(f"{line.origin}, {line.where}" if line.where else line.origin),
        NAMES.get(protocol.headline, protocol.headline): line.shown,
        "parameters": whole(None if count is None else count.parameters),
        "trainable": whole(None if count is None else count.trainable),
        "MACs (G)": giga(None if count is None else count.macs),
        "FLOPs (G)": giga(None if count is None else count.flops),
        "memory (MiB)": mebi(None if count is None else count.peak_bytes),
        "printed": "" if line.printed is None else f"{line.printed:g}",
        "latency": markdown("" if line.cost is None else line.cost.latency) or "n/a",
    }
