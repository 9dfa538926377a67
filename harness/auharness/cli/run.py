"""`auharness run`: train and score one model under one protocol, and write the protocol's page."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from auharness.cli.common import common_options, console, emit, ends_on_sigterm, say
from auharness.cli.request_options import add_request_options, protocols_from, request_from

if TYPE_CHECKING:
    from pathlib import Path

    from auharness.cli.common import Subparsers
    from auharness.runner import Progress, Request, RunResult

__all__ = ["add_parser"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `run`."""
    parser = subparsers.add_parser(
        "run", parents=[common_options()], help="train and score a model under a protocol", description=__doc__
    )
    add_request_options(parser)
    parser.add_argument("--fresh", action="store_true", help="make a new attempt; nothing is deleted")
    parser.add_argument(
        "--ablation",
        action="store_true",
        help="run every variant and control of the model's ablation; --protocol A,B runs it under each",
    )
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Run what is asked and print where the result is."""
    request = request_from(args, several=args.ablation)
    with ends_on_sigterm("run the same command again to go on"):
        results = _ablation(args, request) if args.ablation else [_one(args, request)]
        drawn = [_draw(result) for result in results]
    emit(
        args, [_as_dict(*pair) for pair in zip(results, drawn, strict=True)], lambda: "\n".join(_lines(results, drawn))
    )
    return 0


def _one(args: argparse.Namespace, request: Request) -> RunResult:
    from auharness.runner import run_request

    with _progress(args) as progress:
        return run_request(request, progress=progress)


def _ablation(args: argparse.Namespace, request: Request) -> list[RunResult]:
    from auharness.leaderboard import write_ablation
    from auharness.runner.ablation import plan_ablation

    plan = plan_ablation(request, protocols_from(args))
    for remark in plan.remarks:
        say(args, remark)
    plan.fetch()
    results = []
    for number, one in enumerate(plan.requests, 1):
        name = f"{one.model} {','.join(one.presets)} on {one.protocol}"
        say(args, f"run {number} of {len(plan.requests)}: {name}")
        results.append(_one(args, one))
    for protocol in dict.fromkeys(one.protocol for one in plan.requests):
        page, missing = write_ablation(request.runs, protocol, request.model)
        say(args, f"ablation page: {page}" + (f" ({missing})" if missing else ""))
    return results


def _progress(args: argparse.Namespace) -> Any:
    """A progress display on a terminal, plain lines elsewhere, nothing with --quiet or --json."""
    if args.quiet or args.json:
        return _Silent()
    from auharness.cli.progress import RunProgress

    return RunProgress(console(args, stderr=True))


class _Silent:
    def __enter__(self) -> Progress:
        from auharness.runner import Progress

        return Progress()

    def __exit__(self, *_: object) -> None:
        return None


def _draw(result: RunResult) -> list[Path]:
    """Draw curves and confusion matrix where matplotlib is installed; return numbers and pictures in the run folder."""
    from auharness.explain.run_pictures import draw_run
    from auharness.results.store import RunFolder

    return draw_run(RunFolder(result.path))


def _as_dict(result: RunResult, drawn: list[Path]) -> dict[str, Any]:
    return {
        "run": str(result.path),
        "page": str(result.page),
        "headline": result.headline,
        "kept": result.kept,
        "done": result.done,
        "looks": result.looks.by_model,
        "drawn": [str(path) for path in drawn],
    }


def _lines(results: list[RunResult], drawn: list[list[Path]]) -> list[str]:
    lines = []
    for result, files in zip(results, drawn, strict=True):
        state = f"{result.kept} units kept, {result.done} done"
        lines += [result.headline, f"run: {result.path} ({state})"]
        if files:
            lines.append(f"in it: {', '.join(path.name + '/' * path.is_dir() for path in files)}")
    for page, last in {result.page: result for result in results}.items():
        lines += [str(last.looks), f"page: {page}"]
    return lines
