"""`auharness gate`: whether accuracy and speed of the head are as good as the baseline's, for CI."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from auharness.cli.common import common_options, emit, ends_on_sigterm, say

if TYPE_CHECKING:
    from auharness.cli.common import Subparsers

__all__ = ["add_parser"]

REFERENCE = "commit, folder of records, source tree, or file of pytest-benchmark; may be given again"


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `gate`."""
    parser = subparsers.add_parser(
        "gate",
        parents=[common_options()],
        help="fail when accuracy or speed became worse than a baseline",
        description="Accuracy: non-inferiority of the headline, paired by subject. Speed: base and head in turn, in "
        "fresh processes. Exit code 5 regression; else 3 missing, failed or no number; else 6 incomparable or "
        "inconclusive; else 0; 2 for a mistake in the policy.",
    )
    parser.add_argument("--baseline", required=True, action="append", metavar="REF", help=REFERENCE)
    parser.add_argument(
        "--head", action="append", default=[], metavar="REF", help="default: the working tree and the runs below --runs"
    )
    parser.add_argument("--policy", type=Path, default=Path("gate.toml"), metavar="FILE", help="default gate.toml")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="default runs")
    parser.add_argument("--only", choices=["accuracy", "speed"], help="leave the other half of the policy out")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report as markdown")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Compare, report, and end with the verdict's exit code."""
    from auharness.gate import report_dict, report_text, run_gate
    from auharness.results.atomic import write_bytes

    with ends_on_sigterm("run the same command again"):
        result = run_gate(
            args.policy,
            baseline=args.baseline,
            head=args.head,
            runs=args.runs,
            only=args.only,
            say=lambda message: say(args, message),
        )
    text = report_text(result)
    if args.report is not None:
        write_bytes(args.report, text.encode())
    emit(args, report_dict(result), text.rstrip())
    if result.verdict.exit_code:
        raise result.verdict.error(f"gate: {result.verdict.value}: {result.summary}")
    return 0
