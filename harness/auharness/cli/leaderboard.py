"""`auharness leaderboard`: add the counts of a run to the committed boards, build them, check that they are fresh."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from auharness.cli.common import common_options, emit, say

if TYPE_CHECKING:
    from auharness.cli.common import Subparsers

__all__ = ["add_parser"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `leaderboard`."""
    parser = subparsers.add_parser("leaderboard", help="add, build or check the committed boards", description=__doc__)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name, handler, text in (
        ("add", add, "copy counts of a finished run, or rows of 'bench' or 'scale', to the boards; never predictions"),
        ("build", build, "write every page, csv and json from the committed counts and the reported tables"),
        ("check", check, "exit 7 when a page is not what 'build' would write"),
    ):
        verb = verbs.add_parser(name, parents=[common_options()], help=text, description=text)
        verb.add_argument("--dir", type=Path, default=Path("leaderboards"), metavar="DIR", help="default leaderboards")
        if name == "add":
            verb.add_argument(
                "run", metavar="RUN", help="run folder, beginning of its id, or a .jsonl of 'bench' or 'scale'"
            )
            verb.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="default runs")
        verb.set_defaults(handler=handler)


def add(args: argparse.Namespace) -> int:
    """Copy the records of a run."""
    from auharness.leaderboard import add_bench, add_run, add_scaling
    from auharness.results.store import find_run

    if args.run.endswith(".jsonl"):
        path, replaced = Path(args.run), list[Path]()
        if _of_bench(path):
            target, left_out = add_bench(path, args.dir)
            if left_out:
                say(args, f"{left_out} times of a CPU left out: they belong to a machine and its load")
        else:
            target = add_scaling(path, args.dir)
    else:
        target, replaced = add_run(find_run(args.runs, args.run), args.dir)
    for path in replaced:
        say(args, f"replaced {path}")
    emit(args, {"added": str(target), "replaced": [str(path) for path in replaced]}, f"added {target}")
    say(args, "next: auharness leaderboard build")
    return 0


def _of_bench(path: Path) -> bool:
    """Whether a file of points begins with a row of `bench`; others are points of `scale`."""
    import json

    try:
        with path.open(encoding="utf-8") as stream:
            first = json.loads(stream.readline())
    except (OSError, ValueError):
        return False
    return isinstance(first, dict) and "what" in first


def build(args: argparse.Namespace) -> int:
    """Write the boards."""
    from auharness.leaderboard import build_boards

    paths = build_boards(args.dir)
    emit(args, {"files": [str(path) for path in paths]}, f"{len(paths)} files below {args.dir}")
    return 0


def check(args: argparse.Namespace) -> int:
    """Compare the boards with what would be written."""
    from auharness.leaderboard import check_boards

    count = check_boards(args.dir)
    emit(args, {"files": count, "stale": []}, f"{count} files below {args.dir} are fresh")
    return 0
