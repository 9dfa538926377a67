"""Independent chains of a CPU kernel over torch's threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

__all__ = ["over_threads"]


def over_threads(work: Callable[[int, int], None], chains: int) -> None:
    """Call `work(start, stop)` on consecutive ranges that cover `chains`, one per thread that torch may use.

    `work` must release the interpreter lock and write only what belongs to its range. The pool lives for one call:
    threads that stay would not survive a fork.

    Args:
        work: called once per range, at the same time.
        chains: number of independent pieces.
    """
    threads = min(torch.get_num_threads(), chains)
    if threads <= 1:
        work(0, chains)
        return
    edges = [chains * part // threads for part in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))
