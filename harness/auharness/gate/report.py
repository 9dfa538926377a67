"""What a gate found, as markdown for a pull request and as JSON for machines."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tabulate import tabulate

from auharness.gate.accuracy import AccuracyCheck
from auharness.gate.run import GateResult
from auharness.gate.times import SpeedCheck
from auharness.gate.verdict import Verdict
from auharness.leaderboard.escape import markdown

__all__ = ["report_dict", "report_text"]

MARKS = {Verdict.PASS: "pass", Verdict.REGRESSION: "**REGRESSION**"}


def report_text(result: GateResult) -> str:
    """Return the report as markdown; names from records, benchmarks and references are escaped."""
    parts = [
        f"# Gate: {result.verdict.value}",
        f"{markdown(result.head)} against {markdown(result.base)}: {result.summary}.",
        *_accuracy(result.accuracy),
        *_speed(result.speed),
        *_list("Not a plain pass", [f"{check.title}: {check.why}" for check in result.checks if check.why]),
        *_list("Notes", result.notes),
        _exit_line(result),
    ]
    return "\n\n".join(parts) + "\n"


def report_dict(result: GateResult) -> dict[str, Any]:
    """Return what JSON holds: verdict, exit code and every check; what is not known is None."""
    return {
        "verdict": result.verdict.value,
        "exit_code": result.verdict.exit_code,
        "base": result.base,
        "head": result.head,
        "accuracy": [{**asdict(check), "verdict": check.verdict.value} for check in result.accuracy],
        "speed": [{**asdict(check), "verdict": check.verdict.value} for check in result.speed],
        "notes": list(result.notes),
    }


def _accuracy(checks: Sequence[AccuracyCheck]) -> list[str]:
    if not checks:
        return []
    rows = [
        [
            markdown(check.title),
            MARKS.get(check.verdict, check.verdict.value),
            check.metric.upper(),
            _points(check.base),
            _points(check.head),
            _points(check.difference, signed=True),
            f"{_points(check.low, signed=True)} to {_points(check.high, signed=True)}"
            if check.low is not None
            else "n/a",
            f"-{check.delta:g}",
            "n/a" if check.n_clusters is None else str(check.n_clusters),
        ]
        for check in checks
    ]
    head = ["row", "verdict", "metric", "base", "head", "difference", "interval", "may lose", "paired over"]
    return [
        "## Accuracy",
        _table(head, rows),
        "In points. A row passes while the lower end of its interval is above what it may lose.",
    ]


def _speed(checks: Sequence[SpeedCheck]) -> list[str]:
    if not checks:
        return []
    rows = [
        [
            markdown(check.title),
            MARKS.get(check.verdict, check.verdict.value),
            " / ".join(f"{run.ratio:.3f}" for run in check.runs) or "n/a",
            "n/a" if check.threshold is None else f"{1 + check.threshold / 100:.3f}",
            " / ".join(f"{100 * run.noise:.1f} %" for run in check.runs) or "n/a",
            " / ".join(f"{run.p_value:.1g}" for run in check.runs) or "n/a",
            " / ".join(f"{run.n_base}, {run.n_head}" for run in check.runs) or "n/a",
        ]
        for check in checks
    ]
    head = ["benchmark", "verdict", "head / base", "must exceed", "noise", "p", "times"]
    note = "Time of the head over that of the base. Slower means above `must exceed` with a small p, measured twice."
    return ["## Speed", _table(head, rows), note]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    align = ["left", "left", *["right"] * (len(head) - 2)]
    return tabulate(rows, headers=head, tablefmt="pipe", colalign=align, disable_numparse=True)


def _list(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "\n".join(f"- {markdown(line)}" for line in lines)] if lines else []


def _points(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "n/a"
    return f"{value:+.2f}" if signed else f"{value:.2f}"


def _exit_line(result: GateResult) -> str:
    meaning = "5 regression, else 3 missing, else 6 incomparable or inconclusive, else 0 pass"
    return f"Exit code {result.verdict.exit_code} ({meaning})."
