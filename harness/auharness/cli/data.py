"""`auharness data`: write stand-ins, compare a root with the published counts, look for leaks, make crops ahead."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auharness.cli.common import common_options, emit, say, text_table
from auharness.cli.meter import Meter
from auharness.errors import UsageError, near

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auharness.api import DatasetPlugin
    from auharness.cli.common import Subparsers
    from auharness.data.crops import SequenceReport
    from auharness.data.index import Index
    from auharness.data.roots import RootChoice
    from auharness.data.verify import VerifyReport

__all__ = ["add_parser"]

BAD_DATA = 3
SHOWN = 40
"""Differences or twins that the text lists; `--json` has all."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `data` with its verbs."""
    parser = subparsers.add_parser("data", help="write, check and prepare datasets", description=__doc__)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    common = common_options()

    synth = verbs.add_parser("synth", parents=[common], help="write a synthetic stand-in in the vendor's layout")
    synth.add_argument("dataset", help="dataset plugin (see: auharness list datasets)")
    synth.add_argument("--out", type=Path, metavar="DIR", help="empty folder to write to; default the user cache")
    _standin_options(synth)
    synth.add_argument("--jobs", type=int, metavar="N", help="processes; default one per core")
    synth.set_defaults(handler=synth_handler)

    check = verbs.add_parser("verify", parents=[common], help="compare counts with the published ones")
    _dataset_options(check)
    check.set_defaults(handler=verify_handler)

    count = verbs.add_parser("stats", parents=[common], help="frames and rates per output and part")
    _dataset_options(count)
    count.add_argument("--protocol", metavar="NAME", help="also per part of this protocol")
    count.set_defaults(handler=stats_handler)

    leak = verbs.add_parser("leaks", parents=[common], help="look for one person in two parts or datasets")
    leak.add_argument("--protocol", metavar="NAME", required=True, help="protocol whose datasets and folds are checked")
    _root_options(leak)
    leak.set_defaults(handler=leaks_handler)

    ahead = verbs.add_parser("prepare", parents=[common], help="make the face crops ahead of a run")
    _dataset_options(ahead)
    ahead.add_argument("--model", metavar="NAME", help="use the alignment and crop size of this model")
    ahead.add_argument("--preset", default="", metavar="A,B", help="presets of the model; as in `run`")
    ahead.add_argument(
        "--landmarks",
        metavar="SOURCE",
        help="vendor, npz:FOLDER, mediapipe, retinaface:FILE.onnx, haar; as the run's setting",
    )
    ahead.add_argument("--on-bad-frame", choices=("fail", "drop"), help="undecodable media: stop, or leave out")
    ahead.add_argument("--jobs", type=int, default=1, metavar="N", help="processes; default 1")
    ahead.add_argument("--dry-run", action="store_true", help="print time and disk space only")
    ahead.set_defaults(handler=prepare_handler)


def _dataset_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", help="dataset plugin (see: auharness list datasets)")
    _root_options(parser)


def _root_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument("--data-root", action="append", default=[], metavar="NAME=PATH", help="licensed data")
    group.add_argument("--config", type=Path, metavar="FILE.toml", help="its table data_roots")
    group.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="dataset setting")
    _standin_options(group)


def _standin_options(parser: Any) -> None:
    parser.add_argument(
        "--data-size", choices=("tiny", "small", "full"), default="small", help="size of the stand-in; default small"
    )
    parser.add_argument("--data-seed", type=int, default=0, metavar="S", help="seed of the stand-in; default 0")


def synth_handler(args: argparse.Namespace) -> int:
    """Write a stand-in and print its folder."""
    from auharness import registry

    registry.require("dataset", args.dataset)
    from auharness.data.synthetic.standin import ensure_standin

    with Meter(args, f"stand-in {args.dataset}", unit="subjects") as meter:
        root = ensure_standin(
            args.dataset,
            size=args.data_size,
            seed=args.data_seed,
            root=args.out,
            jobs=args.jobs,
            progress=meter.update,
        )
    emit(args, {"dataset": args.dataset, "root": str(root)}, str(root))
    say(args, f"use it like licensed data: --data-root {args.dataset}={root}")
    return 0


