"""Count the cases, then time them point by point in processes of their own; every row is on disk before the next."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from auharness.bench.case import Case
from auharness.bench.counting import case_fields, count_case
from auharness.bench.rows import Count, Mode, Row, Time, read_rows
from auharness.errors import DataError
from auharness.results.lines import append_lines
from auharness.scaling.limit import Limit
from auharness.scaling.machine import describe
from auharness.scaling.records import Machine

__all__ = ["BATCHES", "Options", "run_bench"]

BATCHES = tuple(1 << power for power in range(11))
"""Tried one after the other, 1 to 1024, until throughput grows no more."""
GROWTH = 1.05
"""A larger batch must have as many times the throughput of the best so far, or it is the last."""
COMPILE_S = 300.0
"""Seconds that torch.compile gets besides the limit."""
START_S = 300.0
"""Seconds that a process gets to start and build the model, besides the limit."""
_SPARE = 0.8
"""Share of the free memory that a CPU point may take: beyond it the kernel would end other processes."""
_OUT_OF_MEMORY = 137
"""Exit status of a process that the kernel killed, as shells print it."""


@dataclass(frozen=True)
class Options:
    """How the cases are timed."""

    device: str | None = "cpu"
    """None counts only."""
    dtype: str = "float32"
    modes: Sequence[Mode] = ("eager", "compiled")
    batches: Sequence[int] = BATCHES
    seconds: float = 1.0
    """Budget of one timing."""
    limit_s: float = 60.0
    """A point that takes longer is stopped."""
    threads: int = 1


def run_bench(
    cases: Sequence[Case], path: Path, options: Options, *, tell: Callable[[Row], None] = lambda row: None
) -> list[Row]:
    """Count every case, time those that `path` holds no time of yet, and return the rows of all of them.

    Args:
        cases: models with their presets and labels.
        path: file of rows, extended row by row.
        options: device, modes, batches and budgets.
        tell: called with every row, also with those that were there.

    Raises:
        DataError: there is no such device, or the file cannot be written.
    """
    if options.device == "cuda" and not torch.cuda.is_available():
        raise DataError("bench: --device cuda, but torch sees no CUDA device; run 'auharness doctor', or use cpu")
    try:
        append_lines(path, [])
    except OSError as error:
        raise DataError(f"bench: {path} cannot be written ({error.strerror}); give another file with --out") from None
    there = read_rows([path])
    known = {row.key: row for row in there if isinstance(row, Time)}
    rows: list[Row] = []

    def add(row: Row) -> None:
        if row not in there:
            append_lines(path, [row])
        rows.append(row)
        tell(row)

    for case in cases:
        counted = count_case(case)
        add(counted)
        if options.device is not None and counted.status != "refused":
            timer = _Timer(case, counted, options)
            for mode in options.modes:
                for row in timer.growing(mode, known):
                    add(row)
    return rows


class _Timer:
    """The points of one case on one device."""

    def __init__(self, case: Case, counted: Count, options: Options) -> None:
        assert options.device is not None
        self.case, self.counted, self.options, self.device = case, counted, options, options.device
        machine = describe(torch.device(self.device))
        self.machine: Machine = machine.model_copy(update={"threads": options.threads})

    def growing(self, mode: Mode, known: dict[Any, Time]) -> Iterator[Time]:
        """Yield the batches in turn, up to the first that does not run or is hardly faster per sample."""
        best = 0.0
        for batch in self.options.batches:
            row = self._time(mode, batch, status="ok")
            before = known.get(row.key)
            settled = before is not None and before.settles(self.machine, limit_s=self.options.limit_s)
            row = before if settled and before is not None else self._measured(mode, batch)
            yield row
            rate = row.per_second
            if rate is None or rate < GROWTH * best:
                return
            best = max(best, rate)

    def _measured(self, mode: Mode, batch: int) -> Time:
        needed, free = self._needed(batch), psutil.virtual_memory().available
        if self.device == "cpu" and needed > _SPARE * free:
            note = f"needs about {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free"
            return self._time(mode, batch, status="out of memory", note=note)
        return self._serve(mode, batch)

    def _needed(self, batch: int) -> int:
        """Bytes of weights, inputs and all that is held at once, from the count."""
        counted = self.counted
        weights, inputs = counted.weight_bytes or 0, counted.input_bytes or 0
        return weights + batch * (inputs + max(0, (counted.peak_bytes or 0) - weights))

    def _serve(self, mode: Mode, batch: int) -> Time:
        """Time one batch in a process of its own."""
        with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "auharness.bench.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,  # an interrupt from the terminal is for this process to pass on
            )
            clock, answer = Limit(process, START_S + self.options.limit_s), dict[str, Any]()
            try:
                for line in self._lines(process, mode, batch):
                    answer |= line
                    if "built" in line:
                        clock.set(self.options.limit_s + (COMPILE_S if mode == "compiled" else 0))
                code = process.wait()
            finally:
                clock.cancel()
                process.kill()
                process.wait()
            if "point" in answer:
                return self._time(mode, batch, status="ok", **answer["point"])
            if "status" in answer:
                return self._time(mode, batch, status=answer["status"], note=answer["note"])
            if clock.over:
                note = f"stopped after {self.options.limit_s:.0f} s"
                return self._time(mode, batch, status="time limit", note=note, limit_s=self.options.limit_s)
            if code in (-9, _OUT_OF_MEMORY):
                return self._time(mode, batch, status="killed", note="the process was killed: out of memory?")
            errors.seek(0)
            last = (errors.read().strip().splitlines() or [f"exit {code}"])[-1]
            return self._time(mode, batch, status="failed", note=last[:300])

    def _lines(self, process: "subprocess.Popen[str]", mode: Mode, batch: int) -> Iterator[dict[str, Any]]:
        assert process.stdin is not None and process.stdout is not None
        options = self.options
        job = {
            "case": asdict(self.case),
            "device": self.device,
            "dtype": options.dtype,
            "mode": mode,
            "batch": batch,
            "seconds": options.seconds,
            "threads": options.threads,
        }
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.close()
        for line in process.stdout:
            if line.startswith("{"):  # a plugin may print
                yield json.loads(line)

    def _time(self, mode: Mode, batch: int, **fields: Any) -> Time:
        given = {"machine": self.machine, "dtype": self.options.dtype, "mode": mode, "batch": batch}
        named = {**case_fields(self.case), "network": self.counted.network}
        return Time(what="time", **named, **given, **fields)
