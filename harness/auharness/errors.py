"""The exception tree: one class per exit code, so the command line prints one line and never a traceback.

AuharnessError                     1  internal error
├── UsageError                     2  a flag, a setting or a name is wrong
│   └── PluginError                2  a plugin is broken, misnamed or clashes
├── DataError                      3  data, weights or an optional package are missing or bad
├── UnitsFailedError               4  some units failed; the finished ones are kept
│   └── StorageError               4  the disk took no more: full, over quota, read-only or broken
├── RegressionError                5  a gate found a regression
├── InconclusiveError              6  two results cannot be compared or separated
├── IntegrityError                 7  a stored record does not match its digest
└── PreemptedError                75  the machine asked the process to end; run the command again to go on
"""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "AuharnessError",
    "DataError",
    "InconclusiveError",
    "IntegrityError",
    "PluginError",
    "PreemptedError",
    "RegressionError",
    "StorageError",
    "UnitsFailedError",
    "UsageError",
    "near",
]


class AuharnessError(Exception):
    """Base of all errors that a user may see; `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(AuharnessError):
    """A flag, a setting or a name is wrong."""

    exit_code = 2


class PluginError(UsageError):
    """A plugin cannot be used: import failure, wrong hook, wrong name, or two distributions with one name."""


class DataError(AuharnessError):
    """Data, weights or an optional package are missing or bad."""

    exit_code = 3


class UnitsFailedError(AuharnessError):
    """Some units failed; the finished ones are kept and the command can be repeated."""

    exit_code = 4


class StorageError(UnitsFailedError):
    """A file could not be written: disk full, over quota, read-only, broken; what was finished before is kept."""


class RegressionError(AuharnessError):
    """A gate found a regression."""

    exit_code = 5


class InconclusiveError(AuharnessError):
    """Two results cannot be compared, or the evidence does not decide."""

    exit_code = 6


class IntegrityError(AuharnessError):
    """A stored record does not match its digest."""

    exit_code = 7


class PreemptedError(AuharnessError):
    """The machine asked the process to end (SIGTERM); finished units and checkpoints are kept."""

    exit_code = 75


def near(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the closest known name, or an empty string.

    >>> near("au-tt", ["au-ttt", "constant"])
    "; did you mean 'au-ttt'?"
    >>> near("zzz", ["au-ttt"])
    ''
    """
    matches = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{matches[0]}'?" if matches else ""