def verify_handler(args: argparse.Namespace) -> int:
    """Print how a root differs from the published counts; exit code 3 if licensed data differs."""
    dataset, choice, index = _load(args, args.dataset)
    from auharness.data.verify import verify

    report = verify(dataset, index)
    remarks = index.source(dataset.name).remarks
    data = {**asdict(report), "root": str(choice.path), "origin": choice.origin, "manifest": index.manifest}
    emit(args, data | {"remarks": remarks}, lambda: _verify_text(report, choice) + _remarks_text(remarks))
    return BAD_DATA if report.verified is False and choice.origin == "licensed" else 0


def _verify_text(report: VerifyReport, choice: RootChoice) -> str:
    size = f"{report.n_subjects} subjects, {report.n_rows} coded rows"
    head = f"{report.dataset}: {size} in {choice.path} ({choice.origin}, given by {choice.given_by})"
    head += f"\nfrom {report.media}" if report.media else ""
    if report.verified is None:
        return f"{head}\nno counts are published for this dataset"
    if report.verified:
        return f"{head}\nall counts equal the published ones{f' ({report.release})' if report.release else ''}"
    if choice.origin == "synthetic":
        return f"{head}\na stand-in: {len(report.differences)} counts differ from the published ones, as expected"
    lines = [f"{head}\n{len(report.differences)} counts differ from the published ones; a result on it says so"]
    lines += [f"  {difference}" for difference in report.differences[:SHOWN]]
    return "\n".join(lines + _more(len(report.differences)))


def _remarks_text(remarks: Mapping[str, Mapping[str, int]]) -> str:
    """Return a line per part with what the reader put up with; empty where there is nothing to say."""
    lines = [
        f"{part}: {', '.join(f'{what} {count}' for what, count in found.items())}" for part, found in remarks.items()
    ]
    return "".join(f"\n{line}" for line in lines)


def stats_handler(args: argparse.Namespace) -> int:
    """Print frames, positives and rates per output."""
    dataset, choice, index = _load(args, args.dataset)
    from auharness.data.stats import stats

    parts = {}
    key = "subject"
    if args.protocol:
        from auharness import registry

        protocol = registry.load("protocol", args.protocol)()
        key = protocol.key
        if {*protocol.train_on, *protocol.test_on} != {args.dataset}:
            read = ", ".join(dict.fromkeys((*protocol.train_on, *protocol.test_on)))
            raise UsageError(f"--protocol {args.protocol} reads {read}; expected a protocol of {args.dataset} alone")
        parts = {fold.name: fold.test_ids for fold in protocol.folds(index)}
    found = stats(index, parts=parts, key=key)
    remarks = index.source(dataset.name).remarks
    data = {"dataset": dataset.name, "root": str(choice.path), "parts": [asdict(part) for part in found]}
    columns = ["output", *(f"{part.part} {title}" for part in found for title in ("positives", "rate %"))]
    rows = [[""] + [cell for part in found for cell in (f"{part.n_rows} rows", f"{part.n_subjects} subjects")]]
    for column, output in enumerate(index.outputs):
        counts = [part.outputs[column] for part in found]
        rows.append([output, *(cell for c in counts for cell in (str(c.positives), f"{100 * c.rate:.1f}"))])
    emit(args, data | {"remarks": remarks}, lambda: text_table(columns, rows) + _remarks_text(remarks))
    return 0


def leaks_handler(args: argparse.Namespace) -> int:
    """Print one person's traces in two parts or datasets; exit code 3 if files or subjects are shared."""
    from auharness import registry

    protocol = registry.load("protocol", args.protocol)()
    from auharness.data.index import Index
    from auharness.data.leaks import known_overlaps, shared_test_keys, twin_media

    names = tuple(dict.fromkeys((*protocol.train_on, *protocol.test_on)))
    index = Index.concat([_load(args, name, names)[2] for name in names])
    twice = shared_test_keys(protocol.folds(index))
    with Meter(args, "files of equal size", unit="files") as meter:
        twins = twin_media(index, progress=meter.update)
    overlaps = known_overlaps(names)
    data = {
        "protocol": protocol.name,
        "tested_twice": [{"key": key, "folds": folds} for key, folds in twice],
        "twin_media": [asdict(twin) for twin in twins],
        "known_overlaps": [asdict(overlap) for overlap in overlaps],
    }
    lines = [f"{'/'.join(key)} is tested in {one} and {two}" for key, (one, two) in twice[:SHOWN]]
    lines += _more(len(twice))
    lines += [f"{twin.first} equals {twin.second}, of another subject" for twin in twins[:SHOWN]]
    lines += _more(len(twins)) or ([] if twice or twins else ["no subject and no file is in two parts"])
    lines += [f"keep out of training: {o.dataset} and {o.other}: {o.note}" for o in overlaps]
    emit(args, data, "\n".join(lines))
    return BAD_DATA if twice or twins else 0


