"""The data set whose labels a model is counted with when nobody says which."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from auharness import registry
from auharness.bench.case import accepting, training_sets
from auharness.leaderboard.reported import read_reported

__all__ = ["home", "reported_home"]


def home(model: str, presets: Sequence[str] = (), settings: Mapping[str, Any] | None = None) -> str:
    """Return the data set that trains the protocol under which a paper reports the model, else the first it accepts.

    Where it accepts none, the first that there is, whose refusal says why.

    Raises:
        UsageError: a preset or setting is unknown or wrong.
    """
    return reported_home(model) or next(accepting(model, presets, settings), training_sets()[0])


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
