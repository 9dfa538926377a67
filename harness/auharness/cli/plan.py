"""`auharness plan`: what a run would do: every setting with its origin, the units, the data, time and disk."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from auharness.cli.common import common_options, emit, text_table
from auharness.cli.request_options import add_request_options, request_from

if TYPE_CHECKING:
    from auharness.cli.common import Subparsers

__all__ = ["add_parser"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `plan`."""
    parser = subparsers.add_parser(
        "plan", parents=[common_options()], help="show what a run would do, without doing it", description=__doc__
    )
    add_request_options(parser)
    parser.set_defaults(handler=handle, fresh=False)


def handle(args: argparse.Namespace) -> int:
    """Print the plan."""
    request = request_from(args)
    from auharness.runner.estimates import describe
    from auharness.runner.inputs import gather
    from auharness.runner.plan import make_plan

    description = describe(make_plan(gather(request)))
    emit(args, description, lambda: _text(description))
    return 0


def _text(plan: dict[str, Any]) -> str:
    settings = text_table(("setting", "value", "origin"), plan["settings"])
    units = text_table(("unit", "fold", "seed", "train rows", "test rows", "state"), plan["units"])
    facts = text_table(("", ""), [[key, value] for key, value in plan["facts"].items()])
    return f"{facts}\n\n{settings}\n\n{units}"
