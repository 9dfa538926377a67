"""Units as tasks of a Ray cluster: one that runs already, or one that is started on this machine for the run.

A task whose worker or node dies is tried again by Ray, and goes on from the unit's last checkpoint. All nodes must see
the folders of runs, crops and data under the same paths, and have the same harness installed.
"""

import logging
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from auharness.errors import UsageError
from auharness.executors.environment import ONE_THREAD, added, cores, of_harness
from auharness.executors.local import TICK_S
from auharness.executors.resources import RayResources

__all__ = ["run_ray"]

Spec = TypeVar("Spec")

QUIET: Final = {"RAY_DEDUP_LOGS_SKIP_REGEX": "."}
"""Read when ray is imported: no line of the cluster's own log is mixed into what a command prints."""
ALONE: Final = {
    # the name speaks of other systems; on all of them it decides whether the loopback address is enough
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # hides the GPUs from units that asked for none
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
}
"""For a cluster of our own: reachable from this machine only, and it reports nothing to anyone."""


def run_ray(
    work: Callable[[Spec], str | None],
    specs: Sequence[Spec],
    *,
    resources: RayResources,
    jobs: int | None = None,
    tick: Callable[[], None] = lambda: None,
    ended: Callable[[Spec, str | None], None] = lambda spec, reason: None,
) -> list[tuple[Spec, str]]:
    """Do `work` on every spec and return the failed ones with their reason, in the order of the specs.

    Args:
        work: as for `run_local`; runs in a worker of the cluster.
        specs: picklable.
        resources: of each unit.
        jobs: tasks at once; None for as many as the cluster holds.
        tick: called a few times per second while units run, to show progress.
        ended: called in this thread when a unit ends, with the reason of its failure or None.

    Raises:
        UsageError: if no cluster answers at the address, or a cluster on this machine cannot hold a unit.
    """
    address = resources.address or os.environ.get("RAY_ADDRESS", "")
    address = "" if address == "local" else address
    with added(QUIET if address else QUIET | ALONE):
        import ray
    with _cluster(ray, address, jobs=jobs or 1, resources=resources):
        task = ray.remote(
            num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=resources.retries, retry_exceptions=False
        )(work)
        failures = _run_tasks(ray, task, specs, limit=jobs or len(specs), tick=tick, ended=ended)
    return [(specs[number], failures[number]) for number in sorted(failures)]


def _run_tasks(
    ray: Any,
    task: Any,
    specs: Sequence[Spec],
    *,
    limit: int,
    tick: Callable[[], None],
    ended: Callable[[Spec, str | None], None],
) -> dict[int, str]:
    """Return the reasons of the failed specs by their number; whatever ends this ends the tasks."""
    failures: dict[int, str] = {}
    waiting, running = list(range(len(specs))), dict[Future[str | None], tuple[int, Any]]()
    try:
        while waiting or running:
            while waiting and len(running) < limit:
                reference = task.remote(specs[waiting[0]])
                running[reference.future()] = waiting.pop(0), reference
            # not by ray.wait, which takes every signal for Ctrl-C
            done, _ = wait(running, timeout=TICK_S, return_when=FIRST_COMPLETED)
            tick()
            for future in done:
                number, _ = running.pop(future)
                reason = _reason(ray, future)
                if reason is not None:
                    failures[number] = reason
                ended(specs[number], reason)
    finally:
        for _, reference in running.values():
            ray.cancel(reference, force=True)
    return failures


def _reason(ray: Any, future: "Future[str | None]") -> str | None:
    """Return what a task that ended returned, or why it did not return."""
    try:
        return future.result()
    except ray.exceptions.RayTaskError as error:  # the work function could not even be called
        return f"{type(error.cause).__name__}: {error.cause}"
    except ray.exceptions.RayError as error:
        return f"its worker died each time it was tried: killed or out of memory ({type(error).__name__})"


@contextmanager
def _cluster(ray: Any, address: str, *, jobs: int, resources: RayResources) -> Iterator[None]:
    """Join the cluster that is meant, or start one; leave it as it was found."""
    if ray.is_initialized():
        yield
        return
    try:
        with _own_signals():
            if address:
                _join(ray, address)
            else:
                _start(ray, jobs, resources)
        yield
    finally:
        ray.shutdown()


def _join(ray: Any, address: str) -> None:
    try:
        ray.init(address=address, **_common())
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"Ray cluster {address}: cannot be joined ({reason}); start one with 'ray start --head', or unset "
            "RAY_ADDRESS to have one started for the run"
        ) from None


def _start(ray: Any, jobs: int, resources: RayResources) -> None:
    there = max(cores(), jobs * resources.cpus)
    # a unit that does not fit into memory is tried as often as one whose worker died, not for ever
    with added(ALONE | {"RAY_task_oom_retries": str(resources.retries)}):
        ray.init(address="local", num_cpus=math.ceil(there), include_dashboard=False, **_common())
    gpus = ray.cluster_resources().get("GPU", 0)
    if resources.gpus > gpus:  # one that was joined may still grow
        raise UsageError(
            f"resources: a unit asks for {resources.gpus:g} GPUs, this machine has {gpus:g}; give another number with "
            "--resources gpus=..., or join a cluster with RAY_ADDRESS"
        )


def _common() -> dict[str, Any]:
    variables = {**ONE_THREAD, **of_harness()}
    return {"log_to_driver": False, "logging_level": logging.ERROR, "runtime_env": {"env_vars": variables}}


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the caller's handler of SIGTERM, which ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
