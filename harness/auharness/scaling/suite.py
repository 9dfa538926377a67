"""The suite: worker processes measure the cases, every point is on disk before the next, what is there is kept."""

import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from auharness.errors import DataError
from auharness.results.lines import check_lines
from auharness.scaling.case import Case, Mode, Phase
from auharness.scaling.code import code_digests
from auharness.scaling.machine import check_device, describe
from auharness.scaling.point import Point, Status, append_points, make_point, read_points
from auharness.scaling.process import Process, started
from auharness.scaling.records import Machine

__all__ = ["Options", "run_suite"]

COMPILE_S = 120.0
"""Seconds that torch.compile gets besides the limit of a case."""
START_S = 120.0
"""Seconds that a worker gets to start, compile and wait for its turn, besides the limit of a case."""
_POOL = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}
"""glibc keeps freed memory, as torch's pool on a GPU does: fetching large tensors anew is not a mixer's cost."""


@dataclass(frozen=True)
class Options:
    """How a suite measures."""

    device: str
    phases: Sequence[Phase] = ("forward", "training")
    modes: Sequence[Mode] = ("eager",)
    seconds: float = 0.3
    """Budget of one timing."""
    limit_s: float = 60.0
    """A case that takes longer is stopped; its longer sisters are not tried."""
    jobs: int = 1
    """Workers at once; on a GPU they start at once and measure in turns."""
    model: str = "au-ttt"
    deadline_s: float = float("inf")
    """No case is started after as many seconds; the next call goes on from there."""


def run_suite(
    cases: Sequence[Case],
    path: Path,
    options: Options,
    *,
    tell: Callable[[Point], None] = lambda point: None,
    remark: Callable[[str], None] = lambda text: None,
) -> list[Point]:
    """Measure the cases that `path` does not hold yet and return the points of all of them.

    On a CPU one process measures a mixer at one level from short to long; on CUDA every case has a process of its own.

    Args:
        cases: from `plan`.
        path: file of points, extended point by point.
        options: device, phases, modes and budgets.
        tell: called with every new point, from one thread at a time.
        remark: called once if points are measured again because code was edited.

    Raises:
        DataError: if there is no such device.
    """
    device = torch.device(options.device)
    check_device(device, command="scale")
    check_lines(path, command="scale")
    machine = describe(device)
    codes = code_digests({_model(case, options) for case in cases})
    every = [(phase, mode) for phase in options.phases for mode in options.modes]
    asked = {_key(case, way, options, machine) for case in cases for way in every}
    there = [point for point in read_points([path]) if point.key in asked]
    edited = sum(point.code != codes[point.model] for point in there)
    limit = options.limit_s
    settled = {point.key for point in there if point.settles(machine, limit_s=limit, code=codes[point.model])}
    ways = {case: [way for way in every if _key(case, way, options, machine) not in settled] for case in cases}
    if edited:
        remark(f"{edited} points in {path} are of other code; measured again")
    _measure({case: left for case, left in ways.items() if left}, options, machine, file=_File(path, codes, tell))
    return [point for point in read_points([path]) if point.key in asked]


def _measure(
    ways: Mapping[Case, list[tuple[Phase, Mode]]], options: Options, machine: Machine, *, file: "_File"
) -> None:
    until = time.monotonic() + options.deadline_s
    with tempfile.TemporaryDirectory() as folder:
        jobs = [
            _Worker({case: ways[case] for case in group}, options, machine, file=file, folder=Path(folder), until=until)
            for group in _groups(list(ways), machine.kind == "cuda")
        ]
        _run_all(jobs, max(1, options.jobs))


def _key(case: Case, way: tuple[Phase, Mode], options: Options, machine: Machine) -> tuple[Any, ...]:
    return (case, _model(case, options), *way, machine.kind, machine.device)


def _model(case: Case, options: Options) -> str:
    return options.model if case.level == "model" else ""


def _run_all(jobs: "list[_Worker]", at_once: int) -> None:
    """Run the workers; an interruption stops them at once, and of what they were at nothing is written."""
    with ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(job.run) for job in jobs]
        try:
            for future in futures:
                future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            for job in jobs:
                job.stop()
            raise


