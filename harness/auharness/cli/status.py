"""`auharness status`: the runs on disk, how far each is, and what failed."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auharness.cli.common import common_options, emit, say, text_table

if TYPE_CHECKING:
    from auharness.cli.common import Subparsers
    from auharness.results.store import RunFolder

__all__ = ["add_parser"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `status`."""
    parser = subparsers.add_parser(
        "status", parents=[common_options()], help="show the runs on disk", description=__doc__
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="one run: folder or beginning of its id; default all")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="default runs")
    parser.add_argument("--protocol", metavar="NAME", help="only this protocol")
    parser.add_argument("--model", metavar="NAME", help="only this model")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Print all runs, or the units of one."""
    if args.run:
        from auharness.results.store import find_run

        units = _units(find_run(args.runs, args.run))
        emit(
            args,
            units,
            lambda: text_table(("unit", "fold", "seed", "state", "note"), [list(u.values()) for u in units]),
        )
        return 0
    from auharness.results.index import query_runs, reindex

    rows = []
    if args.runs.is_dir():
        _, problems = reindex(args.runs)
        for problem in problems:
            say(args, problem)
        rows = [asdict(row) for row in query_runs(args.runs, protocol=args.protocol, model=args.model)]
    shown = [[row["path"], f"{row['finished']}/{row['units']}", row["data_origin"], row["headline"]] for row in rows]
    empty = f"no runs below {args.runs}; start one: auharness run --model au-ttt --protocol bp4d-3fold"
    emit(args, rows, lambda: text_table(("run", "units", "data", "result"), shown) if shown else empty)
    return 0


def _units(run: RunFolder) -> list[dict[str, Any]]:
    units = []
    for ref in run.record.units:
        folder = run.unit_folder(ref.unit_id)
        failed = folder / "failed.txt"
        if run.is_finished(ref.unit_id):
            state, note = "finished", _mean(run, ref.unit_id)
        elif failed.is_file():
            state, note = "failed", failed.read_text(encoding="utf-8").strip().splitlines()[-1]
        else:
            state = "started" if run.scratch(ref.unit_id).is_dir() else "to do"
            note = "has a checkpoint" if list(run.scratch(ref.unit_id).glob("checkpoint.*")) else ""
        units.append({"unit": ref.unit_id, "fold": ref.fold, "seed": ref.seed, "state": state, "note": note})
    return units


def _mean(run: RunFolder, unit_id: str) -> str:
    metrics = run.unit(unit_id).metrics
    name, values = next(iter(metrics.items()))
    mean = values.get("mean")
    return f"{name} {100 * mean:.2f}" if mean is not None else f"{name} n/a"
