"""`auharness show NAME`: what a plugin is, its settings with defaults and descriptions, presets and variants."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from auharness.cli.common import common_options, emit, text_table
from auharness.errors import UsageError, near

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from auharness.api import Plugin
    from auharness.cli.common import Subparsers

__all__ = ["add_parser", "kind_of"]

_FACTS = {
    "model": ("inputs", "score_kind", "pretrained_on", "extra_data"),
    "dataset": ("kind", "aus", "classes", "fps", "layout"),
    "protocol": (
        *("version", "train_on", "test_on", "score_labels", "metrics", "headline", "aggregation", "cluster", "key"),
        "reported",
    ),
}


_SIGNS = (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `show`."""
    parser = subparsers.add_parser(
        "show",
        parents=[common_options()],
        help="show a plugin's paper, settings and presets",
        description="Show what a plugin is; with --json, the JSON schema of its settings.",
    )
    parser.add_argument("name", help="name of a model, dataset or protocol")
    parser.add_argument(
        "--kind", choices=("model", "dataset", "protocol"), help="needed only if two kinds share a name"
    )
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Print one plugin."""
    from auharness.registry import load, require

    kind = kind_of(args.name, args.kind)
    offer = require(kind, args.name)
    plugin = load(kind, args.name)
    emit(
        args,
        plugin.model_json_schema() if args.json else None,
        lambda: "\n\n".join(_sections(plugin, kind, offer.package)),
    )
    return 0


def kind_of(name: str, wanted: str | None = None) -> str:
    """Return the only kind that has a plugin of this name.

    Args:
        name: plugin name.
        wanted: the kind that the user asked for, which decides.

    Raises:
        UsageError: if no kind has the name, or two kinds have it.
    """
    from auharness.registry import KINDS, names

    if wanted:
        return wanted
    found = [kind for kind in KINDS if name in names(kind)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"'{name}' is a {' and a '.join(found)}; say which: auharness show {name} --kind {found[0]}")
    known = [known for kind in KINDS for known in names(kind)]
    raise UsageError(f"no plugin '{name}'{near(name, known)} (run: auharness list)")


def _sections(plugin: type[Plugin], kind: str, package: str) -> Iterator[str]:
    yield f"{plugin.name}: {kind} of the package {package}\n{_title(plugin)}"
    facts = [("paper", plugin.paper)] + [(name, getattr(plugin, name, "")) for name in _FACTS[kind]]
    yield text_table(["", ""], [[name, _plain(value)] for name, value in facts if value not in ("", ())]).lstrip("\n")
    rows = list(_settings(plugin))
    if rows:
        yield "settings\n" + _indent(text_table(["setting", "default", "allowed", "meaning"], rows))
    if plugin.presets:
        shown = [[name, _nested(values) or "the defaults"] for name, values in plugin.presets.items()]
        yield "presets\n" + _indent(text_table(["preset", "sets"], shown))
    if plugin.by_dataset:
        shown = [[name, _nested(values)] for name, values in plugin.by_dataset.items()]
        yield "by training dataset\n" + _indent(text_table(["dataset", "sets"], shown))
    variants = getattr(plugin, "variants", ())
    if variants:
        lines = [f"variants of the ablation\n  {', '.join(variants)}"]
        for words, name in (("each with", "crossed"), ("and the controls", "controls")):
            lines += [f"  {words} {', '.join(found)}"] if (found := getattr(plugin, name)) else []
        yield "\n".join(lines)


def _title(plugin: type[Plugin]) -> str:
    import sys

    module = sys.modules[plugin.__module__].__doc__ or ""
    own = plugin.__dict__.get("__doc__") or ""
    return (module.strip() or own.strip()).partition("\n")[0]


def _settings(plugin: type[BaseModel], prefix: str = "", values: BaseModel | None = None) -> Iterator[list[str]]:
    """Yield setting, default, allowed values and meaning of every field, groups as dotted names."""
    from pydantic import BaseModel

    for name, field in plugin.model_fields.items():
        value = getattr(values, name) if values is not None else field.get_default(call_default_factory=True)
        if isinstance(value, BaseModel):
            yield from _settings(type(value), f"{prefix}{name}.", value)
            continue
        shown = "required" if field.is_required() and values is None else _plain(value)
        yield [f"{prefix}{name}", shown, _allowed(field), field.description or ""]


def _allowed(field: FieldInfo) -> str:
    """Return the type and limits of a setting, e.g. `float >= 0 < 1`, or its choices, e.g. `ffhq | none`."""
    if get_origin(field.annotation) is Literal:
        return " | ".join(str(choice) for choice in get_args(field.annotation))
    kind = str(field.annotation).replace("typing.", "")
    if isinstance(field.annotation, type) and not get_args(field.annotation):
        kind = field.annotation.__name__
    found = [(sign, getattr(limit, name, None)) for limit in field.metadata for name, sign in _SIGNS]
    return " ".join([kind, *(f"{sign} {bound}" for sign, bound in found if bound is not None)])


def _nested(values: Mapping[str, Any], prefix: str = "") -> str:
    parts = []
    for name, value in values.items():
        nested = isinstance(value, Mapping)
        parts.append(_nested(value, f"{prefix}{name}.") if nested else f"{prefix}{name}={_plain(value)}")
    return " ".join(parts)


def _plain(value: object) -> str:
    return ",".join(str(item) for item in value) if isinstance(value, tuple | list) else str(value)


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
