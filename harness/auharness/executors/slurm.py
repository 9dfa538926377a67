"""Units as jobs of a Slurm cluster, submitted and watched through submitit.

A job that is preempted or reaches its time limit is queued again by submitit and goes on from the unit's last
checkpoint; one that died is submitted again. Whoever interrupts the run cancels its jobs, and the same command goes on.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

import psutil
import submitit
from submitit.core.utils import FailedJobError, UncompletedJobError

from auharness.errors import UsageError
from auharness.executors.environment import ONE_THREAD, added
from auharness.executors.local import TICK_S
from auharness.executors.resources import SlurmResources

__all__ = ["run_slurm"]

Spec = TypeVar("Spec")

OUTLASTED = 20
"""How often a job may reach its time limit: a unit of a week under a limit of nine hours."""


def run_slurm(
    work: Callable[[Spec], str | None],
    specs: Sequence[Spec],
    *,
    folder: Path,
    resources: SlurmResources,
    jobs: int | None = None,
    tick: Callable[[], None] = lambda: None,
    ended: Callable[[Spec, str | None], None] = lambda spec, reason: None,
) -> list[tuple[Spec, str]]:
    """Do `work` on every spec and return the failed ones with their reason, in the order of the specs.

    Args:
        work: as for `run_local`; runs in a job.
        specs: picklable.
        folder: receives the files of the jobs, their output among them; kept.
        resources: of each unit.
        jobs: jobs at once; None for as many as the cluster gives.
        tick: called a few times per second while jobs run, to show progress.
        ended: called in this thread when a unit ends, with the reason of its failure or None.

    Raises:
        UsageError: if there is no Slurm here, or it refuses the jobs.
    """
    return _Queue(work, specs, _executor(folder, jobs, resources), resources).run(jobs, tick, ended)


def _executor(folder: Path, jobs: int | None, resources: SlurmResources) -> Any:
    try:
        executor = submitit.AutoExecutor(
            folder=folder, cluster=resources.cluster, **{f"{resources.cluster}_max_num_timeout": OUTLASTED}
        )
    except RuntimeError:
        raise UsageError(
            "--executor slurm: no 'srun' on this machine; call it on a login node, or try it here with --resources "
            "cluster=local"
        ) from None
    executor.update_parameters(
        name="auharness",
        timeout_min=resources.minutes,
        cpus_per_task=resources.cpus,
        gpus_per_node=resources.gpus or None,
        mem_gb=resources.mem_gb,
        slurm_partition=resources.partition,
        slurm_account=resources.account,
        slurm_qos=resources.qos,
        slurm_constraint=resources.constraint,
        slurm_array_parallelism=jobs,
    )
    return executor


class _Unit(Generic[Spec]):
    """The work as a job does it; `checkpoint` tells submitit that a job which was stopped may be queued again."""

    def __init__(self, work: Callable[[Spec], str | None]) -> None:
        self.work = work

    def __call__(self, spec: Spec) -> str | None:
        _leave_at_once()
        try:
            return self.work(spec)
        except Exception as error:  # the work function could not even be called; the unit fails, the others go on
            return f"{type(error).__name__}: {error}"

    def checkpoint(self, spec: Spec) -> Any:
        return submitit.helpers.DelayedSubmission(self, spec)


def _leave_at_once() -> None:
    """Let submitit's signal end the process itself: an exception could be held for a failure of the unit."""
    number = getattr(signal, f"SIG{submitit.JobEnvironment.USR_SIG}")
    requeue = signal.getsignal(number)

    def leave(received: int, frame: FrameType | None) -> None:
        try:
            if callable(requeue):
                requeue(received, frame)
        except SystemExit as stop:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(stop.code if isinstance(stop.code, int) else 1)

    signal.signal(number, leave)


class _Queue(Generic[Spec]):
    """The jobs of one run."""

    def __init__(
        self, work: Callable[[Spec], str | None], specs: Sequence[Spec], executor: Any, resources: SlurmResources
    ) -> None:
        self.unit, self.specs, self.executor, self.resources = _Unit(work), specs, executor, resources
        self.waiting = list(range(len(specs)))
        self.running: dict[int, Any] = {}
        self.tries = dict.fromkeys(self.waiting, 0)

    def run(
        self, jobs: int | None, tick: Callable[[], None], ended: Callable[[Spec, str | None], None]
    ) -> list[tuple[Spec, str]]:
        # slurm keeps to the number of jobs by itself, processes on this machine do not
        limit = jobs if jobs is not None and self.resources.cluster == "local" else len(self.specs)
        failures: dict[int, str] = {}
        try:
            while self.waiting or self.running:
                self._submit(limit - len(self.running))
                time.sleep(TICK_S)
                tick()
                for number in [number for number, job in self.running.items() if job.done()]:
                    job = self.running.pop(number)
                    reason = self._reason(number, job)
                    if number in self.waiting:
                        continue
                    if reason is not None:
                        failures[number] = reason
                    ended(self.specs[number], reason)
        finally:
            self._cancel()
        return [(self.specs[number], failures[number]) for number in sorted(failures)]

    def _submit(self, room: int) -> None:
        taken, self.waiting = self.waiting[:room], self.waiting[room:]
        if not taken:
            return
        try:
            with added(ONE_THREAD):
                submitted = self.executor.map_array(self.unit, [self.specs[number] for number in taken])
        except FailedJobError as error:
            raise UsageError(f"sbatch refused the jobs: {str(error).strip().splitlines()[-1]}") from None
        for number, job in zip(taken, submitted, strict=True):
            self.tries[number] += 1
            self.running[number] = job
            if self.resources.cluster == "local":
                job._results_timeout_s = 1  # only a network file system shows a result late

    def _reason(self, number: int, job: Any) -> str | None:
        """Return what a job that ended returned; one that died waits for another try."""
        try:
            answer: str | None = job.result()
            return answer
        except UncompletedJobError:
            state = str(job.state)
        if self.tries[number] <= self.resources.retries and not state.startswith("CANCELLED"):
            self.waiting.append(number)
        return f"job {job.job_id} ended without a result ({state}): killed or out of memory; see {job.paths.stderr}"

    def _cancel(self) -> None:
        for job in self.running.values():
            if self.resources.cluster == "local":
                _end_here(int(job.job_id))
            else:
                job.cancel()


def _end_here(controller: int) -> None:
    """Kill a job on this machine: the process that submitit watches it with, and what that one started."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(controller)
        process.suspend()  # it starts nothing any more
        for member in (*process.children(recursive=True), process):
            with suppress(psutil.NoSuchProcess):
                member.kill()
