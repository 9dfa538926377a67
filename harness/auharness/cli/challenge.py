"""`auharness challenge`: the answers of a finished run to the vendor's list of test images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from auharness.cli.common import common_options, emit, say
from auharness.errors import UsageError

if TYPE_CHECKING:
    from auharness.cli.common import Subparsers
    from auharness.explain.loaded import LoadedRun
    from auharness.results.schema import UnitRecord

__all__ = ["add_parser"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `challenge`."""
    parser = subparsers.add_parser(
        "challenge",
        parents=[common_options()],
        help="answer the test list of a challenge",
        description="Let a finished run answer the test part, whose labels nobody has, and write the csv file of the "
        "AU track of ABAW: every listed image in the given order, decided at the thresholds of the run's record. An "
        "image without a prediction is answered like the nearest frame of its video. Nothing is trained or scored.",
    )
    parser.add_argument("run", metavar="RUN", help="run folder or beginning of its id")
    parser.add_argument("--list", type=Path, required=True, metavar="FILE", help="the vendor's example of test images")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv", help="what to write")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="default runs")
    parser.add_argument(
        "--seed", type=int, metavar="S", help="whose weights answer; default the lowest seed of the run"
    )
    parser.add_argument(
        "--split", default="test", metavar="NAME", help="split of the data that is listed; default test"
    )
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data-root", action="append", default=[], metavar="NAME=PATH", help="licensed data of a dataset"
    )
    data.add_argument("--data-seed", type=int, default=0, metavar="S", help="seed of the stand-in; default 0")
    data.add_argument(
        "--set", action="append", default=[], metavar="data.NAME.KEY=VALUE", help="a dataset's setting, as for the run"
    )
    data.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda or cuda:N")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Predict what is listed and write the file."""
    from auharness.data.roots import parse_flags
    from auharness.explain.loaded import Data, LoadedRun
    from auharness.explain.unlabelled import predict_split
    from auharness.results.store import find_run
    from auharness.scoring.challenge import answer_list, read_list
    from auharness.settings import parse_set

    settings = parse_set(args.set)
    odd = next((key for key in settings if key != "data"), None)
    if odd is not None:
        raise UsageError(f"--set {odd}: the model is the one of the run; expected data.NAME.KEY=VALUE")
    data = Data(parse_flags(args.data_root), args.data_seed, settings, args.device, more=True)
    run = LoadedRun(find_run(args.runs, args.run), data)
    unit = _unit(run, args.seed)
    # the list is read first: a wrong one must not cost hours
    listed = read_list(args.list, unit.columns)
    dataset = run.inputs.protocol.test_on[0]
    if run.index.manifests[dataset] != unit.data.manifests.get(dataset):
        say(args, f"{dataset}: files were added or changed since the run was made; its weights are used as they are")
    frame = predict_split(run, unit, dataset=dataset, split=args.split)
    columns = list(unit.columns)
    frame[columns] = frame[columns] >= list(unit.thresholds)
    made = answer_list(listed, frame, columns, args.out)
    content = {"rows": made.n_rows, "videos": made.n_videos, "nearest": made.n_nearest, "seed": unit.seed}
    text = f"{args.out}: {made.n_rows:,} rows of {made.n_videos} videos, {made.n_nearest:,} answered like their nearest"
    emit(args, {"file": str(args.out), **content}, f"{text} frame; seed {unit.seed}, threshold {unit.threshold}")
    known = run.inputs.datasets[dataset].published_splits().get(args.split, {}).get("rows")
    if unit.data.origin == "licensed" and known not in (None, made.n_rows):
        say(args, f"{args.list}: lists {made.n_rows:,} images, {known:,} are published; is it the list of this year?")
    return 0


def _unit(run: LoadedRun, seed: int | None) -> UnitRecord:
    """Return the unit that answers: of a protocol with one fold."""
    folds = {unit.fold for unit in run.units}
    if len(folds) > 1:
        raise UsageError(f"{run.folder.path.name}: {len(folds)} folds have weights of their own; expected a run of one")
    if run.multiclass:
        raise UsageError(f"{run.folder.path.name}: {run.record.protocol} scores classes; the list asks for AUs")
    seeds = [unit.seed for unit in run.units]
    if seed is not None and seed not in seeds:
        raise UsageError(f"--seed {seed}: finished seeds are {', '.join(map(str, seeds))}")
    return run.units[0 if seed is None else seeds.index(seed)]
