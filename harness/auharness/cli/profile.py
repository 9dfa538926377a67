"""`auharness profile`: where the time and the memory of a model go, for TensorBoard, Perfetto and the terminal."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auharness.cli.common import common_options, emit, say, text_table, whole_number, words

if TYPE_CHECKING:
    from auharness.cli.common import Subparsers
    from auharness.profiling.op_table import OpRow

__all__ = ["add_parser"]

CPU_BATCH = 4
"""Samples on a CPU unless told otherwise; on CUDA it is the recipe's batch."""
SHOWN = 15
"""Operators that are printed."""
LONGEST = 60
"""Characters of an operator's name that are printed."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `profile`."""
    parser = subparsers.add_parser(
        "profile",
        parents=[common_options()],
        help="show where the time and the memory of a model go",
        description="Record some steps of a model on a random batch, with random weights unless its setting 'init' "
        "names some: a trace for TensorBoard and Perfetto, a table of operators and a memory timeline "
        "(docs/profile.md).",
    )
    parser.add_argument("model", metavar="MODEL", help="model plugin (see: auharness list models)")
    parser.add_argument("--preset", default="paper", metavar="A,B", help="presets left to right; default paper")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, e.g. mixer=mamba")
    parser.add_argument("--phase", choices=("forward", "training"), default="forward", help="default forward")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default auto")
    parser.add_argument("--batch", type=whole_number, metavar="N", help=f"default {CPU_BATCH}, on CUDA the recipe's")
    parser.add_argument("--steps", type=whole_number, default=3, metavar="N", help="recorded steps; default 3")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="default runs/profile/MODEL-PRESET/PHASE-DEVICE; one run in TensorBoard"
    )
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Profile one model and print its table."""
    from auharness import registry
    from auharness.settings import parse_set, resolve

    plugin_class = registry.load("model", args.model)
    presets = tuple(words(args.preset)) or ("paper",)
    plugin = resolve(plugin_class, presets=presets, layers=[("flag", parse_set(args.set))]).plugin
    # torch's recorder writes progress to stderr; both are read when torch is imported
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    import torch

    from auharness.profiling import Options, profile_model

    device = args.device if args.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    batch = args.batch or (plugin.recipe.batch_size if device == "cuda" else CPU_BATCH)
    options = Options(args.phase, torch.device(device), batch, args.steps, ",".join(presets))
    folder = args.out or Path("runs/profile") / f"{plugin.name}-{'-'.join(presets)}" / f"{args.phase}-{device}"
    _check_folder(folder)
    made = profile_model(plugin, options, folder)
    if made.summary["no_picture"]:
        say(args, f"no picture of the memory: {made.summary['no_picture']}")
    if made.summary["own_fit"] and args.phase == "training":
        say(args, f"{plugin.name} trains in stages of its own; recorded is a step of the plain loop")
    emit(args, {**made.summary, "folder": str(folder)}, lambda: _text(made.rows, made.summary, folder))
    return 0


def _check_folder(folder: Path) -> None:
    """Refuse what cannot be written before anything is measured; it is made when there is something to write."""
    from auharness.errors import DataError

    try:
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        writable = there.is_dir() and os.access(there, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise DataError(f"profile: {folder} cannot be written; give another folder with --out")


def _text(rows: list[OpRow], summary: dict[str, Any], folder: Path) -> str:
    from auharness.profiling import table_cells

    columns, cells = table_cells(rows, most=SHOWN)
    short = [[name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}...", *others] for name, *others in cells]
    recorded = summary["recorded_step_ms"]
    peaks = ", ".join(f"{device} {peak / 2**20:.1f} MiB" for device, peak in summary["peak_bytes"].items())
    lines = [
        text_table(columns, short),
        "",
        f"step {summary['step_ms']:.1f} ms ({summary['clock']}), recorded {sum(recorded) / len(recorded):.1f} ms "
        f"(clock); peak {peaks or 'none'}; batch {summary['batch']}, {summary['precision']}",
        f"tensorboard --logdir {shlex.quote(str(folder))}",
        f"or open in ui.perfetto.dev: {folder / summary['files']['trace']}",
    ]
    return "\n".join(lines)
