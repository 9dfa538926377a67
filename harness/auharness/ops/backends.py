"""The dispatch rule that all operators share: a small ordered table, the first backend that does not refuse wins."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

from auharness.errors import UsageError, near

__all__ = ["Backend", "resolve"]

Run = TypeVar("Run", bound=Callable[..., object])


def _never(query: Tensor) -> str | None:
    return None


@dataclass(frozen=True)
class Backend(Generic[Run]):
    """One implementation of an operator.

    Attributes:
        run: the implementation, called with the operator's checked arguments.
        refuses: given the operator's first tensor, why this backend cannot serve it (device, dtype, size), or None.
    """

    run: Run
    refuses: Callable[[Tensor], str | None] = _never


def resolve(operator: str, table: Mapping[str, Backend[Run]], query: Tensor, backend: str | None) -> str:
    """Return the name of the backend that serves `query`: `backend` if given, else the first in the table that can.

    Raises:
        UsageError: `backend` is unknown, or refuses this tensor.
    """
    if backend is None:
        return next(name for name, entry in table.items() if entry.refuses(query) is None)
    if backend not in table:
        raise UsageError(f"{operator} has no backend '{backend}'{near(backend, table)} (backends: {', '.join(table)})")
    reason = table[backend].refuses(query)
    if reason is not None:
        raise UsageError(f"{operator} backend '{backend}' cannot be used here: {reason}; leave backend unset to choose")
    return backend
