"""What a printed table says, held against its own cells: means, marks, claims, and the floor below it.

Nothing here is typed in by hand: every finding is computed from the reported file and the published counts.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from auharness.leaderboard.reported import (
    MEAN,
    Claim,
    ExceedsClaim,
    PlaceClaim,
    ReportedRow,
    ReportedTable,
    RiseClaim,
    StepClaim,
)

__all__ = ["NEAR_FLOOR", "Finding", "audit_table"]

NEAR_FLOOR = 1.0
"""Points above the floor up to which a score says little."""

Kind = Literal["mean", "mark", "claim", "floor"]
Verdict = Literal["holds", "rounding", "contradicted", "low"]
# cells and their differences are compared in exact decimals up to this
_EPS = 1e-9


@dataclass(frozen=True)
class Finding:
    """One check of a printed table."""

    kind: Kind
    verdict: Verdict
    """`rounding`: not what the printed cells give, but possible before rounding; `low`: at or below the floor."""
    text: str


def audit_table(table: ReportedTable, floor: float | None = None) -> list[Finding]:
    """Return every check of a table, in the order means, marks, claims, floor.

    Args:
        table: what is printed.
        floor: score of the always-present predictor in percent, on the published data; None if not known.
    """
    findings = [*_means(table), *(_marks(table) if table.marked else ()), *(_claim(table, c) for c in table.claims)]
    if floor is not None and table.kind == "results":
        findings += _floors(table, floor)
    return findings


def _means(table: ReportedTable) -> Iterator[Finding]:
    """A printed mean lies within half a unit of the mean of cells, each of which lies within half a unit of its own."""
    half = 0.5 * 10**-table.decimals
    labels = [column for column in table.columns if column != MEAN]
    for row in table.rows:
        values = [row.cells[label] for label in labels if label in row.cells]
        if MEAN not in row.cells or not labels or len(values) < len(labels):
            continue
        mean, printed = math.fsum(values) / len(values), row.cells[MEAN]
        distance = abs(mean - printed)
        what = f"{row.method}: mean printed {_number(printed, table)}, its {len(values)} cells give {mean:.2f}"
        if distance <= half + _EPS:
            yield Finding("mean", "holds", what)
        elif distance <= 2 * half + _EPS:
            yield Finding("mean", "rounding", f"{what}: possible if the cells were rounded after averaging")
        else:
            yield Finding("mean", "contradicted", f"{what}: more than rounding explains")


def _marks(table: ReportedTable) -> Iterator[Finding]:
    """The best value of a column is bold and the second best underlined; equal values share a mark."""
    for column in table.columns:
        values = sorted({row.cells[column] for row in table.rows if column in row.cells}, reverse=True)
        if not values:
            continue
        yield _mark(table, column, "best", values[0], [row for row in table.rows if column in row.bold])
        if len(values) > 1:
            best = [row for row in table.rows if row.cells.get(column) == values[0]]
            # two rows that share the first place leave no second
            place = "second best" if len(best) == 1 else "best"
            value = values[1] if len(best) == 1 else values[0]
            yield _mark(
                table, column, place, value, [row for row in table.rows if column in row.underlined], second=True
            )


def _mark(
    table: ReportedTable, column: str, place: str, value: float, marked: list[ReportedRow], *, second: bool = False
) -> Finding:
    expected = [row.method for row in table.rows if row.cells.get(column) == value]
    found = [row.method for row in marked]
    style = "underlined as second" if second else "bold as best"
    shown = ", ".join(f"{row.method} ({_number(row.cells[column], table)})" for row in marked) or "nothing"
    where = f"{column}: {shown} {style}"
    true = f"{', '.join(expected)} ({_number(value, table)}) {'is' if len(expected) == 1 else 'tie as'} {place}"
    if second and place == "best":
        holds = not found
        true = f"{', '.join(expected)} ({_number(value, table)}) tie as best, so none of them is second"
    else:
        holds = sorted(expected) == sorted(found)
    return Finding("mark", "holds" if holds else "contradicted", where if holds else f"{where}; by the cells {true}")


def _claim(table: ReportedTable, claim: Claim) -> Finding:
    own = table.row(claim.method).cells[claim.column]
    if isinstance(claim, PlaceClaim):
        holds, why = _place(table, claim, own)
    elif isinstance(claim, ExceedsClaim):
        holds, why = _exceeds(table, claim, own)
    elif isinstance(claim, StepClaim):
        return _step(table, claim, own)
    else:
        holds, why = _rise(table, claim, own)
    return Finding("claim", "holds" if holds else "contradicted", f"{claim.text} (section {claim.section}): {why}")


def _place(table: ReportedTable, claim: PlaceClaim, own: float) -> tuple[bool, str]:
    above = sorted(
        (row for row in table.rows if row.cells.get(claim.column, -math.inf) > own),
        key=lambda row: -row.cells[claim.column],
    )
    ahead = [row.method for row in above]
    equal = [row.method for row in table.rows if row.cells.get(claim.column) == own and row.method != claim.method]
    number = sum(claim.column in row.cells for row in table.rows)
    why = f"{_number(own, table)} is place {len(above) + 1} of {number}"
    if above:
        why += f" behind {', '.join(f'{row.method} {_number(row.cells[claim.column], table)}' for row in above)}"
    if equal:
        why += f", shared with {', '.join(equal)}"
    holds = len(above) + 1 == claim.place and (not claim.behind or ahead == list(claim.behind)) and not equal
    return holds, why


def _exceeds(table: ReportedTable, claim: ExceedsClaim, own: float) -> tuple[bool, str]:
    others = [
        row for row in table.rows if row.method not in (claim.method, *claim.all_but) and claim.column in row.cells
    ]
    top = max(others, key=lambda row: row.cells[claim.column])
    best = top.cells[claim.column]
    relation = "above" if own > best else "equal to" if own == best else "below"
    return own > best, (
        f"{_number(own, table)} is {relation} {top.method} {_number(best, table)}, the highest of {len(others)} rows"
    )


def _rise(table: ReportedTable, claim: RiseClaim, own: float) -> tuple[bool, str]:
    other = table.row(claim.over).cells[claim.column]
    return own > other, f"{_number(other, table)} to {_number(own, table)}, {own - other:+.{table.decimals}f} points"


def _step(table: ReportedTable, claim: StepClaim, own: float) -> Finding:
    """Two printed cells give their difference within one unit of the last digit."""
    other = table.row(claim.over).cells[claim.column]
    step, unit = own - other, 10**-table.decimals
    why = f"{_number(other, table)} to {_number(own, table)} is {step:+.{table.decimals}f} points"
    distance = abs(step - claim.points)
    verdict: Verdict = "holds" if distance < unit / 2 else "rounding" if distance <= unit + _EPS else "contradicted"
    if verdict == "contradicted":
        same = [
            f"{a.method} to {b.method}"
            for a, b in pairwise(row for row in table.rows if claim.column in row.cells)
            if abs(b.cells[claim.column] - a.cells[claim.column] - claim.points) < unit / 2
        ]
        if same:
            why += f"; {_number(claim.points, table)} is the step from {', '.join(same)}"
    return Finding("claim", verdict, f"{claim.text} (section {claim.section}): {why}")


def _floors(table: ReportedTable, floor: float) -> Iterator[Finding]:
    for row in table.rows:
        if MEAN not in row.cells:
            continue
        above = row.cells[MEAN] - floor
        if above <= NEAR_FLOOR:
            where = "below" if above < 0 else "at"
            text = f"{row.method}: {_number(row.cells[MEAN], table)} is {where} the always-present floor {floor:.2f}"
            yield Finding("floor", "low", f"{text} ({above:+.2f} points)")


def _number(value: float, table: ReportedTable) -> str:
    return f"{value:.{table.decimals}f}"
