"""What the commands share: common options, and output for people or for machines. Imports nothing heavy."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from rich.console import Console

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = [
    "Parser",
    "chosen",
    "common_options",
    "console",
    "emit",
    "ends_on_sigterm",
    "say",
    "text_table",
    "visible",
    "whole_number",
    "whole_numbers",
    "words",
]


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and whose long options are never abbreviated."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        super().__init__(*args, **options)

    def error(self, message: str) -> NoReturn:
        """Print one line to stderr and leave with exit code 2."""
        self.exit(2, f"auharness: error: {message}; see: {self.prog} --help\n")


def common_options() -> Parser:
    """Return a parent parser with `--json`, `--quiet` and `--no-color`, for `add_parser(..., parents=[...])`."""
    parent = Parser(add_help=False)
    group = parent.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print one JSON document for machines")
    group.add_argument("--quiet", action="store_true", help="print results and errors only")
    group.add_argument("--no-color", action="store_true", help="no colours; also NO_COLOR=1")
    return parent


@contextmanager
def ends_on_sigterm(how_to_go_on: str) -> Iterator[None]:
    """Let SIGTERM end the body as an interruption does, with exit code 75.

    Raises:
        PreemptedError: when it arrived.
    """
    from auharness.errors import PreemptedError

    def end(*_: object) -> NoReturn:
        raise _Preemption

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except _Preemption:
        raise PreemptedError(f"asked to end by SIGTERM; {how_to_go_on}") from None
    finally:
        signal.signal(signal.SIGTERM, before)


class _Preemption(KeyboardInterrupt):
    """SIGTERM arrived; like an interruption it passes through what keeps one failed unit from the others."""


def console(args: argparse.Namespace, *, stderr: bool = False) -> Console:
    """Return a rich console that follows the common options.

    Args:
        args: parsed arguments with the common options.
        stderr: write to stderr, where progress and remarks belong.
    """
    from rich.console import Console

    return Console(
        stderr=stderr,
        no_color=args.no_color or None,
        quiet=stderr and args.quiet,
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def emit(args: argparse.Namespace, data: object, text: str | Callable[[], str]) -> None:
    """Print the result of a command: `data` as JSON with `--json`, else the text.

    Args:
        args: parsed arguments with the common options.
        data: what JSON can hold; paths and other objects become text.
        text: the text, or a function that makes it only when it is wanted.
    """
    if args.json:
        print(json.dumps(data, indent=2, ensure_ascii=False, default=str))
        return
    shown = text if isinstance(text, str) else text()
    if shown:
        print(visible(shown))


def say(args: argparse.Namespace, message: str) -> None:
    """Print a remark to stderr unless `--quiet` is given."""
    if not args.quiet:
        print(visible(message), file=sys.stderr)


def visible(text: str) -> str:
    r"""Return text whose characters all print: what would steer a terminal or turn the reading order is spelled out.

    >>> print(visible("a\x1b[31m b\u202ec"))
    a\x1b[31m b\u202ec
    """
    return "".join(letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text)


def text_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return left-aligned columns as plain text; for wide tables with colours use `console`.

    >>> print(text_table(["name", "paper"], [["au-ttt", "2025"]]))
    name    paper
    au-ttt  2025
    """
    cells = [[str(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines)


def whole_number(text: str) -> int:
    """Read the value of an option that is a whole number from 1 up.

    Raises:
        argparse.ArgumentTypeError: it is not.
    """
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, got '{text}'")
    return int(text)


def whole_numbers(text: str) -> list[int]:
    """Read the value of an option that is whole numbers from 1 up, separated by commas.

    Raises:
        argparse.ArgumentTypeError: one is not, or there is none.
    """
    numbers = [whole_number(word) for word in words(text)]
    if not numbers:
        raise argparse.ArgumentTypeError("expected numbers separated by commas, got none")
    return numbers


def words(text: str) -> list[str]:
    """Return what stands between the commas of an option's value.

    >>> words("eager, compiled,")
    ['eager', 'compiled']
    """
    return [word.strip() for word in text.split(",") if word.strip()]


def chosen(option: str, given: Sequence[str], known: Sequence[str]) -> Any:
    """Return the words that were given for an option, each once.

    Raises:
        UsageError: one is not known.
    """
    from auharness.errors import UsageError, near

    for word in given:
        if word not in known:
            raise UsageError(f"{option}: no '{word}'{near(word, known)} (choose from {', '.join(known)})")
    return list(dict.fromkeys(given))
