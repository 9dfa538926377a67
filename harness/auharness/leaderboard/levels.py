"""What predictors that see nothing score on the published data, and which printed cells are such a score."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from auharness.leaderboard.reported import MEAN, ReportedTable

__all__ = ["SAYS", "Level", "Levels", "best_constant", "equal_constants"]

SAYS = {"constant-0": "never-present", "constant-1": "always-present"}
# cells and their differences are compared in exact decimals up to this
_EPS = 1e-9


@dataclass(frozen=True)
class Level:
    """The score of one trivial predictor in percent."""

    mean: float
    """Under the headline's aggregation."""
    by_label: Mapping[str, float]


Levels: TypeAlias = Mapping[str, Level]
"""Name of a predictor, such as `constant-0` or `random-prior-p95` -> what it scores."""


def best_constant(levels: Mapping[str, float]) -> tuple[str, float] | None:
    """Return name and score of the better of the two constant predictors; None if neither is known.

    >>> best_constant({"constant-0": 44.95, "constant-1": 15.05, "random-prior": 49.9})
    ('constant-0', 44.95)
    """
    known = {name: levels[name] for name in SAYS if name in levels and not math.isnan(levels[name])}
    return max(known.items(), key=lambda item: item[1]) if known else None


def equal_constants(table: ReportedTable, levels: Levels) -> dict[tuple[str, str], str]:
    """Return (method, column) -> `constant-0` or `constant-1` for the cells that are a constant's score.

    Equal to the printed digit, rounded or cut: 45.17 is printed as 45.2 by some and as 45.1 by others. A constant that
    scores 0 is left out, because a model may well miss every sample without saying the same of all.
    """
    found = {}
    for row in table.rows:
        for column, cell in row.cells.items():
            if column == MEAN:
                continue
            for name in SAYS:
                value = levels[name].by_label.get(column, math.nan) if name in levels else math.nan
                if value > 0 and _printed_as(value, cell, table.decimals):
                    found[row.method, column] = name
    return found


def _printed_as(value: float, cell: float, decimals: int) -> bool:
    unit = 10.0**-decimals
    rounded, cut = round(value, decimals), math.floor(value / unit + _EPS) * unit
    return min(abs(cell - rounded), abs(cell - cut)) < _EPS
