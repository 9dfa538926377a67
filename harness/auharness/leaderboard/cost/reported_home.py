"""The data set under whose protocol a paper reports a model."""

from collections.abc import Mapping
from functools import cache

from auharness import registry
from auharness.leaderboard.reported import read_reported

__all__ = ["reported_home"]


def reported_home(model: str) -> str:
    """Return the data set that trains the first protocol under which a paper reports the model; empty for none."""
    return _reported().get(model, "")


@cache
def _reported() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name in registry.names("protocol"):
        plugin = registry.load("protocol", name)
        for row in (row for table in read_reported(plugin) for row in table.rows if row.model):
            found.setdefault(row.model, plugin.train_on[0])
    return found