def prepare_handler(args: argparse.Namespace) -> int:
    """Fill the crop cache."""
    dataset, choice, index = _load(args, args.dataset)
    from auharness.data.cache import CropCache, cache_folder
    from auharness.data.clips import all_frames
    from auharness.data.crops import looks_for_face
    from auharness.data.prepare import by_sequence, estimate, prepare

    settings = _crop_settings(args, synthetic=choice.origin == "synthetic")
    records = all_frames(index.records())
    folder = cache_folder(dataset.name, dataset.root, settings, manifest=index.manifest)
    cost = estimate(records, settings)
    jobs = max(1, args.jobs)
    say(
        args,
        f"{len(records)} frames: at most {cost.bytes / 2**20:.0f} MiB in {folder}, about {cost.seconds / jobs:.0f} s",
    )
    data: dict[str, Any] = {"folder": str(folder), "bytes": cost.bytes, "seconds": cost.seconds / jobs}
    if args.dry_run:
        emit(args, data, "")
        return 0
    groups = by_sequence(records)
    done = 0

    def tell(sequence: SequenceReport) -> None:
        nonlocal done
        done += len(groups[sequence.name])
        meter.update(done, len(records), sequence.name)

    with Meter(args, f"crops {dataset.name}", unit="frames") as meter:
        report = prepare(CropCache(folder), dataset.root, groups, settings, jobs=jobs, progress=tell)
    n_no_face = report.n_no_face if looks_for_face(settings.method, settings.landmarks) else 0
    data |= {"crops": report.n, "no_face": n_no_face, "left_out": report.n_bad}
    emit(args, data, f"{report.n} crops, {n_no_face} without a face, {report.n_bad} frames left out: {folder}")
    return 0


def _crop_settings(args: argparse.Namespace, *, synthetic: bool) -> Any:
    """Return how crops are made: as the model asks, or the defaults of every model."""
    from auharness.api import Preprocess
    from auharness.data.crops import CropSettings

    preprocess = Preprocess()
    if args.model:
        from auharness import registry
        from auharness.settings import default_preset, resolve

        plugin = registry.load("model", args.model)
        presets = [name for name in args.preset.split(",") if name]
        presets = presets or [default_preset(plugin, synthetic=synthetic)]
        preprocess = resolve(plugin, dataset=args.dataset, presets=presets).plugin.preprocess
    return CropSettings(
        method=preprocess.align,
        size=preprocess.resize,
        enhance=preprocess.enhance_cached,
        landmarks=args.landmarks or preprocess.landmarks,
        on_bad_frame=args.on_bad_frame or preprocess.on_bad_frame,
    )


def _load(args: argparse.Namespace, name: str, names: Sequence[str] = ()) -> tuple[DatasetPlugin, RootChoice, Index]:
    """Return reader, root and index of a dataset; a typo is answered before anything heavy is imported.

    Args:
        args: of the command line.
        name: of the dataset.
        names: all that the command reads; default this one.
    """
    from auharness import registry

    registry.require("dataset", name)
    from auharness.data.roots import parse_flags, resolve_root
    from auharness.settings import parse_set, read_toml, resolve

    config = read_toml(args.config)["data_roots"] if args.config else {}
    flags, read = parse_flags(args.data_root), names or (name,)
    odd = next((key for key in flags if key not in read), None)
    if odd is not None:
        raise UsageError(f"--data-root {odd}: the command reads {', '.join(read)}{near(odd, read)}")
    with Meter(args, f"stand-in {name}", unit="subjects") as meter:
        choice = resolve_root(
            name,
            flags=flags,
            config=config,
            size=args.data_size,
            seed=args.data_seed,
            progress=meter.update,
        )
    layers = [("flag", parse_set(args.set)), ("root", {"root": choice.path})]
    dataset = resolve(registry.load("dataset", name), dataset=name, layers=layers).plugin
    from auharness.data.index import build_index

    return dataset, choice, build_index(dataset)


def _more(count: int) -> list[str]:
    return [f"  and {count - SHOWN} more (all with --json)"] if count > SHOWN else []
