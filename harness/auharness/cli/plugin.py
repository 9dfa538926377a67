"""`auharness plugin new` writes a plugin that already passes the check; `auharness plugin check` runs the check."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from auharness.cli.common import Parser, common_options, emit, say
from auharness.errors import PluginError, UsageError

if TYPE_CHECKING:
    from auharness.cli.common import Subparsers
    from auharness.testing import Check

__all__ = ["add_parser"]

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_KINDS = ("model", "dataset", "protocol")


def add_parser(subparsers: Subparsers) -> None:
    """Add the commands `plugin new` and `plugin check`."""
    parser = subparsers.add_parser("plugin", help="write a new plugin, or check one", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser, required=True)
    new = commands.add_parser(
        "new",
        parents=[common_options()],
        help="write a plugin file that passes the check",
        description="Write one plugin file; with --package, a folder that pip can install.",
    )
    new.add_argument("kind", choices=_KINDS)
    new.add_argument("name", help="lower case with hyphens, e.g. my-net")
    new.add_argument("--package", type=Path, metavar="DIR", help="write DIR/pyproject.toml and the plugin beside it")
    new.add_argument("--dataset", default="bp4d", help="dataset of a new protocol (default: %(default)s)")
    new.set_defaults(handler=_new)
    check = commands.add_parser(
        "check",
        parents=[common_options()],
        help="run the contract on a plugin",
        description="Run the contract on a plugin: seconds, and no data is needed.",
    )
    check.add_argument("plugin", metavar="NAME|PATH", help="an installed plugin, or a plugin file")
    check.add_argument("--kind", choices=_KINDS, help="needed only if two kinds share a name")
    check.add_argument("--root", type=Path, metavar="DIR", help="also read this folder with a dataset plugin")
    check.set_defaults(handler=_check)


def _new(args: argparse.Namespace) -> int:
    if not _NAME.fullmatch(args.name):
        raise UsageError(f"name '{args.name}': expected lower case, digits and single hyphens, e.g. my-net")
    files = _files(args)
    for path in files:
        if path.exists():
            raise UsageError(f"{path} exists; choose another name, or delete it first")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    plugin = next(path for path in files if path.suffix == ".py")
    emit(args, [str(path) for path in files], "\n".join(f"wrote {path}" for path in files))
    install = f"pip install -e {args.package}" if args.package else "install it as a package (--package DIR) to run it"
    say(args, f"next: auharness plugin check {plugin}; then {install}")
    return 0


def _files(args: argparse.Namespace) -> dict[Path, str]:
    """Return path -> content of the files to write."""
    stem = args.name.replace("-", "_")
    module = f"auharness_{stem}" if args.package else stem
    fields = {
        "name": args.name,
        "title": args.name,
        "cls": "".join(part.capitalize() for part in args.name.split("-")),
        "dataset": args.dataset,
        "kind": args.kind,
        "module": module,
        "package": f"auharness-{args.name}",
    }
    plugin = _template(f"{args.kind}.py", fields)
    if args.package is None:
        return {Path(f"{module}.py"): plugin}
    return {
        args.package / f"{module}.py": plugin,
        args.package / "pyproject.toml": _template("pyproject.toml", fields),
    }


def _template(name: str, fields: dict[str, str]) -> str:
    path = Path(__file__).parent / "templates" / f"{name}.txt"
    return Template(path.read_text(encoding="utf-8")).substitute(fields)


def _check(args: argparse.Namespace) -> int:
    kind, plugin = _find(args)
    if args.root is not None and kind != "dataset":
        raise UsageError(f"--root is for datasets; '{plugin.name}' is a {kind}")
    if args.root is not None and not args.root.is_dir():
        raise UsageError(f"--root {args.root}: no such folder")
    checks = _run(kind, plugin, args.root)
    result = {"kind": kind, "name": plugin.name, "checks": [asdict(check) for check in checks]}
    emit(args, result, lambda: "\n".join(_lines(checks, quiet=args.quiet)))
    failed = [check for check in checks if not check.passed]
    if failed:
        raise PluginError(f"{kind} '{plugin.name}': {len(failed)} of {len(checks)} checks failed")
    say(args, f"{kind} '{plugin.name}' passes {len(checks)} checks")
    return 0


def _find(args: argparse.Namespace) -> tuple[str, Any]:
    """Return kind and class of an installed plugin or of a file."""
    from auharness.cli.show import kind_of
    from auharness.registry import load, load_file

    if args.plugin.endswith(".py") or "/" in args.plugin:
        return load_file(Path(args.plugin))
    kind = kind_of(args.plugin, args.kind)
    return kind, load(kind, args.plugin)


def _run(kind: str, plugin: Any, root: Path | None) -> list[Check]:
    import warnings

    from auharness.testing import check_dataset, check_model, check_protocol

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks of torch are not about the plugin
        if kind == "dataset":
            return check_dataset(plugin, root)
        return check_model(plugin) if kind == "model" else check_protocol(plugin)


def _lines(checks: Sequence[Check], *, quiet: bool) -> list[str]:
    shown = [check for check in checks if not (quiet and check.passed)]
    return [
        f"ok      {check.name}" if check.passed else f"failed  {check.name}\n        {check.message}" for check in shown
    ]
