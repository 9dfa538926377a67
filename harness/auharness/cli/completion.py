"""`auharness completion SHELL`: print a completion script."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auharness.cli.common import Subparsers

__all__ = ["add_parser"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `completion`."""
    parser = subparsers.add_parser(
        "completion",
        help="print a completion script for the shell",
        description='Print a completion script; for bash: eval "$(auharness completion bash)"',
    )
    parser.add_argument("shell", choices=("bash", "zsh"))
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    from auharness.cli import build_parser

    print(shtab.complete(build_parser(), shell=args.shell))
    return 0
