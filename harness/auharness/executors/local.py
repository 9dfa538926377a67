"""Units on this machine: in this process, or in worker processes of which one may die without harm to the others."""

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Generic, TypeVar

from auharness.executors.environment import ONE_THREAD

__all__ = ["run_local", "start_worker"]

Spec = TypeVar("Spec")

ATTEMPTS = 2
"""How often a unit whose process died is tried in all."""
DIED = (
    "the worker process died: killed, out of memory, or a script that calls the harness without "
    "`if __name__ == '__main__':` (with jobs=1 it needs none)"
)
TICK_S = 0.25
"""Seconds between two looks at the progress."""


def run_local(
    work: Callable[[Spec], str | None],
    specs: Sequence[Spec],
    *,
    jobs: int,
    tick: Callable[[], None] = lambda: None,
    ended: Callable[[Spec, str | None], None] = lambda spec, reason: None,
) -> list[tuple[Spec, str]]:
    """Do `work` on every spec and return the failed ones with their reason, in the order of the specs.

    Args:
        work: a module-level function; returns None, or the reason of a failure. It must leave its result on disk.
        specs: picklable.
        jobs: processes at once; 1 works in this process.
        tick: called a few times per second while units run, to show progress; from one thread at a time.
        ended: called in this thread when a unit ends, with the reason of its failure or None.
    """
    if jobs > 1 and len(specs) > 1:
        return _Slots(work, specs, ended).run(min(jobs, len(specs)), tick)
    failures = []
    for spec in specs:
        with _ticking(tick):
            reason = work(spec)
        ended(spec, reason)
        if reason is not None:
            failures.append((spec, reason))
    return failures


@contextmanager
def _ticking(tick: Callable[[], None]) -> Iterator[None]:
    """Call `tick` from a helper thread while the body works, and once at the end."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(TICK_S):
            tick()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        tick()


class _Slots(Generic[Spec]):
    """One worker process per slot, renewed when it dies; a slot takes the next spec when it is free."""

    def __init__(
        self,
        work: Callable[[Spec], str | None],
        specs: Sequence[Spec],
        ended: Callable[[Spec, str | None], None],
    ) -> None:
        self.work, self.specs, self.ended = work, specs, ended
        self.waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(len(specs)):
            self.waiting.put(number)
        self.results: queue.SimpleQueue[tuple[int, str | None]] = queue.SimpleQueue()
        self.failures: dict[int, str] = {}
        self.pools: dict[int, ProcessPoolExecutor] = {}
        self.stopped = False

    def run(self, slots: int, tick: Callable[[], None]) -> list[tuple[Spec, str]]:
        threads = [threading.Thread(target=self._slot, args=(slot,), daemon=True) for slot in range(slots)]
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                for thread in threads:
                    thread.join(TICK_S / slots)
                tick()
                self._report()
            self._report()
        finally:
            self._stop()
        return [(self.specs[number], self.failures[number]) for number in sorted(self.failures)]

    def _report(self) -> None:
        while not self.results.empty():
            number, reason = self.results.get()
            if reason is not None:
                self.failures[number] = reason
            self.ended(self.specs[number], reason)

    def _slot(self, slot: int) -> None:
        while not self.stopped:
            try:
                number = self.waiting.get_nowait()
            except queue.Empty:
                return
            self.results.put((number, self._attempts(slot, self.specs[number])))

    def _attempts(self, slot: int, spec: Spec) -> str | None:
        for _ in range(ATTEMPTS):
            pool = self.pools.get(slot) or self._new_pool(slot)
            try:
                return pool.submit(self.work, spec).result()
            except BrokenProcessPool:
                self.pools.pop(slot, None)
                if self.stopped:
                    break
            except Exception as error:  # the work function could not even be called; the unit fails, the others go on
                return f"{type(error).__name__}: {error}"
        return DIED

    def _new_pool(self, slot: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        self.pools[slot] = ProcessPoolExecutor(1, mp_context=context, initializer=start_worker)
        return self.pools[slot]

    def _stop(self) -> None:
        self.stopped = True
        for pool in list(self.pools.values()):
            for worker in list((pool._processes or {}).values()):
                worker.kill()
            pool.shutdown(wait=False, cancel_futures=True)


def start_worker() -> None:
    """One thread for numerical libraries; the parent decides what an interrupt means, and its death ends the worker."""
    os.environ.update(ONE_THREAD)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
