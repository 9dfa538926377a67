"""`auharness list`: the names of models, datasets and protocols; no plugin is imported."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from auharness.cli.common import common_options, emit, text_table

if TYPE_CHECKING:
    from auharness.cli.common import Subparsers
    from auharness.registry import Offer

__all__ = ["add_parser"]

_FIRST_LINE = re.compile(r"""\A\s*[rR]?("{3}|'{3})\s*(.*?)\s*(?:\1|$)""", re.MULTILINE)


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `list`."""
    parser = subparsers.add_parser(
        "list", parents=[common_options()], help="list models, datasets or protocols", description=__doc__
    )
    parser.add_argument("kind", nargs="?", choices=("models", "datasets", "protocols"), help="default: all")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Print the names of one kind or of all."""
    from auharness.registry import KINDS, offers

    kinds = [args.kind.removesuffix("s")] if args.kind else KINDS
    rows = [_row(offer) for kind in kinds for found in offers(kind).values() for offer in found]
    hidden = {"kind"} if args.kind else set()
    columns = [name for name in ("kind", "name", "package", "about") if name not in hidden]
    emit(args, rows, lambda: text_table(columns, [[row[name] for name in columns] for row in rows]))
    return 0


def _row(offer: Offer) -> dict[str, str]:
    from auharness.registry.names import find_spec

    try:
        spec = find_spec(offer.module)
        source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    except (OSError, ImportError, ValueError):
        source = ""
    about = _FIRST_LINE.match(source)
    return {
        "kind": offer.kind,
        "name": offer.name,
        "package": offer.package,
        "about": about[2] if about else "",
    }
