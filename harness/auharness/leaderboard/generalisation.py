"""The gap between domains, computed from reported tables: scores within each data set against scores across."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from auharness.leaderboard.page import Page
from auharness.leaderboard.reported import MEAN, ReportedTable
from auharness.results.atomic import digest

__all__ = ["GapRow", "Generalisation", "generalisations"]


@dataclass(frozen=True)
class GapRow:
    """One method, in percent."""

    method: str
    within: float
    """Mean over the data sets, trained and tested on the same."""
    across: float
    """Mean over the directions from one data set to another."""

    @property
    def gap(self) -> float:
        """Points lost across domains."""
        return self.within - self.across


@dataclass(frozen=True)
class Generalisation:
    """The methods of one paper that have a number in every direction."""

    name: str
    """Model plugin of the paper, or a digest of its citation: part of the file name."""
    citation: str
    tables: tuple[str, ...]
    within: tuple[str, ...]
    """Protocols that are averaged."""
    across: tuple[str, ...]
    rows: tuple[GapRow, ...]
    """Smallest gap first."""
    floor_within: float | None
    """Mean of the always-present floors in percent; None where one is not known."""
    floor_across: float | None

    @property
    def digest(self) -> str:
        """Of all numbers in it: tells whether a picture is stale."""
        rows = [[row.method, row.within, row.across] for row in self.rows]
        return digest([self.citation, rows, self.floor_within, self.floor_across], 32)


def generalisations(pages: Mapping[str, Page]) -> list[Generalisation]:
    """Return one comparison for each paper that reports both kinds of protocols, in the order of its first protocol.

    A direction from X to Y is set against the protocol that is trained and tested on Y.
    """
    sources: dict[str, dict[str, ReportedTable]] = {}
    for name, page in sorted(pages.items()):
        for table in page.reported:
            if table.kind == "results":
                sources.setdefault(table.citation, {})[name] = table
    found = [_compare(citation, tables, pages) for citation, tables in sources.items()]
    return [item for item in found if item is not None]


def _compare(citation: str, tables: Mapping[str, ReportedTable], pages: Mapping[str, Page]) -> Generalisation | None:
    across, within = [], []
    for name in tables:
        protocol = pages[name].protocol
        if protocol.train_on == protocol.test_on:
            continue
        own = [n for n in tables if pages[n].protocol.train_on == pages[n].protocol.test_on == protocol.test_on]
        if own:
            across.append(name)
            within.append(own[0])
    if not across:
        return None
    rows = list(_rows(tables, within, across))
    if not rows:
        return None
    model = next((tables[name].own_model for name in across if tables[name].own_model), "")
    return Generalisation(
        name=model or digest(citation, 8),
        citation=citation,
        tables=tuple(dict.fromkeys(tables[name].table for name in (*within, *across))),
        within=tuple(within),
        across=tuple(across),
        rows=tuple(sorted(rows, key=lambda row: (row.gap, row.method))),
        floor_within=_floor(pages, within),
        floor_across=_floor(pages, across),
    )


def _rows(tables: Mapping[str, ReportedTable], within: Sequence[str], across: Sequence[str]) -> Iterator[GapRow]:
    cells = {name: {row.method: row.cells.get(MEAN) for row in tables[name].rows} for name in (*within, *across)}
    for method in cells[across[0]]:
        inside = [cells[name].get(method) for name in within]
        outside = [cells[name].get(method) for name in across]
        known_in = [value for value in inside if value is not None]
        known_out = [value for value in outside if value is not None]
        if len(known_in) == len(inside) and len(known_out) == len(outside):
            # two printed decimals are more than the mean of two one-decimal numbers needs
            yield GapRow(method, round(sum(known_in) / len(inside), 4), round(sum(known_out) / len(outside), 4))


def _floor(pages: Mapping[str, Page], names: Sequence[str]) -> float | None:
    values = [pages[name].floors.get("constant-1") for name in names]
    known = [value for value in values if value is not None]
    return 100 * sum(known) / len(known) if len(known) == len(names) else None
