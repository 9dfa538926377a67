"""The data set whose labels a model is counted with when nobody says which."""

from collections.abc import Mapping, Sequence
from typing import Any

from auharness.bench.case import accepting
from auharness.bench.naming import training_sets
from auharness.leaderboard.cost.reported_home import reported_home

__all__ = ["home"]


def home(model: str, presets: Sequence[str] = (), settings: Mapping[str, Any] | None = None) -> str:
    """Return the data set that trains the protocol under which a paper reports the model, else the first it accepts.

    Where it accepts none, the first that there is, whose refusal says why.

    Raises:
        UsageError: a preset or setting is unknown or wrong.
    """
    return reported_home(model) or next(accepting(model, presets, settings), training_sets()[0])
