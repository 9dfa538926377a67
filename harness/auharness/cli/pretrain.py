"""`auharness pretrain`: starting weights from class-labelled images, e.g. ImageNet-1K."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auharness.cli.common import common_options, emit, say

if TYPE_CHECKING:
    from auharness.cli.common import Subparsers

__all__ = ["add_parser"]

_RECIPE = ("epochs", "batch_size", "lr", "mixup", "cutmix", "precision", "seed")


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `pretrain`."""
    parser = subparsers.add_parser(
        "pretrain",
        parents=[common_options()],
        help="make starting weights from a folder of labelled images",
        description="Train a model's encoder on a folder with one folder of images per class and write its weights. "
        "Run it again to go on after an interruption.",
    )
    parser.add_argument("--model", required=True, metavar="NAME")
    parser.add_argument("--data", required=True, type=Path, metavar="FOLDER", help="holds one folder per class")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="ends in .safetensors")
    parser.add_argument("--preset", default="paper", metavar="NAMES", help="composed left to right (default: paper)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the model")
    parser.add_argument("--name", default="", help="what the data is called in records (default: the folder's name)")
    parser.add_argument("--epochs", type=int, help="default 300")
    parser.add_argument("--batch-size", type=int, help="default 1024")
    parser.add_argument("--lr", type=float, help="peak rate for a batch of 512 (default 5e-4)")
    parser.add_argument("--mixup", type=float, help="default 0.8; 0 is off")
    parser.add_argument("--cutmix", type=float, help="default 1.0; 0 is off")
    parser.add_argument("--precision", help="32-true (default), 16-mixed or bf16-mixed")
    parser.add_argument("--seed", type=int, help="default 0")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--workers", type=int, default=0, help="processes that read images (default: 0)")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Pre-train and name the written file.

    Raises:
        UsageError: if a name or a setting is wrong.
        DataError: if the images are missing or bad.
    """
    from auharness.errors import UsageError
    from auharness.registry import load
    from auharness.settings import environment_settings, parse_set, resolve

    if args.out.suffix != ".safetensors":
        raise UsageError(f"--out {args.out}: expected a name that ends in .safetensors")
    plugin = resolve(
        load("model", args.model),
        presets=[name for name in args.preset.split(",") if name],
        layers=[("environment", environment_settings(os.environ)), ("--set", parse_set(args.set))],
    ).plugin

    from auharness.training.pretrain import pretrain

    def log(event: str, **values: Any) -> None:
        say(args, f"{event}: " + " ".join(f"{key}={value}" for key, value in values.items()))

    path = pretrain(
        plugin,
        args.data,
        out=args.out,
        settings=_settings(args),
        name=args.name,
        device=args.device,
        workers=args.workers,
        log=log,
    )
    emit(args, {"weights": str(path)}, f"weights: {path}\nuse them: --weights {path}")
    return 0


def _settings(args: argparse.Namespace) -> Any:
    from pydantic import ValidationError

    from auharness.errors import UsageError
    from auharness.training.pretrain import Pretraining

    given = {name: getattr(args, name) for name in _RECIPE if getattr(args, name) is not None}
    try:
        return Pretraining(**given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        flag = "--" + str(first["loc"][0]).replace("_", "-")
        raise UsageError(
            f"{flag} is {first['input']!r}, expected {first['msg'].removeprefix('Input should be ')}"
        ) from None
