"""What the benchmarks share: taking turns on a machine that other work disturbs."""

import time
from collections.abc import Callable, Sequence

__all__ = ["milliseconds"]


def milliseconds(jobs: Sequence[Callable[[], object]], *, seconds: float = 3.0) -> list[float]:
    """Return the least CPU time of each job; they take turns, and each has so many seconds but at least one turn."""
    best, left = [float("inf")] * len(jobs), [seconds] * len(jobs)
    while any(rest > 0 for rest in left):
        for i, call in enumerate(jobs):
            if left[i] > 0:
                start = time.process_time()
                call()
                spent = time.process_time() - start
                best[i], left[i] = min(best[i], 1e3 * spent), left[i] - spent
    return best
