"""`auharness compare`: two or more finished runs, paired by subject: difference, interval and p-value."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auharness.cli.common import common_options, emit, say, text_table

if TYPE_CHECKING:
    from auharness.cli.common import Subparsers
    from auharness.leaderboard.comparison import ComparedRun

__all__ = ["add_parser"]

FILMS = "Source clusters (films) are unknown: clips count as independent, so intervals and p-values are too small."


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `compare`."""
    parser = subparsers.add_parser(
        "compare",
        parents=[common_options()],
        help="compare finished runs, paired by subject",
        description="Every other run minus the first, paired by subject; p-values are adjusted by Holm. "
        "Exit code 6 when protocol, data, folds or subjects differ.",
    )
    parser.add_argument("first", metavar="A", help="run folder, beginning of its id, MODEL or MODEL:PRESET")
    parser.add_argument("others", nargs="+", metavar="B", help="runs to compare with A")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="default runs")
    parser.add_argument("--protocol", metavar="NAME", help="where a model's name is meant under this protocol")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Print the differences."""
    from auharness.leaderboard.comparison import compare_runs, resolve_run

    names = (args.first, *args.others)
    found = compare_runs([resolve_run(args.runs, name, protocol=args.protocol) for name in names])
    emit(args, [_as_dict(row) for row in found], lambda: _text(found))
    for row in found:
        if not row.result.same_frames:
            say(
                args,
                f"warning: {row.name} and {row.reference} do not score the same samples; both count what they have",
            )
    return 0


def _text(found: list[ComparedRun]) -> str:
    from auharness.metrics import metric

    head = found[0]
    title = f"{metric(head.metric).title} ({head.aggregation}) minus {head.reference}"
    title += f", in points, {head.result.n_clusters} {head.unit}"
    rows = []
    for row in found:
        result = row.result
        interval = result.interval
        shown = "n/a" if interval is None else f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}"
        verdict = "separable" if result.p_adjusted <= 0.05 else "not separable"
        rows.append(
            [
                row.name,
                f"{100 * result.difference:+.2f}",
                shown,
                f"{result.p_value:.4f}",
                f"{result.p_adjusted:.4f}",
                verdict,
            ]
        )
    table = text_table(["run", "difference", "95 % interval", "p", "p (Holm)", "at 0.05"], rows)
    note = f"\n\n{FILMS}" if head.unit == "clips" else ""
    return f"{title}\n\n{table}{note}"


def _as_dict(row: ComparedRun) -> dict[str, Any]:
    return {
        "run": row.name,
        "minus": row.reference,
        "metric": row.metric,
        "aggregation": row.aggregation,
        **asdict(row.result),
    }
