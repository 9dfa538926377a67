"""One line of an audit."""

from dataclasses import dataclass
from typing import Literal

from auharness.leaderboard.reported import ReportedTable

__all__ = ["Finding", "Kind", "Verdict", "number"]

Kind = Literal["mean", "recall", "mark", "claim", "floor", "chance", "constant", "data"]
Verdict = Literal["holds", "rounding", "contradicted", "low"]


@dataclass(frozen=True)
class Finding:
    """One check of a printed table."""

    kind: Kind
    verdict: Verdict
    """`rounding`: not what the printed cells give, but possible before rounding; `low`: no more than a predictor that
    sees nothing."""
    text: str


def number(value: float, table: ReportedTable) -> str:
    """Return a score with as many decimals as the table prints."""
    return f"{value:.{table.decimals}f}"
