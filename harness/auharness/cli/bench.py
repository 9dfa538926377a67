"""`auharness bench`: what whole models cost, counted without a device and timed on one."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from auharness.cli.common import (
    chosen,
    common_options,
    emit,
    ends_on_sigterm,
    say,
    text_table,
    whole_number,
    whole_numbers,
    words,
)

if TYPE_CHECKING:
    from auharness.bench.case import Case
    from auharness.bench.rows import Count, Row
    from auharness.bench.summary import Speed
    from auharness.cli.common import Subparsers

__all__ = ["add_parser"]

EVERY = "all"


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `bench`."""
    parser = subparsers.add_parser(
        "bench",
        parents=[common_options()],
        help="measure what models cost: parameters, MACs, latency, throughput, memory",
        description="Count parameters, MACs and FLOPs of models and time them, forward only, on random weights and "
        "inputs. Rows are kept one by one: the same command goes on where it was stopped.",
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="model plugins; default every one")
    what = parser.add_argument_group("what")
    what.add_argument("--preset", default="paper", metavar="A,B", help="presets left to right; default paper")
    what.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, e.g. mixer=mamba")
    what.add_argument(
        "--dataset",
        metavar="A,B",
        help="whose labels the models answer; default where a paper reports them, all is every one that they accept",
    )
    what.add_argument("--input", type=whole_numbers, metavar="N,N", help="pixels per side, e.g. 112,224,448: growth")
    what.add_argument("--counts-only", action="store_true", help="nothing is timed")
    how = parser.add_argument_group("how")
    how.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="that times; default cpu")
    how.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"), help="default float32")
    how.add_argument("--modes", default="eager", metavar="A,B", help="eager (default), compiled")
    how.add_argument("--batches", type=whole_numbers, metavar="N,N", help="default 1, 2, 4 ... until throughput stops")
    how.add_argument("--max-seconds", type=_seconds, default=60.0, metavar="S", help="stop a point that takes longer")
    how.add_argument("--seconds", type=_seconds, default=1.0, metavar="S", help="budget of one timing; default 1")
    how.add_argument("--threads", type=whole_number, default=1, metavar="N", help="of the CPU; default 1")
    how.add_argument("--out", type=Path, metavar="FILE", help="default runs/bench/DEVICE.jsonl")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Count, time and print; 4 if a model broke for no lack of memory or time."""
    from auharness import registry

    for name in args.models:
        registry.require("model", name)
    from auharness.bench.suite import BATCHES, Options, run_bench
    from auharness.bench.summary import broken

    out = args.out or Path("runs/bench") / f"{args.device}.jsonl"
    options = Options(
        None if args.counts_only else args.device,
        dtype=args.dtype,
        modes=chosen("--modes", words(args.modes) or ["eager"], ("eager", "compiled")),
        batches=sorted(set(args.batches or BATCHES)),
        seconds=args.seconds,
        limit_s=args.max_seconds,
        threads=args.threads,
    )
    cases = _cases(args)
    with ends_on_sigterm("run the same command again to go on"):
        rows = run_bench(cases, out, options, tell=lambda row: say(args, _line(row)), remark=partial(say, args))
    failed = [row for row in rows if broken(row)]
    data = {"rows": [row.model_dump(mode="json") for row in rows], "broken": len(failed), "file": str(out)}
    emit(args, data, lambda: _text(rows, out))
    return 4 if failed else 0


def _cases(args: argparse.Namespace) -> list[Case]:
    """Return what is measured; settings that no plugin takes are refused before anything is."""
    from auharness import registry
    from auharness.bench.case import Case, accepting, reads
    from auharness.errors import UsageError
    from auharness.leaderboard.cost.home import home
    from auharness.runner.model import variant_presets
    from auharness.settings import parse_set

    settings, asked = parse_set(args.set), tuple(words(args.preset))
    cases: list[Case] = []
    for name in args.models or registry.names("model"):
        presets = variant_presets(registry.load("model", name), asked, synthetic=False)
        if args.dataset == EVERY:
            datasets = list(accepting(name, presets, settings))
        elif args.dataset:
            datasets = words(args.dataset)
        else:
            datasets = [home(name, presets, settings)]
        for dataset in datasets:
            registry.require("dataset", dataset)
            subject = Case(name, presets, dataset, settings).subject()
            if not reads(subject.plugin, subject.task.kind):
                raise UsageError(f"--dataset {dataset}: no run trains {name} on {subject.task.kind} labels; try all")
            cases += [Case(name, presets, dataset, settings, side) for side in args.input or (None,)]
    return cases


def _line(row: Row) -> str:
    """One line of progress."""
    from auharness.bench.rows import Count
    from auharness.bench.summary import giga, row_name

    name = row_name(row)
    if isinstance(row, Count):
        told = f"{giga(row.macs)} GMACs" if row.status == "ok" else f"{row.status}: {row.note}"
        return f"{name}: {told}"
    told = f"{row.p50_ms:.3g} ms" if row.p50_ms is not None else f"{row.status} {row.note}".rstrip()
    return f"{name} {row.machine.kind} {row.mode} {row.dtype} batch {row.batch}: {told}"


def _text(rows: list[Row], out: Path) -> str:
    from auharness.bench.rows import Count
    from auharness.bench.summary import row_name, speeds

    counts = [row for row in rows if isinstance(row, Count)]
    parts = [_counts(counts)]
    timed = speeds(rows)
    if timed:
        parts.append(_times(timed))
        machine = timed[0].first.machine
        driver = f", driver {machine.driver}" if machine.driver else ""
        versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions.items()))
        threads = f"{machine.threads} thread{'s' if machine.threads > 1 else ''}"
        parts.append(f"{machine.device} ({machine.kind}, {threads}{driver}); {versions}")
    notes = [f"{row_name(row)}: {row.status}: {row.note}" for row in counts if row.status != "ok"]
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else []), f"rows in {out}"])


def _counts(counts: list[Count]) -> str:
    from auharness.bench.naming import shape_text
    from auharness.bench.summary import giga, input_growth, mebi, whole

    sized = any(row.side is not None for row in counts)
    columns = ["model", "preset", "labels", "input", "parameters", "trainable", "MACs (G)", "FLOPs (G)", "coverage"]
    columns += ["bytes/sample", "memory (MiB)", *(["growth"] if sized else [])]
    lines = []
    for row in counts:
        own = [
            each for each in counts if (each.model, each.preset, each.dataset) == (row.model, row.preset, row.dataset)
        ]
        growth = input_growth(own).get(row.side or 0)
        coverage = "n/a" if row.coverage is None else f"{100 * row.coverage:.2f} %"
        line = [
            row.model,
            _preset(row),
            f"{row.dataset} ({row.outputs})" if row.outputs else row.dataset,
            shape_text(row.inputs) or "n/a",
        ]
        line += [*map(whole, (row.parameters, row.trainable)), giga(row.macs), giga(row.flops), coverage]
        line += [whole(row.input_bytes), mebi(row.peak_bytes)]
        lines.append([*line, *(["n/a" if growth is None else f"{growth:.2f}x"] if sized else [])])
    return text_table(columns, lines)


def _times(timed: list[Speed]) -> str:
    columns = ["model", "preset", "side", "mode", "dtype", "p50 (ms)", "p95 (ms)", "samples/s", "at batch"]
    columns += ["memory (MiB)", "backend", "note"]
    lines = []
    for speed in timed:
        from auharness.bench.summary import mebi

        first, best = speed.first, speed.best
        line = [first.model, _preset(first), first.side or "", first.mode, first.dtype]
        line += [_ms(first.p50_ms), _ms(first.p95_ms)]
        line += ["n/a", "n/a"] if best is None else [f"{best.per_second:.4g}", best.batch]
        backends = ", ".join(f"{operator}: {name}" for operator, name in first.backend.items())
        lines.append([*line, mebi(first.peak_bytes), backends, speed.note])
    return text_table(columns, lines) + f"\np50, p95 and memory: batch {timed[0].first.batch}, {_clock(timed)}"


def _clock(timed: Iterable[Speed]) -> str:
    clocks = dict.fromkeys(speed.first.clock for speed in timed if speed.first.clock)
    if "cpu time" not in clocks:
        return ", ".join(clocks) or "nothing ran"
    return "processor time; on a machine that others use it is no speed to be quoted"


def _preset(row: Row) -> str:
    return f"{row.preset}; {row.settings}" if row.settings else row.preset


def _ms(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4g}"


def _seconds(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if not 0 < amount < 1e6:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, got '{text}'")
    return amount
