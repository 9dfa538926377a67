"""Environment variables that a worker process starts with."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

__all__ = ["ONE_THREAD", "added", "cores", "of_harness"]

ONE_THREAD: Final = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
"""One thread for numerical libraries, which read it when they are imported."""


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def of_harness() -> dict[str, str]:
    """Return the caller's `AUHARNESS_*` variables, which a worker on another machine would not have."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith("AUHARNESS_")}


@contextmanager
def added(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the processes that the body starts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
