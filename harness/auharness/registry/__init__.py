"""Plugins: names without importing them, one class on request, their sources and digests, and the observers."""

from auharness.registry.loading import EXTRAS, load, load_file
from auharness.registry.names import KINDS, Offer, names, offers, require
from auharness.registry.observers import notify, observers
from auharness.registry.source import code_digest, culprit, plugin_digest, source_digest, source_file

__all__ = [
    "EXTRAS",
    "KINDS",
    "Offer",
    "code_digest",
    "culprit",
    "load",
    "load_file",
    "names",
    "notify",
    "observers",
    "offers",
    "plugin_digest",
    "require",
    "source_digest",
    "source_file",
]
