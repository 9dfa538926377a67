"""`auharness explain`: heatmaps, mean maps, confusion matrix and training curves of finished runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auharness.cli.common import common_options, emit, say, text_table
from auharness.errors import UsageError

if TYPE_CHECKING:
    from auharness.cli.common import Subparsers
    from auharness.explain.loaded import Data

__all__ = ["add_parser"]

BOARDS = ("leaderboard", "leaderboards")
"""Folders that are shared; frames of licensed data must never come there."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `explain`."""
    parser = subparsers.add_parser(
        "explain",
        parents=[common_options()],
        help="draw where a run looks, what it confuses and how it learned",
        description="Draw a finished run, from its folder and its data: Grad-CAM of samples by the fold that tests "
        "them, mean maps per class or AU, confusion matrix and training curves; each picture with its numbers beside "
        "it. Several runs are drawn below each other, one row per model.",
    )
    parser.add_argument("run", nargs="+", metavar="RUN", help="run folder or beginning of its id")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="default runs")
    what = parser.add_argument_group("what")
    what.add_argument(
        "--sample",
        action="append",
        default=[],
        metavar="ID",
        help="dataset/sequence[/frame]; default: pictures of the whole run and its surest right and wrong answers",
    )
    what.add_argument(
        "--output", action="append", default=[], metavar="NAME", help="class or AU, such as AU12; default what is there"
    )
    what.add_argument("--layer", action="append", default=[], metavar="NAME", help="default all that the model names")
    what.add_argument("--per-frame", action="store_true", help="scale each frame by itself; default the whole clip")
    what.add_argument("--training", action="store_true", help="explain samples by a fold that was trained on them")
    what.add_argument(
        "--mean-of",
        type=int,
        default=32,
        metavar="N",
        help="samples of each output in the mean maps; default 32, 0 none",
    )
    what.add_argument("--out", type=Path, metavar="FOLDER", help="default RUN/explain")
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data-root", action="append", default=[], metavar="NAME=PATH", help="licensed data of a dataset"
    )
    data.add_argument("--data-seed", type=int, default=0, metavar="S", help="seed of the stand-in; default 0")
    data.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="data.NAME.KEY=VALUE",
        help="a dataset's setting; default as the run's record says",
    )
    data.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda or cuda:N")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Draw one run, or several beside each other."""
    from auharness.results.store import find_run

    if args.mean_of < 0:
        raise UsageError(f"--mean-of {args.mean_of}: expected 0 or more")
    folders = [find_run(args.runs, name) for name in args.run]
    out = args.out or folders[0].path / "explain"
    if args.out and any(part in BOARDS for part in args.out.resolve().parts):
        raise UsageError(f"--out {args.out}: pictures show frames of the data, which never go beside a leaderboard")
    data = _data(args)
    from auharness.explain.loaded import LoadedRun
    from auharness.explain.report import Asked, compare_runs, explain_run

    runs = [LoadedRun(folder, data) for folder in folders]
    asked = Asked(
        samples=tuple(args.sample),
        outputs=tuple(args.output),
        layers=tuple(args.layer),
        per_frame=args.per_frame,
        training=args.training,
        mean_of=args.mean_of,
    )

    def tell(text: str) -> None:
        if not args.json:
            say(args, text)

    made = explain_run(runs[0], asked, out, tell=tell) if len(runs) == 1 else compare_runs(runs, asked, out, tell=tell)
    emit(args, made, lambda: _text(made))
    return 0


def _data(args: argparse.Namespace) -> Data:
    from auharness.data.roots import parse_flags
    from auharness.explain.loaded import Data
    from auharness.settings import parse_set

    settings = parse_set(args.set)
    for key in settings:
        if key != "data":
            raise UsageError(f"--set {key}: the model is the one of the run; expected data.NAME.KEY=VALUE")
    return Data(parse_flags(args.data_root), args.data_seed, settings, args.device)


def _text(made: list[dict[str, Any]]) -> str:
    rows = [[item["kind"], _about(item), item["path"]] for item in made]
    return text_table(("picture", "of", "file"), rows) if rows else ""


def _about(item: dict[str, Any]) -> str:
    if item["kind"] == "strip":
        number = "" if item["probability"] is None else f" p {item['probability']:.2f}"
        return f"{item['sample']} {item['output']}{number}, true {item['true']}"
    return " ".join(str(item[name]) for name in ("sample", "output") if name in item)
