"""Printed rows and cells held against predictors that see nothing: constants, and what chance reaches."""

from collections.abc import Iterator, Mapping

from auharness.leaderboard.finding import Finding, number
from auharness.leaderboard.levels import SAYS, Levels, best_constant, equal_constants
from auharness.leaderboard.reported import MEAN, ReportedRow, ReportedTable

__all__ = ["NEAR_FLOOR", "audit_levels", "audit_stated"]

NEAR_FLOOR = 1.0
"""Points above the floor up to which a score says little."""


def audit_levels(table: ReportedTable, levels: Levels) -> Iterator[Finding]:
    """Yield rows at or below a constant predictor, rows that chance reaches, and rows with cells of a constant.

    Rows of an ablation are held against chance only: their floor is that of the results.
    """
    floor = best_constant({name: level.mean for name, level in levels.items()})
    if floor is not None and table.kind == "results":
        yield from _floors(table, *floor)
    yield from _chance(table, levels)
    yield from _constants(table, levels)


def audit_stated(
    table: ReportedTable, levels: Levels, stated: Levels, clips: tuple[str, int, int] | None
) -> Iterator[Finding]:
    """Yield whether cells of a constant predictor fit the number of clips that the text states.

    Args:
        table: what is printed.
        levels: on the published data.
        stated: the same positives in the stated number of clips.
        clips: data set, stated and published number; None where they agree or are not known.
    """
    if clips is None:
        return
    dataset, said, published = clips
    fitting = set(equal_constants(table, levels)) - set(equal_constants(table, stated))
    for row in table.rows:
        columns = [column for column in row.cells if (row.method, column) in fitting]
        if columns:
            cells = ", ".join(f"{column} {number(row.cells[column], table)}" for column in columns)
            yield Finding(
                "data",
                "contradicted",
                f"{row.method}: {cells} {'is' if len(columns) == 1 else 'are'} what a constant scores on the "
                f"{published} published clips of {dataset}, not on the {said} that the text states",
            )


def _floors(table: ReportedTable, name: str, floor: float) -> Iterator[Finding]:
    for row in table.rows:
        if MEAN not in row.cells:
            continue
        above = row.cells[MEAN] - floor
        if above <= NEAR_FLOOR:
            where = "below" if above < 0 else "at"
            text = f"{row.method}: {number(row.cells[MEAN], table)} is {where} the {SAYS[name]} floor {floor:.2f}"
            yield Finding("floor", "low", f"{text} ({above:+.2f} points)")


def _chance(table: ReportedTable, levels: Levels) -> Iterator[Finding]:
    if "random-prior-p95" not in levels or "random-oracle-p95" not in levels:
        return
    prior, oracle = levels["random-prior-p95"].mean, levels["random-oracle-p95"].mean
    for row in table.rows:
        mean = row.cells.get(MEAN)
        if mean is None:
            continue
        who = f"{row.method}: {number(mean, table)} is"
        if mean <= prior:
            text = f"{who} not above chance: random-prior has its 95th percentile at {prior:.2f}"
            yield Finding("chance", "low", text)
        elif mean <= oracle:
            text = (
                f"{who} above chance at a fixed threshold ({prior:.2f}), but not above random scores with the best "
                f"threshold of each label ({oracle:.2f}), and it is not known how the thresholds were chosen"
            )
            yield Finding("chance", "low", text)


def _constants(table: ReportedTable, levels: Levels) -> Iterator[Finding]:
    cells = equal_constants(table, levels)
    for row in table.rows:
        own = {column: cells[row.method, column] for column in row.cells if (row.method, column) in cells}
        if own:
            parts = [_equal(table, row, own, name) for name in SAYS if name in own.values()]
            text = f"{row.method}: {' and '.join(parts)}, to the printed digit"
            yield Finding("constant", "low", text + _rest(row, own, levels))


def _equal(table: ReportedTable, row: ReportedRow, own: Mapping[str, str], name: str) -> str:
    columns = [column for column, constant in own.items() if constant == name]
    listed = ", ".join(f"{column} {number(row.cells[column], table)}" for column in columns)
    return f"{listed} {'equals' if len(columns) == 1 else 'equal'} {name}"


def _rest(row: ReportedRow, own: Mapping[str, str], levels: Levels) -> str:
    """Say where a row that lies above the floor is above it, if not in the columns of a constant."""
    name, floor = best_constant({key: level.mean for key, level in levels.items()}) or ("", 0.0)
    if not name or row.cells.get(MEAN, floor) <= floor:
        return ""
    more = [
        f"{column} {cell - levels[name].by_label[column]:+.1f}"
        for column, cell in row.cells.items()
        if column != MEAN and column not in own
    ]
    return f"; its mean is {row.cells[MEAN] - floor:+.2f} over {name}: {', '.join(more)}"
