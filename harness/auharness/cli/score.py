"""`auharness score`: score a finished run again from its predictions, or score anyone's csv under a protocol."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auharness.cli.common import common_options, emit, say, text_table
from auharness.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from auharness.api import ProtocolPlugin
    from auharness.cli.common import Subparsers
    from auharness.results.schema import DataInfo
    from auharness.results.store import RunFolder
    from auharness.scoring import Score

__all__ = ["add_parser"]

ORACLE = "test-oracle"


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `score`."""
    parser = subparsers.add_parser(
        "score",
        parents=[common_options()],
        help="score a run again, or anyone's predictions",
        description="Score a finished run again from its predictions alone (exit 7 when its record says otherwise), "
        "or score a csv file of predictions under a protocol, with floors, interval and a row on the board.",
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="run folder or beginning of its id")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="default runs")
    parser.add_argument(
        "--smooth",
        type=int,
        metavar="N",
        help="with RUN: one more row, marked, of scores averaged over N frames before and behind",
    )
    file = parser.add_argument_group("predictions of others")
    file.add_argument(
        "--predictions",
        type=Path,
        metavar="FILE.csv",
        help="columns sample_id, or subject, sequence and frame; one column per label (AU12); fold where folds overlap",
    )
    file.add_argument("--protocol", metavar="NAME", help="protocol plugin (see: auharness list protocols)")
    file.add_argument("--name", default="", metavar="NAME", help="stands in the column model; default the file's name")
    file.add_argument(
        "--score-kind", choices=("probability", "logit", "margin"), default="probability", help="default probability"
    )
    file.add_argument(
        "--missing",
        choices=("fail", "drop"),
        default="fail",
        help="test samples without prediction: stop, or drop and count",
    )
    file.add_argument(
        "--selection", choices=("last", "inner-val", ORACLE), default="last", help="how the epoch was chosen"
    )
    file.add_argument(
        "--threshold",
        choices=("fixed-0.5", "train-tuned", ORACLE),
        default="fixed-0.5",
        help="how the scores were shifted so that 0.5 (or 0) decides",
    )
    file.add_argument("--pretrained-on", default="", metavar="TEXT", help="data behind the starting weights")
    file.add_argument("--extra-data", default="", metavar="TEXT", help="other data used in training")
    file.add_argument(
        "--data-root", action="append", default=[], metavar="NAME=PATH", help="licensed data of a dataset"
    )
    file.add_argument(
        "--set", action="append", default=[], metavar="data.NAME.KEY=VALUE", help="dataset setting, as of `run`"
    )
    file.add_argument("--config", type=Path, metavar="FILE.toml", help="its tables data and data_roots")
    file.add_argument("--data-size", choices=("tiny", "small", "full"), default="small", help="size of the stand-in")
    file.add_argument("--data-seed", type=int, default=0, metavar="S", help="seed of the stand-in")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Score a run or a file."""
    if (args.run is None) == (args.predictions is None):
        raise UsageError("score: give a RUN, or --predictions FILE.csv with --protocol NAME")
    if args.run is not None:
        return _again(args)
    if args.protocol is None:
        raise UsageError("score: --predictions needs --protocol NAME (see 'auharness list protocols')")
    if args.smooth is not None:
        raise UsageError("score: --smooth is for a RUN; smooth the predictions in the file and say so in --name")
    return _external(args)


def _again(args: argparse.Namespace) -> int:
    from auharness import registry
    from auharness.results.store import find_run
    from auharness.scoring import score_units
    from auharness.scoring.pooled import pooled_differences
    from auharness.scoring.rescore import oracle_units, rescore
    from auharness.scoring.smoothing import smoothed_units

    run = find_run(args.runs, args.run)
    protocol = registry.load("protocol", run.record.protocol)()
    found = rescore(protocol, run)
    score = score_units(protocol, [item.unit for item in found])
    oracles = {name: score_units(protocol, units) for name, units in oracle_units(protocol, run).items()}
    extra = {f"{ORACLE} {name}": row for name, row in oracles.items()}
    if args.smooth is not None:
        extra[f"smoothed +-{args.smooth}"] = score_units(protocol, smoothed_units(protocol, run, args.smooth))
    differences = [text for item in found for text in item.differences] + pooled_differences(protocol, run)
    data = found[0].unit.data
    content = _as_dict(score) | {"data_settings": data.settings, "differences": differences}
    content |= {ORACLE: {name: _as_dict(row) for name, row in oracles.items()}}
    content |= {name: _as_dict(row) for name, row in extra.items() if name.startswith("smoothed")}
    emit(args, content, lambda: _text(run, protocol, score, extra, data))
    if differences:
        raise IntegrityError(
            "\n".join([*differences, f"{run.path}: the record is not what its predictions give; run 'store verify'"])
        )
    say(args, f"{len(found)} units: every count and metric of the record follows from its predictions")
    return 0


def _external(args: argparse.Namespace) -> int:
    from auharness import registry
    from auharness.data.roots import parse_flags
    from auharness.leaderboard import write_page
    from auharness.runner.finish import headline_of
    from auharness.scoring import score_units
    from auharness.scoring.external import External, score_external
    from auharness.settings import parse_set, read_toml

    registry.require("protocol", args.protocol)
    asked = External(
        path=args.predictions,
        protocol=args.protocol,
        name=args.name,
        score_kind=args.score_kind,
        selection=args.selection,
        threshold=args.threshold,
        pretrained_on=args.pretrained_on,
        extra_data=args.extra_data,
        missing=args.missing,
        data_roots=parse_flags(args.data_root),
        settings=parse_set(args.set),
        config=read_toml(args.config) if args.config else {},
        data_size=args.data_size,
        data_seed=args.data_seed,
    )
    made = score_external(asked, args.runs)
    protocol = registry.load("protocol", args.protocol)()
    headline = headline_of(protocol, made.run)
    made.run.write_record(made.run.record.model_copy(update={"headline": headline}))
    page = write_page(args.runs, args.protocol)
    units = made.run.finished()
    score, data = score_units(protocol, units), units[0].data
    left = {"n_missing": made.n_missing, "n_uncoded": made.n_uncoded}
    content = _as_dict(score) | {**left, "run": str(made.run.path), "page": str(page)}
    content |= {"data_settings": data.settings}
    emit(args, content, lambda: f"{_text(made.run, protocol, score, {}, data)}\nrun: {made.run.path}\npage: {page}")
    if made.n_uncoded:
        say(args, f"{made.n_uncoded} predictions are for {score.samples} without a label and were not scored")
    if made.n_missing:
        say(args, f"{made.n_missing} test {score.samples} have no prediction and were left out")
    return 0


def _text(run: RunFolder, protocol: ProtocolPlugin, score: Score, extra: dict[str, Score], data: DataInfo) -> str:
    """The row, its floors, extra rows that are never a headline, and the score of each label."""
    from auharness.leaderboard.tables import interval_text, percent
    from auharness.leaderboard.usual import data_settings
    from auharness.metrics import metric

    rows = [[run.record.model, percent(score.headline), interval_text(score.interval), ""]]
    rows += [[f"floor {name}", percent(value), "", ""] for name, value in score.floors.items()]
    rows += [
        [name, percent(value.headline), interval_text(value.interval), "never a headline"]
        for name, value in extra.items()
    ]
    title = f"{protocol.name}: {metric(score.metric).title} in percent, {score.aggregation}, "
    title += ", ".join((score.tested, score.n_folds, *score.marks))
    read = data_settings(data.settings)
    title += f"\nsettings of the data: {read}" if read else ""
    labels = [[name, percent(value)] for name, value in score.label_scores.items()]
    parts = [title, text_table(["row", "score", "95 % interval", ""], rows), text_table(["label", "score"], labels)]
    return "\n\n".join(parts)


def _as_dict(score: Score) -> dict[str, Any]:
    """Undefined scores become null, as JSON has no NaN."""
    import dataclasses
    import math

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [clean(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    cleaned: dict[str, Any] = clean(dataclasses.asdict(score))
    return cleaned
