"""Units on this machine: in this process, or in worker processes of which one may die without harm to the others."""

import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Generic, TypeVar

__all__ = ["run_local"]

Spec = TypeVar("Spec")

ATTEMPTS = 2
"""How often a unit whose process died is tried in all."""
DIED = "the worker process died (killed, or out of memory)"


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
        tick: called a few times per second while units run (after each unit when `jobs` is 1), to show progress.
    """
    if jobs > 1 and len(specs) > 1:
        return _Slots(work, specs).run(min(jobs, len(specs)), tick)
    failures = []
    for spec in specs:
        reason = work(spec)
        tick()
        if reason is not None:
            failures.append((spec, reason))
    return failures


class _Slots(Generic[Spec]):
    """One worker process per slot, renewed when it dies; a slot takes the next spec when it is free."""

    def __init__(self, work: Callable[[Spec], str | None], specs: Sequence[Spec]) -> None:
        self.work = work
        self.waiting: queue.SimpleQueue[Spec] = queue.SimpleQueue()
        for spec in specs:
            self.waiting.put(spec)
        self.failures: list[tuple[Spec, str]] = []
        self.pools: dict[int, ProcessPoolExecutor] = {}
        self.stopped = False

    def run(self, slots: int, tick: Callable[[], None]) -> list[tuple[Spec, str]]:
        threads = [threading.Thread(target=self._slot, args=(number,), daemon=True) for number in range(slots)]
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                threads[0].join(0.25) if threads[0].is_alive() else threads[-1].join(0.25)
                tick()
        finally:
            self._stop()
        tick()
        return self.failures

    def _slot(self, number: int) -> None:
        while not self.stopped:
            try:
                spec = self.waiting.get_nowait()
            except queue.Empty:
                return
            reason = self._attempts(number, spec)
            if reason is not None:
                self.failures.append((spec, reason))

    def _attempts(self, number: int, spec: Spec) -> str | None:
        for _ in range(ATTEMPTS):
            pool = self.pools.get(number) or self._new_pool(number)
            try:
                return pool.submit(self.work, spec).result()
            except BrokenProcessPool:
                self.pools.pop(number, None)
                if self.stopped:
                    break
            except Exception as error:  # the work function could not even be called; the unit fails, the others go on
                return f"{type(error).__name__}: {error}"
        return DIED

    def _new_pool(self, number: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        self.pools[number] = ProcessPoolExecutor(1, mp_context=context, initializer=_one_thread)
        return self.pools[number]

    def _stop(self) -> None:
        self.stopped = True
        for pool in list(self.pools.values()):
            for worker in list((pool._processes or {}).values()):
                worker.kill()
            pool.shutdown(wait=False, cancel_futures=True)


def _one_thread() -> None:
    """Numerical libraries of a worker start with one thread each."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
