"""Units on this machine: in this process, or in a pool of fresh ones that outlives the death of a worker."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

__all__ = ["run_local"]

Spec = TypeVar("Spec")

ATTEMPTS = 2
"""How often a unit whose process died is tried in all."""


def run_local(
    work: Callable[[Spec], str | None],
    specs: Sequence[Spec],
    *,
    jobs: int,
    tick: Callable[[], None] = lambda: None,
) -> list[tuple[Spec, str]]:
    """Do `work` on every spec and return the failed ones with their reason.

    Args:
        work: a module-level function; returns None, or the reason of a failure. It must leave its result on disk.
        specs: picklable.
        jobs: processes at once; 1 works in this process.
        tick: called a few times per second while units run, to show progress.
    """
    if jobs == 1 or len(specs) == 1:
        failures = []
        for spec in specs:
            reason = work(spec)
            tick()
            if reason is not None:
                failures.append((spec, reason))
        return failures
    return _pooled(work, specs, jobs=jobs, tick=tick)


def _pooled(
    work: Callable[[Spec], str | None], specs: Sequence[Spec], *, jobs: int, tick: Callable[[], None]
) -> list[tuple[Spec, str]]:
    waiting = [(spec, 1) for spec in specs]
    failures: list[tuple[Spec, str]] = []
    while waiting:
        round_, waiting = waiting, []
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(min(jobs, len(round_)), mp_context=context, initializer=_one_thread)
        try:
            futures = {pool.submit(work, spec): (spec, tried) for spec, tried in round_}
            for spec, tried, reason in _collect(futures, tick):
                if reason == DIED and tried < ATTEMPTS:
                    waiting.append((spec, tried + 1))
                elif reason is not None:
                    failures.append((spec, reason))
        except BaseException:
            _kill(pool)
            raise
        pool.shutdown()
    return failures


DIED = "the worker process died (killed, or out of memory)"


def _collect(futures: dict[Future[str | None], Any], tick: Callable[[], None]) -> list[tuple[Any, int, str | None]]:
    results = []
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=0.25, return_when=FIRST_COMPLETED)
        tick()
        for future in done:
            spec, tried = futures[future]
            try:
                reason = future.result()
            except BrokenProcessPool:
                reason = DIED
            results.append((spec, tried, reason))
    return results


def _one_thread() -> None:
    """Numerical libraries of a worker start with one thread each."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"


def _kill(pool: ProcessPoolExecutor) -> None:
    workers = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.kill()
