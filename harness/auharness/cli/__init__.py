"""The command line: one module per command, each with `add_parser(subparsers)` that sets a `handler`.

Importing a command module must not import anything heavy; the handler imports what it needs.
"""

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from auharness.cli.common import Parser, visible
from auharness.errors import AuharnessError, DataError, StorageError, UsageError, near

__all__ = ["VERBS", "build_parser", "main"]

VERBS = (
    *(
        "list",
        "show",
        "doctor",
        "data",
        "plan",
        "run",
        "pretrain",
        "status",
        "score",
        "explain",
        "challenge",
        "bench",
        "scale",
        "profile",
        "compare",
        "leaderboard",
        "gate",
    ),
    *("store", "plugin", "completion"),
)
"""Commands in the order of the help page; the module of `x` is `auharness.cli.x`."""

INTERRUPTED = 130
BROKEN_PIPE = 141
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)
"""What a disk answers that takes no more."""


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog="auharness",
        description="Benchmark harness for facial action units and dynamic expressions.",
        epilog="Start with: auharness run --model constant --protocol bp4d-3fold --data-size tiny",
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    subparsers = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)
    for verb in VERBS:
        import_module(f"auharness.cli.{verb}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a user error is one line on stderr, a bug keeps its traceback.

    Args:
        argv: arguments without the program's name; default those of the process.
    """
    try:
        code = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except AuharnessError as error:
        return _say(error)
    except KeyboardInterrupt:
        print("auharness: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # the reader has gone: without this, Python complains once more when it flushes stdout at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        if error.strerror is None:  # not from the system, so not the user's to mend
            raise
        place = f"{error.filename}: " if error.filename else ""
        kind = StorageError if error.errno in DISK else DataError
        return _say(kind(f"{place}{error.strerror}; mend the file or the disk, then run the same command again"))


def _say(error: AuharnessError) -> int:
    for line in visible(str(error)).split("\n"):
        print(f"auharness: error: {line}", file=sys.stderr)
    if os.environ.get("AUHARNESS_TRACE", "") not in ("", "0"):
        import traceback

        traceback.print_exc()
    return error.exit_code


def _run(argv: Sequence[str]) -> int:
    verb = next((word for word in argv if not word.startswith("-")), None)
    if verb is not None and verb not in VERBS:
        raise UsageError(f"no command '{verb}'{near(verb, VERBS)} (commands: {', '.join(VERBS)})")
    parser = build_parser()
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:  # argparse leaves this way after --help and after an error
        return stop.code if isinstance(stop.code, int) else 0
    if args.version:
        from auharness import __version__

        print(f"auharness {__version__}")
        return 0
    if not hasattr(args, "handler"):
        parser.print_help()
        return 0
    code: int = args.handler(args)
    return code
