"""`auharness store`: check the digests of finished units, and rebuild the index from the files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from auharness.cli.common import common_options, emit
from auharness.errors import IntegrityError

if TYPE_CHECKING:
    from auharness.cli.common import Subparsers

__all__ = ["add_parser"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `store`."""
    parser = subparsers.add_parser("store", help="check or index the runs on disk", description=__doc__)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name, handler, text in (
        ("verify", verify, "compare every file of finished units with its digest"),
        ("reindex", reindex, "rebuild index.sqlite from the files"),
    ):
        verb = verbs.add_parser(name, parents=[common_options()], help=text, description=text)
        verb.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="default runs")
        verb.set_defaults(handler=handler)


def verify(args: argparse.Namespace) -> int:
    """Print how many runs were checked; exit 7 when a file is missing or changed."""
    from auharness.results.verify import verify_runs

    count, problems = verify_runs(args.runs)
    _report(args, count, problems, f"{count} runs below {args.runs}: every file is what its unit says")
    return 0


def reindex(args: argparse.Namespace) -> int:
    """Rebuild the index; exit 7 when a record cannot be read."""
    from auharness.results.index import index_path
    from auharness.results.index import reindex as rebuild

    count, problems = rebuild(args.runs)
    _report(args, count, problems, f"{count} runs in {index_path(args.runs)}")
    return 0


def _report(args: argparse.Namespace, count: int, problems: list[str], text: str) -> None:
    if problems and not args.json:
        raise IntegrityError("\n".join(problems))
    emit(args, {"runs": count, "problems": problems}, text)
    if problems:
        raise IntegrityError(f"{len(problems)} problems")
