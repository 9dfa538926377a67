"""Which plugins exist, read from file names and package metadata; no plugin is imported.

Shipped plugins are the files of `auharness_plugins.<kind>s`: `au_ttt.py` is `au-ttt`, a leading `_` hides a file. Other
packages register a module in the entry-point group `auharness.<kind>s`; the entry's name is the plugin's name.
`AUHARNESS_BLOCK=a,b` leaves out plugins or whole packages.
"""

import importlib.util
import os
import pkgutil
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder

from auharness.errors import PluginError, UsageError, near

__all__ = ["KINDS", "SHIPPED", "Offer", "blocked", "find_spec", "names", "offers", "require", "third_party"]

KINDS = ("model", "dataset", "protocol")
SHIPPED = "auharness_plugins"
"""Package of the shipped plugins; only ever named as a string, so the core does not import it."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A plugin that a package offers; nothing of it has been imported."""

    kind: str
    name: str
    module: str
    package: str
    """Name of the distribution."""

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}' (package {self.package}, module {self.module})"


def offers(kind: str) -> dict[str, tuple[Offer, ...]]:
    """Return name -> offers of a kind, sorted by name; several offers of one name clash when that name is loaded."""
    found: dict[str, list[Offer]] = {}
    for offer in (*_shipped(kind), *third_party(kind)):
        if not blocked(offer):
            found.setdefault(offer.name, []).append(offer)
    return {name: tuple(found[name]) for name in sorted(found)}


def names(kind: str) -> list[str]:
    """Return the sorted plugin names of a kind: `model`, `dataset` or `protocol`."""
    return list(offers(kind))


def require(kind: str, name: str) -> Offer:
    """Return the only offer of a name.

    Raises:
        UsageError: if no plugin has the name; names the nearest one.
        PluginError: if two packages offer the name.
    """
    found = offers(kind)
    if name not in found:
        raise UsageError(_unknown(kind, name, list(found)))
    if len(found[name]) > 1:
        packages = [offer.package for offer in found[name]]
        raise PluginError(
            f"{kind} '{name}' is offered by the packages {' and '.join(packages)}; "
            f"uninstall one or set AUHARNESS_BLOCK={packages[-1]}"
        )
    return found[name][0]


def blocked(offer: Offer) -> bool:
    """Return whether `AUHARNESS_BLOCK` holds the plugin's name or its package."""
    entries = {_normal(entry) for entry in os.environ.get("AUHARNESS_BLOCK", "").split(",") if entry.strip()}
    return _normal(offer.name) in entries or _normal(offer.package) in entries


def third_party(kind: str) -> tuple[Offer, ...]:
    """Return what other packages offer in the group `auharness.<kind>s`, in the order of package and name."""
    return _entry_points(f"auharness.{kind}s", kind, tuple(sys.path))


def find_spec(module: str) -> ModuleSpec | None:
    """Return the import spec of a dotted module without importing its parent packages."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    path = top
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        path = f"{path}.{part}"
        spec = PathFinder.find_spec(path, spec.submodule_search_locations)
    return spec


def _shipped(kind: str) -> Iterator[Offer]:
    package = f"{SHIPPED}.{kind}s"
    spec = find_spec(package)
    for info in pkgutil.iter_modules(spec.submodule_search_locations if spec else []):
        if not info.name.startswith("_"):
            yield Offer(kind, info.name.replace("_", "-"), f"{package}.{info.name}", "auharness")


@lru_cache  # the scan reads the metadata of every installed package, about 70 ms
def _entry_points(group: str, kind: str, path: tuple[str, ...]) -> tuple[Offer, ...]:
    from importlib.metadata import entry_points

    found = {
        Offer(kind, point.name, point.module, point.dist.name if point.dist else "unknown")
        for point in entry_points(group=group)
    }
    return tuple(sorted(found, key=lambda offer: (offer.package, offer.name, offer.module)))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _unknown(kind: str, name: str, known: list[str]) -> str:
    hint = near(name, known)
    if not hint:
        others = [other for other in KINDS if other != kind and name in offers(other)]
        hint = f"; '{name}' is a {others[0]}" if others else ""
    if blocked(Offer(kind, name, "", "")):
        hint = "; it is left out by AUHARNESS_BLOCK"
    listed = f"{kind}s: {', '.join(known)}" if 0 < len(known) <= 12 else f"run: auharness list {kind}s"
    return f"no {kind} '{name}'{hint} ({listed})"
