"""Where units run: the executor that is asked for, with what it gives to each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from auharness.errors import DataError, UsageError
from auharness.executors.local import run_local
from auharness.executors.resources import RayResources, SlurmResources, read_resources

__all__ = ["Placement", "place", "run_units"]

Spec = TypeVar("Spec")


@dataclass(frozen=True, slots=True)
class Placement:
    """An executor that can be used here; from `place`."""

    resources: RayResources | SlurmResources | None
    """Of a unit on a cluster; None on this machine."""


def place(executor: str, given: Mapping[str, Any], *, devices: int, gpu: bool) -> Placement:
    """Return where units run, before anything is read or started.

    Args:
        executor: one of `EXECUTORS`.
        given: options of `--resources`.
        devices: that train one unit together.
        gpu: whether they are GPUs.

    Raises:
        UsageError: if an option is unknown or has a wrong value.
        DataError: if the package that the executor needs is not installed.
    """
    if executor == "ray":
        _need("ray", executor)
        return Placement(read_resources(RayResources, given, devices=devices, gpu=gpu))
    if executor == "slurm":
        _need("submitit", executor)
        return Placement(read_resources(SlurmResources, given, devices=devices, gpu=gpu))
    if given:
        raise UsageError(f"resources {', '.join(sorted(given))}: they go with --executor ray or slurm, not with local")
    return Placement(None)


def run_units(
    placement: Placement,
    work: Callable[[Spec], str | None],
    specs: Sequence[Spec],
    *,
    jobs: int,
    asked_jobs: int | None,
    folder: Path,
    tick: Callable[[], None],
    ended: Callable[[Spec, str | None], None],
) -> list[tuple[Spec, str]]:
    """Do `work` on every spec and return the failed ones with their reason, in the order of the specs; see `run_local`.

    Args:
        placement: from `place`.
        work: a module-level function that leaves its result on disk.
        specs: picklable.
        jobs: processes at once on this machine.
        asked_jobs: units at once on a cluster; None for as many as it holds.
        folder: for the files of a cluster's jobs.
        tick: called a few times per second.
        ended: called in this thread when a unit ends.
    """
    resources = placement.resources
    if isinstance(resources, RayResources):
        from auharness.executors.ray import run_ray

        return run_ray(work, specs, jobs=asked_jobs, resources=resources, tick=tick, ended=ended)
    if isinstance(resources, SlurmResources):
        from auharness.executors.slurm import run_slurm

        return run_slurm(work, specs, folder=folder, jobs=asked_jobs, resources=resources, tick=tick, ended=ended)
    return run_local(work, specs, jobs=jobs, tick=tick, ended=ended)


def _need(package: str, executor: str) -> None:
    if find_spec(package) is None:
        raise DataError(f'--executor {executor} needs {package}, not installed; run: pip install "auharness[dist]"')
