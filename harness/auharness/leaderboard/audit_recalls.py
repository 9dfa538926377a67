"""Recall arithmetic: the recalls of all classes and the published class sizes leave no choice for UAR and WAR."""

import math
from collections.abc import Iterator, Mapping

from auharness.leaderboard.finding import Finding, Verdict, number
from auharness.leaderboard.reported import MEAN, ReportedRow, ReportedTable

__all__ = ["audit_recalls"]

# cells and their differences are compared in exact decimals up to this
_EPS = 1e-9


def audit_recalls(table: ReportedTable, tests: Mapping[str, Mapping[str, int]]) -> Iterator[Finding]:
    """Yield, for each row that prints all recalls, whether its UAR and its WAR follow from them.

    UAR is the mean of the recalls, WAR their mean weighted by class size. A printed cell lies within half a unit of its
    last digit; where all recalls of a row end in zeros, of the last digit that is none. Means over folds and pooled
    counts differ by less than that, because the folds are nearly equal.

    Args:
        table: what is printed, in percent; `mean` is the UAR.
        tests: fold -> class -> clips of the published test parts.
    """
    for row in table.rows:
        sizes = _sizes(row, tests)
        if not sizes or any(label not in row.cells for label in sizes):
            continue
        recalls = {label: row.cells[label] for label in sizes}
        if MEAN in row.cells:
            mean = math.fsum(recalls.values()) / len(recalls)
            what = f"the mean of its {len(recalls)} recalls is {mean:.2f}{_clips(row, recalls, sizes, tests, table)}"
            yield _finding(table, row, "UAR", row.cells[MEAN], mean, what)
        if "war" in row.metrics:
            total = sum(sizes.values())
            mean = math.fsum(recalls[label] * size for label, size in sizes.items()) / total
            what = f"its recalls weighted by {total:,} clips give {mean:.2f}"
            yield _finding(table, row, "WAR", row.metrics["war"], mean, what)


def _sizes(row: ReportedRow, tests: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Class -> clips in the folds of a row; empty where a fold is not known."""
    folds = row.folds or tuple(tests)
    if any(fold not in tests for fold in folds):
        return {}
    return {label: sum(tests[fold][label] for fold in folds) for label in tests[folds[0]]}


def _finding(table: ReportedTable, row: ReportedRow, name: str, printed: float, mean: float, what: str) -> Finding:
    half, own = 0.5 * 10**-table.decimals, 0.5 * 10 ** -_decimals(row, table)
    distance = abs(mean - printed)
    text = f"{row.method}: {name} printed {number(printed, table)}, {what}"
    verdict: Verdict = "contradicted"
    if distance <= half + _EPS:
        verdict = "holds"
    elif distance <= half + own + _EPS:
        verdict, text = "rounding", f"{text}: possible before rounding"
    elif _one_digit(number(printed, table), number(mean, table)):
        text += ": one digit differs"
    else:
        text += f": {printed - mean:+.2f} points, more than rounding explains"
    return Finding("recall", verdict, text)


def _one_digit(one: str, other: str) -> bool:
    return len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) == 1


def _decimals(row: ReportedRow, table: ReportedTable) -> int:
    """Decimals that the recalls of a row really have: a row in which all end in 0 was rounded one digit earlier."""
    values = [value for label, value in row.cells.items() if label != MEAN]
    return next(
        (digits for digits in range(table.decimals) if all(abs(round(v, digits) - v) < _EPS for v in values)),
        table.decimals,
    )


def _clips(
    row: ReportedRow,
    recalls: Mapping[str, float],
    sizes: Mapping[str, int],
    tests: Mapping[str, Mapping[str, int]],
    table: ReportedTable,
) -> str:
    """Say which clips the recalls are, for a single fold, or which recalls no number of clips gives."""
    half = 0.5 * 10 ** -_decimals(row, table) + _EPS
    found = {label: round(recalls[label] * size / 100) for label, size in sizes.items()}
    fits = {label: abs(100 * found[label] / size - recalls[label]) <= half for label, size in sizes.items()}
    if len(row.folds) == 1 and all(fits.values()):
        parts = ", ".join(f"{found[label]}/{size}" for label, size in sizes.items())
        uar = 100 * math.fsum(found[label] / size for label, size in sizes.items()) / len(sizes)
        war = 100 * sum(found.values()) / sum(sizes.values())
        return f" (in whole clips {parts}: UAR {uar:.2f}, WAR {war:.2f})"
    # a mean over folds is a share of all clips only where each fold has as many of the class
    folds = row.folds or tuple(tests)
    equal = [label for label in sizes if len({tests[fold][label] for fold in folds}) == 1]
    odd = [f"{label} {number(recalls[label], table)}" for label in equal if not fits[label]]
    return f" (no number of clips gives {' or '.join(odd)})" if odd else ""
