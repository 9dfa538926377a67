"""Nested settings from flags, environment variables and configuration files."""

import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from auharness.errors import UsageError, near

__all__ = ["environment_settings", "flat_settings", "parse_set", "read_toml", "refuse_unending"]

ENVIRONMENT_PREFIX = "AUHARNESS_SET__"
TABLES = ("model", "data", "data_roots", "run")
LARGEST_FILE = 1_000_000
"""Bytes of a configuration file: one that says more was not written by hand."""


def parse_set(assignments: Sequence[str], *, flag: str = "--set") -> dict[str, Any]:
    """Return nested settings from `KEY=VALUE` texts; a value is a TOML value, or else the text itself; the last wins.

    >>> parse_set(["recipe.epochs=6", "mixer=attention", "mean=[0.5, 0.5]"])
    {'recipe': {'epochs': 6}, 'mixer': 'attention', 'mean': [0.5, 0.5]}

    Raises:
        UsageError: if a text is not `KEY=VALUE`, a setting is used both as a value and as a group, or a number is
            infinite or none.
    """
    nested: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not all(key.split(".")):
            raise UsageError(f"{flag} {text}: expected KEY=VALUE, e.g. --set recipe.epochs=6")
        _put(nested, key, _toml_value(value.strip()))
    refuse_unending(nested, "--set ")
    return nested


def flat_settings(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted setting and value of nested settings.

    >>> dict(flat_settings({"recipe": {"epochs": 6}, "mixer": "attention"}))
    {'recipe.epochs': 6, 'mixer': 'attention'}
    """
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat_settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def refuse_unending(values: object, place: str) -> None:
    """Refuse infinities and NaN: no setting means them, and no record can hold them.

    Args:
        values: nested tables, lists and plain values.
        place: what stands before the key in the message.

    Raises:
        UsageError: naming the first such number.
    """
    if isinstance(values, float) and not math.isfinite(values):
        raise UsageError(f"{place} is {values}, expected a finite number")
    items: Iterable[tuple[object, object]] = ()
    if isinstance(values, Mapping):
        items = values.items()
    elif isinstance(values, list | tuple):
        items = enumerate(values)
    for key, value in items:
        refuse_unending(value, f"{place}{key}" if place.endswith(" ") else f"{place}.{key}")


def environment_settings(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return nested settings from the variables that start with `AUHARNESS_SET__`.

    >>> environment_settings({"AUHARNESS_SET__RECIPE__EPOCHS": "6", "HOME": "/root"})
    {'recipe': {'epochs': 6}}

    Raises:
        UsageError: if a setting is used both as a value and as a group.
    """
    found = sorted(name for name in environment if name.startswith(ENVIRONMENT_PREFIX))
    keys = {name: name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".") for name in found}
    return parse_set([f"{keys[name]}={environment[name]}" for name in found])


def read_toml(path: Path) -> dict[str, dict[str, Any]]:
    """Return the tables `model`, `data`, `data_roots` and `run` of a configuration file; absent tables are empty.

    A relative data root is taken from the folder of the file.

    Raises:
        UsageError: if the file is missing or is not TOML, or holds anything but these tables.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UsageError(f"{path}: {path.stat().st_size} bytes, expected a TOML file of at most {LARGEST_FILE}")
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); expected a TOML file") from error
    except RecursionError:
        raise UsageError(f"{path}: not a TOML file of settings: nested too deeply") from None
    except ValueError as error:  # also of text that is not UTF-8, and of numbers of thousands of digits
        raise UsageError(f"{path}: not a TOML file: {error}") from error
    refuse_unending(content, f"{path}: ")
    for name, table in content.items():
        if name not in TABLES:
            known = ", ".join(f"[{table}]" for table in TABLES)
            raise UsageError(f"{path}: unknown entry '{name}'{near(name, TABLES)} (tables: {known})")
        if not isinstance(table, dict):
            raise UsageError(f"{path}: '{name}' is {table!r}, expected the table [{name}]")
    tables = {name: dict(content.get(name, {})) for name in TABLES}
    for dataset, root in tables["data_roots"].items():
        if not isinstance(root, str):
            raise UsageError(f"{path}: data_roots.{dataset} is {root!r}, expected a path")
        tables["data_roots"][dataset] = str(path.parent / Path(root).expanduser())
    return tables


def _toml_value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    value = parsed["value"]
    # a text with a line break may parse as two entries, and a bare date is meant as text
    return value if len(parsed) == 1 and isinstance(value, str | int | float | list | dict) else text


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *groups, last = key.split(".")
    for depth, group in enumerate(groups):
        inner = tree.get(group)
        if inner is None:
            inner = tree[group] = {}
        if not isinstance(inner, dict):
            raise UsageError(f"{key}: '{'.'.join(groups[: depth + 1])}' is already set to {inner!r}, not a group")
        tree = inner
    if isinstance(tree.get(last), dict) and not isinstance(value, dict):
        raise UsageError(f"{key}={value!r}: '{key}' is already used as a group of settings")
    tree[last] = value
