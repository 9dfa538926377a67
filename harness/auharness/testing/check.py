"""One named check and its outcome, and the checks that hold for every kind of plugin."""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from auharness.api import Plugin, Settings
from auharness.registry import culprit
from auharness.settings import resolve

__all__ = ["Check", "Failed", "Step", "expect", "plugin_steps", "run_stages"]

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

Step = tuple[str, Callable[[], None]]
"""What must hold, and a function that raises if it does not."""


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check."""

    name: str
    """What must hold, as a sentence."""
    passed: bool
    message: str = ""
    """Why it failed: expected, got, and the line of the plugin if it raised."""


class Failed(Exception):
    """Raised by a check that does not hold."""


def expect(holds: bool, message: str) -> None:
    """Fail the running check unless `holds`."""
    if not holds:
        raise Failed(message)


def run_stages(plugin: type[Plugin], stages: Sequence[Sequence[Step]]) -> list[Check]:
    """Run the stages in order and stop after the first in which a check fails: the later ones build on it."""
    file = getattr(sys.modules.get(plugin.__module__), "__file__", None)
    source = Path(file) if file else None
    if source is not None and source.name == "__init__.py":
        source = source.parent
    done: list[Check] = []
    for stage in stages:
        done += [_outcome(name, step, source) for name, step in stage]
        if not all(check.passed for check in done):
            break
    return done


def plugin_steps(plugin: type[Plugin], required: dict[str, Any] | None = None) -> list[Step]:
    """Return the checks of names and settings.

    Args:
        plugin: the class.
        required: values of settings without a default, e.g. a dataset's root.
    """
    values = required or {}
    return [
        ("the name is lower case with hyphens", lambda: _name(plugin)),
        ("settings survive JSON", lambda: _json(plugin(**values))),
        ("settings are frozen", lambda: _frozen(plugin(**values))),
        ("every preset and by_dataset entry resolves", lambda: _presets(plugin, values)),
    ]


def _outcome(name: str, step: Callable[[], None], source: Path | None) -> Check:
    try:
        step()
    except Failed as failure:
        return Check(name, False, str(failure))
    except Exception as error:  # a plugin may raise anything
        line = culprit(error, source)
        text = " ".join(str(error).split())
        return Check(name, False, f"{type(error).__name__}: {text}{f' ({line})' if line else ''}")
    return Check(name, True)


def _name(plugin: type[Plugin]) -> None:
    expect(bool(NAME.fullmatch(plugin.name)), f"expected e.g. 'my-net', got '{plugin.name}'")


def _json(plugin: Plugin) -> None:
    again = type(plugin).model_validate_json(plugin.model_dump_json())
    expect(again == plugin, f"expected the same settings from model_dump_json, got {again!r}")


def _frozen(plugin: Settings, prefix: str = "") -> None:
    for name in type(plugin).model_fields:
        value = getattr(plugin, name)
        try:
            setattr(plugin, name, value)
        except ValidationError:
            pass
        else:
            raise Failed(f"expected an error when {prefix}{name} is set, got none; keep model_config frozen")
        if isinstance(value, Settings):
            _frozen(value, f"{prefix}{name}.")
        expect(not isinstance(value, list | dict | set), f"{prefix}{name} can be changed in place; expected a tuple")


def _presets(plugin: type[Plugin], values: dict[str, Any]) -> None:
    variants = getattr(plugin, "variants", ())
    unknown = [name for name in variants if name not in plugin.presets]
    expect(not unknown, f"expected every variant among the presets, got {', '.join(unknown)}")
    wanted: list[tuple[str, ...]] = [("paper",), *((name,) for name in plugin.presets)]
    if "tiny" in plugin.presets:
        wanted += [("tiny", name) for name in variants]
    layers = [("check", values)]
    for presets in wanted:
        resolve(plugin, presets=presets, layers=layers)
    for dataset in plugin.by_dataset:
        resolve(plugin, dataset=dataset, layers=layers)
