"""The garbage collector at rest while a board is made.

Ten thousand records are millions of small objects without a cycle among them; looking for one again and again takes a
quarter of the build.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collector_at_rest"]


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Let nothing be searched for cycles meanwhile; also a decorator."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