def _groups(cases: Sequence[Case], each: bool) -> list[list[Case]]:
    if each:
        return [[case] for case in cases]
    return [list(group) for _, group in groupby(cases, key=lambda case: (case.level, case.mixer))]


class _File:
    """The file of points, written by one thread at a time."""

    def __init__(self, path: Path, codes: Mapping[str, str], tell: Callable[[Point], None]) -> None:
        self._path, self._codes, self._tell, self._lock = path, codes, tell, threading.Lock()

    def add(self, point: Point) -> None:
        point = point.model_copy(update={"code": self._codes[point.model]})
        with self._lock:
            append_points(self._path, [point])
            self._tell(point)


class _Worker:
    """A worker process, started again for the cases that are left after one has killed it."""

    def __init__(
        self,
        ways: dict[Case, list[tuple[Phase, Mode]]],
        options: Options,
        machine: Machine,
        *,
        file: _File,
        folder: Path,
        until: float,
    ) -> None:
        self.ways, self.options, self.machine, self.file = ways, options, machine, file
        self.cases = list(ways)
        self.lock = str(folder / "turn") if machine.kind == "cuda" else ""
        self.until = until
        self.seen: set[tuple[Case, Phase, Mode]] = set()
        self.stopped = False
        self.process: Process | None = None

    def run(self) -> None:
        """Measure all cases, unless it is too late to begin."""
        while self.cases and not self.stopped and time.monotonic() < self.until:
            case, status, note = self._serve()
            if case is None:
                return
            left = self.cases[self.cases.index(case) + 1 :]
            self._report(case, status, note)
            if status == "time limit":
                for longer in (other for other in left if other.sweep == case.sweep):
                    self._report(longer, status, f"{case.tokens} tokens took longer than the limit")
                left = [other for other in left if other.sweep != case.sweep]
            self.cases = left

    def stop(self) -> None:
        """End the process and write nothing more."""
        self.stopped = True
        if self.process is not None:
            self.process.kill()

    def _report(self, case: Case, status: Status, note: str) -> None:
        """Say of all that was not measured of a case why it was not."""
        limit = self.options.limit_s if status == "time limit" else None
        fields: dict[str, Any] = {"status": status, "note": note, "limit_s": limit}
        fields["model"] = _model(case, self.options)
        for phase, mode in self.ways[case]:
            if (case, phase, mode) not in self.seen:
                self._add(make_point(case, phase=phase, mode=mode, machine=self.machine, **fields))

    def _add(self, point: Point) -> None:
        self.seen.add((point.case, point.phase, point.mode))
        self.file.add(point)

    def _serve(self) -> tuple[Case | None, Status, str]:
        """Run one process; return the case that ended it and how, or None when all are measured."""
        options, case = self.options, None
        limit = options.limit_s + COMPILE_S * ("compiled" in options.modes)
        with started("auharness.scaling.worker", seconds=START_S, environment=_POOL) as worker:
            self.process = worker
            for line in worker.answers(self._job()):
                if "begin" in line:
                    if time.monotonic() > self.until:
                        return None, "ok", ""
                    case = self.cases[line["begin"]]
                    worker.clock.set(START_S + options.limit_s)
                elif "timed" in line:
                    worker.clock.set(limit)
                elif "point" in line:
                    self._add(Point.model_validate(line["point"]))
                    worker.clock.set(limit)
                elif case is not None:
                    self._report(case, "failed", line["reason"])
            if worker.wait() == 0 or self.stopped:
                return None, "ok", ""
            if worker.clock.over:
                return case, "time limit", f"stopped after {options.limit_s:.0f} s"
            if case is None:
                raise DataError(f"scale: the worker does not start: {worker.last_words()}; run 'auharness doctor'")
            return (
                case,
                "killed",
                "the process died: out of memory?" if worker.was_killed() else f"exit {worker.wait()}",
            )

    def _job(self) -> dict[str, Any]:
        return {
            "device": self.options.device,
            "cases": [asdict(case) for case in self.cases],
            "ways": [self.ways[case] for case in self.cases],
            "seconds": self.options.seconds,
            "model": self.options.model,
            "lock": self.lock,
        }
