"""`auharness scale`: how time and memory grow with the sequence, for TTT, Mamba and attention."""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auharness.cli.common import chosen, common_options, emit, ends_on_sigterm, say, whole_number, whole_numbers, words

if TYPE_CHECKING:
    from auharness.cli.common import Subparsers
    from auharness.scaling.case import Case
    from auharness.scaling.point import Point

__all__ = ["add_parser"]

CPU_LENGTHS = {
    "op": (197, 1024, 1536, 2048, 3072, 4096, 6144),
    "layer": (197, 1024, 2048, 4096),
    "model": (197, 577),
}
CUDA_LENGTHS = {level: (197, 1024, 4096, 16384, 65536) for level in ("op", "layer")} | {"model": (197, 1024, 4096)}
TOKENS = 65536
"""Batch x length of the sweep `tokens` on a GPU."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `scale`."""
    parser = subparsers.add_parser("scale", help="measure how time and memory grow with the sequence")
    verbs = parser.add_subparsers(metavar="WHAT", required=True)
    mixers = verbs.add_parser(
        "mixers",
        parents=[common_options()],
        help="TTT, Mamba and attention as operators, layers and whole models",
        description="Measure TTT, Mamba and attention as operators, layers and whole models over sequence lengths. "
        "Points are kept one by one: the same command goes on where it was stopped.",
    )
    mixers.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="default cpu")
    mixers.add_argument("--levels", type=_names, default=["op", "layer", "model"], metavar="A,B", help="op,layer,model")
    mixers.add_argument("--mixers", type=_names, metavar="A,B", help="default all that run here, peers included")
    mixers.add_argument("--lengths", type=whole_numbers, metavar="N,N", help="tokens; default by device and level")
    mixers.add_argument(
        "--sweeps", type=_names, metavar="A,B", help="length, tokens (fixed batch x length), mini-batch, frames"
    )
    mixers.add_argument(
        "--tokens", type=whole_number, default=TOKENS, metavar="N", help=f"of the sweep tokens; default {TOKENS}"
    )
    mixers.add_argument(
        "--mini-batches", type=_sizes, default=[1, 14, 16, 64, "L"], metavar="K,K", help="L is the whole sequence"
    )
    mixers.add_argument(
        "--frames", type=whole_numbers, metavar="N,N", help="of whole models; default 1,4, on CUDA 1,4,16,64"
    )
    mixers.add_argument("--at", type=whole_number, default=1024, metavar="L", help="length of the sweep mini-batch")
    mixers.add_argument(
        "--phases", type=_names, default=["forward", "training"], metavar="A,B", help="forward,training"
    )
    mixers.add_argument("--modes", type=_names, default=["eager"], metavar="A,B", help="eager, compiled, graph (CUDA)")
    mixers.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help="default bfloat16 on CUDA")
    mixers.add_argument("--model", default="au-ttt", help="plugin of the level model; it must have a setting 'mixer'")
    mixers.add_argument("--seconds", type=_amount, default=0.3, metavar="S", help="budget of one timing")
    mixers.add_argument("--limit", type=_amount, default=60.0, metavar="S", help="stop a case that takes longer")
    mixers.add_argument(
        "--minutes", type=_amount, default=float("inf"), metavar="M", help="start no case later; run again to go on"
    )
    mixers.add_argument(
        "--jobs", type=whole_number, metavar="N", help="worker processes; on a GPU they measure in turns"
    )
    mixers.add_argument("--out", type=Path, metavar="FILE", help="default runs/scaling/mixers-DEVICE.jsonl")
    mixers.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Measure what is not there yet and write the page; 4 if a case broke for no lack of memory or time."""
    from auharness.errors import UsageError
    from auharness.leaderboard import write_scaling
    from auharness.scaling.suite import Options, run_suite

    out = args.out or Path("runs/scaling") / f"mixers-{args.device}.jsonl"
    options = Options(
        args.device,
        phases=chosen("--phases", args.phases, ("forward", "training")),
        modes=chosen("--modes", args.modes, ("eager", "compiled") + (("graph",) if args.device == "cuda" else ())),
        seconds=args.seconds,
        limit_s=args.limit,
        jobs=args.jobs or (8 if args.device == "cuda" else min(4, os.cpu_count() or 1)),
        model=args.model,
        deadline_s=60 * args.minutes,
    )
    cases = _cases(args)
    if not cases:
        raise UsageError("scale: nothing to measure: none of these mixers lies on these sweeps at these levels")
    with ends_on_sigterm("run the same command again to go on"):
        points = run_suite(cases, out, options, tell=lambda point: say(args, _line(point)), remark=partial(say, args))
    page, no_pictures = write_scaling(out)
    if no_pictures:
        say(args, f"{page} has no pictures: {no_pictures}")
    broken = [point for point in points if point.status in ("failed", "wrong", "killed")]
    text = f"{len(points)} points of {len(cases)} cases in {out}, {len(broken)} broken; page {page}"
    emit(args, {"points": len(points), "broken": len(broken), "file": str(out), "page": str(page)}, text)
    return 4 if broken else 0


def _cases(args: argparse.Namespace) -> list[Case]:
    from auharness.scaling.case import LEVELS, plan
    from auharness.scaling.subjects import missing, mixer_names

    if "model" in args.levels:
        _check_model(args.model)
    cuda = args.device == "cuda"
    sweeps = args.sweeps or ["length", *(["tokens"] if cuda else []), "mini-batch", "frames"]
    defaults = CUDA_LENGTHS if cuda else CPU_LENGTHS
    cases: list[Case] = []
    for level in chosen("--levels", args.levels, LEVELS):
        names = [name for name in args.mixers or mixer_names(level) if args.mixers is None or _has(level, name, args)]
        absent = {name: reason for name in names if (reason := missing(level, name))}
        for name, reason in absent.items():
            say(args, f"{level} {name} left out: {reason}")
        cases += plan(
            {level: [name for name in names if name not in absent]},
            sweeps=chosen("--sweeps", sweeps, ("length", "tokens", "mini-batch", "frames")),
            lengths=args.lengths or defaults[level],
            tokens=args.tokens,
            mini_batches=args.mini_batches,
            frames=args.frames or ([1, 4, 16, 64] if cuda else [1, 4]),
            at=args.at,
            dtype=args.dtype or ("bfloat16" if cuda else "float32"),
        )
    return cases


def _check_model(name: str) -> None:
    from auharness import registry
    from auharness.errors import UsageError

    if "mixer" not in registry.load("model", name).model_fields:
        raise UsageError(f"--model {name}: the plugin has no setting 'mixer' to vary; take one that has, as au-ttt")


def _has(level: Any, name: str, args: argparse.Namespace) -> bool:
    """A name may belong to one level only, but to one of those asked for."""
    from auharness.errors import UsageError, near
    from auharness.scaling.subjects import mixer_names

    known = {mixer for asked in args.levels for mixer in mixer_names(asked)}
    if name not in known:
        raise UsageError(f"no mixer '{name}'{near(name, known)} (mixers: {', '.join(sorted(known))})")
    return name in mixer_names(level)


def _line(point: Point) -> str:
    time = "" if point.best_ms is None else f"{point.best_ms:10.3f} ms"
    size = f"L={point.length} B={point.batch} K={point.mini_batch} frames={point.frames}"
    return f"{point.level:6}{point.mixer:11}{size:34}{point.phase:9}{point.mode:9}{point.status}{time} {point.note}"


def _names(text: str) -> list[str]:
    names = words(text)
    if not names:
        raise argparse.ArgumentTypeError("expected names separated by commas, got none")
    return names


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if not amount >= 0:
        raise argparse.ArgumentTypeError(f"expected a number from 0 up, got '{text}'")
    return amount


def _sizes(text: str) -> list[int | str]:
    return [word if word == "L" else whole_number(word) for word in _names(text)]
