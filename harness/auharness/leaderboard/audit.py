"""What a printed table says, held against its own cells and against predictors that see nothing.

Nothing here is typed in by hand: every finding is computed from the reported file and the published counts.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise

from auharness.leaderboard.audit_levels import NEAR_FLOOR, audit_levels, audit_stated
from auharness.leaderboard.audit_recalls import audit_recalls
from auharness.leaderboard.finding import Finding, Verdict, number
from auharness.leaderboard.levels import SAYS, Levels, best_constant
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

# cells and their differences are compared in exact decimals up to this
_EPS = 1e-9


def audit_table(
    table: ReportedTable,
    levels: Levels | None = None,
    *,
    stated: Levels | None = None,
    clips: tuple[str, int, int] | None = None,
    tests: Mapping[str, Mapping[str, int]] | None = None,
) -> list[Finding]:
    """Return every check of a table, in the order means or recalls, marks, claims, floors and chance, number of clips.

    Args:
        table: what is printed.
        levels: what predictors that see nothing score on the published data, in percent; None if not known.
        stated: the same with the number of clips that the text states, where it is another one.
        clips: data set, stated and published number of clips, where they differ.
        tests: fold -> class -> published clips of the test parts; with them cells are recalls of classes.
    """
    levels = levels or {}
    findings = [*(audit_recalls(table, tests) if tests else _means(table)), *(_marks(table) if table.marked else ())]
    findings += [_claim(table, claim, levels) for claim in table.claims]
    findings += audit_levels(table, levels)
    findings += audit_stated(table, levels, stated or {}, clips)
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
        what = f"{row.method}: mean printed {number(printed, table)}, its {len(values)} cells give {mean:.2f}"
        if distance <= half + _EPS:
            yield Finding("mean", "holds", what)
        elif distance < 2 * half - _EPS:  # a cell lies below the upper end of what is rounded to it
            yield Finding("mean", "rounding", f"{what}: possible if the cells were rounded after averaging")
        else:
            cut = 2 * half - _EPS <= distance < 3 * half - _EPS and printed > mean
            more = "; cells whose digits were cut off would" if cut else ""
            yield Finding("mean", "contradicted", f"{what}: more than rounding explains{more}")


def _marks(table: ReportedTable) -> Iterator[Finding]:
    """The best value of a column is bold, the second best underlined where a table does so; equal values share it."""
    for column in table.columns:
        values = sorted({row.cells[column] for row in table.rows if column in row.cells}, reverse=True)
        if not values:
            continue
        yield _mark(table, column, "best", values[0], [row for row in table.rows if column in row.bold])
        if len(values) > 1 and table.seconds:
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
    shown = ", ".join(f"{row.method} ({number(row.cells[column], table)})" for row in marked) or "nothing"
    where = f"{column}: {shown} {style}"
    true = f"{', '.join(expected)} ({number(value, table)}) {'is' if len(expected) == 1 else 'tie as'} {place}"
    if second and place == "best":
        holds = not found
        true = f"{', '.join(expected)} ({number(value, table)}) tie as best, so none of them is second"
    else:
        holds = sorted(expected) == sorted(found)
    return Finding("mark", "holds" if holds else "contradicted", where if holds else f"{where}; by the cells {true}")


def _claim(table: ReportedTable, claim: Claim, levels: Levels) -> Finding:
    own = table.row(claim.method).cells[claim.column]
    if isinstance(claim, PlaceClaim):
        holds, why = _place(table, claim, own)
    elif isinstance(claim, ExceedsClaim):
        holds, why = _exceeds(table, claim, own)
    elif isinstance(claim, StepClaim):
        return _step(table, claim, own, levels)
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
    rows = sum(claim.column in row.cells for row in table.rows)
    why = f"{number(own, table)} is place {len(above) + 1} of {rows}"
    if above:
        why += f" behind {', '.join(f'{row.method} {number(row.cells[claim.column], table)}' for row in above)}"
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
        f"{number(own, table)} is {relation} {top.method} {number(best, table)}, the highest of {len(others)} rows"
    )


def _rise(table: ReportedTable, claim: RiseClaim, own: float) -> tuple[bool, str]:
    other = table.row(claim.over).cells[claim.column]
    return own > other, f"{number(other, table)} to {number(own, table)}, {own - other:+.{table.decimals}f} points"


def _step(table: ReportedTable, claim: StepClaim, own: float, levels: Levels) -> Finding:
    """Two printed cells give their difference within one unit of the last digit."""
    other = table.row(claim.over).cells[claim.column]
    step, unit = own - other, 10**-table.decimals
    why = f"{number(other, table)} to {number(own, table)} is {step:+.{table.decimals}f} points"
    distance = abs(step - claim.points)
    verdict: Verdict = "holds" if distance < unit / 2 else "rounding" if distance <= unit + _EPS else "contradicted"
    if verdict == "contradicted":
        same = [
            f"{a.method} to {b.method}"
            for a, b in pairwise(row for row in table.rows if claim.column in row.cells)
            if abs(b.cells[claim.column] - a.cells[claim.column] - claim.points) < unit / 2
        ]
        if same:
            why += f"; {number(claim.points, table)} is the step from {', '.join(same)}"
    floor = best_constant({name: level.mean for name, level in levels.items()})
    if floor is not None and other < floor[1]:
        why += (
            f"; {claim.over} is below the {SAYS[floor[0]]} floor {floor[1]:.2f}, from which it is {own - floor[1]:+.2f}"
        )
    return Finding("claim", verdict, f"{claim.text} (section {claim.section}): {why}")
