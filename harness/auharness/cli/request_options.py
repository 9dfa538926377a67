"""The options that `run` and `plan` share, and the request they make. Imports nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auharness.errors import UsageError

if TYPE_CHECKING:
    from auharness.runner.request import Request

__all__ = ["add_request_options", "check_names", "protocols_from", "request_from"]


def add_request_options(parser: argparse.ArgumentParser) -> None:
    """Add what a run is made of."""
    what = parser.add_argument_group("what")
    what.add_argument("--model", metavar="NAME", help="model plugin (see: auharness list models)")
    what.add_argument(
        "--protocol", action="append", metavar="NAME", help="protocol plugin (see: auharness list protocols)"
    )
    what.add_argument(
        "--preset", metavar="A,B", help="presets left to right; default: paper on licensed data, tiny on stand-ins"
    )
    what.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, e.g. recipe.epochs=6"
    )
    what.add_argument("--config", type=Path, metavar="FILE.toml", help="tables model, data, data_roots, run")
    what.add_argument(
        "--weights", type=Path, metavar="FILE.safetensors", help="starting weights (see: auharness pretrain)"
    )
    what.add_argument("--seeds", type=int, metavar="N", help="repeat with seeds 0 .. N-1; default 1")
    what.add_argument("--seed", type=int, metavar="S", help="one seed by its number")
    what.add_argument("--folds", metavar="A,B", help="only these folds; default all")
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data-root", action="append", default=[], metavar="NAME=PATH", help="licensed data of a dataset"
    )
    data.add_argument("--data-size", choices=("tiny", "small", "full"), help="size of the stand-in; default small")
    data.add_argument("--data-seed", type=int, metavar="S", help="seed of the stand-in; default 0")
    data.add_argument(
        "--on-bad-frame", choices=("fail", "drop"), help="undecodable media: stop (default), or drop and count"
    )
    how = parser.add_argument_group("how")
    how.add_argument("--runs", type=Path, metavar="DIR", help="where runs are kept; default runs")
    how.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda or cuda:N")
    how.add_argument("--jobs", type=int, metavar="N", help="units at once; default one more than cores, one on a GPU")
    how.add_argument(
        "--executor", metavar="NAME", help="local (default), ray or slurm: where units run; no result depends on it"
    )
    how.add_argument(
        "--resources",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="what a unit is given on a cluster, e.g. cpus=4, gpus=1, partition=short",
    )
    how.add_argument("--limit", type=int, metavar="N", help="rows per part of a fold: a smoke run, marked so")
    how.add_argument("--max-steps", type=int, metavar="N", help="training steps per unit: a smoke run, marked so")


def check_names(args: argparse.Namespace) -> None:
    """Refuse unknown plugin names before anything heavy is imported.

    Raises:
        UsageError: naming the nearest plugin.
    """
    from auharness import registry

    if args.model is not None:
        registry.require("model", args.model)
    for name in protocols_from(args):
        registry.require("protocol", name)


def protocols_from(args: argparse.Namespace) -> tuple[str, ...]:
    """Return the protocols that the arguments name, by commas or by repetition, each once; none: see the file."""
    return tuple(dict.fromkeys(name for text in args.protocol or () for name in _split(text) or ()))


def request_from(args: argparse.Namespace, *, several: bool = False) -> Request:
    """Return the request that the arguments make.

    Args:
        args: with the options of `add_request_options`.
        several: more than one protocol may be given; the request has the first.

    Raises:
        UsageError: if a value is wrong.
    """
    check_names(args)
    protocols = protocols_from(args)
    if len(protocols) > 1 and not several:
        raise UsageError(f"--protocol {','.join(protocols)}: several protocols go with 'run --ablation' only; give one")
    from auharness.data.roots import parse_flags
    from auharness.runner.request import make_request
    from auharness.settings import parse_set

    settings = parse_set(args.set)
    if args.on_bad_frame is not None:
        settings.setdefault("preprocess", {})["on_bad_frame"] = args.on_bad_frame
    options: dict[str, Any] = {
        "model": args.model,
        "protocol": protocols[0] if protocols else None,
        "presets": _split(args.preset),
        "seeds": _seeds(args),
        "folds": _split(args.folds),
        "settings": settings or None,
        "data_roots": parse_flags(args.data_root) or None,
        "data_size": args.data_size,
        "data_seed": args.data_seed,
        "runs": args.runs,
        "device": args.device,
        "jobs": args.jobs,
        "executor": args.executor,
        "resources": parse_set(args.resources, flag="--resources") or None,
        "limit": args.limit,
        "max_steps": args.max_steps,
        "weights": args.weights,
        "fresh": getattr(args, "fresh", None) or None,
    }
    return make_request(config=args.config, **options)


def _split(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _seeds(args: argparse.Namespace) -> tuple[int, ...] | int | None:
    if args.seed is not None and args.seeds is not None:
        raise UsageError("--seed and --seeds: give one of them")
    if args.seeds is not None and args.seeds < 1:
        raise UsageError(f"--seeds {args.seeds}: expected at least 1")
    return args.seeds if args.seed is None else (args.seed,)
