"""Count the cases, then time them point by point in processes of their own; every row is on disk before the next."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from auharness.bench.case import Case
from auharness.bench.counting import case_fields, count_case
from auharness.bench.rows import Count, Mode, Row, Time, read_rows
from auharness.bench.summary import row_name
from auharness.results.lines import append_lines, check_lines
from auharness.scaling.code import code_digests
from auharness.scaling.machine import check_device, describe
from auharness.scaling.process import started
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
    cases: Sequence[Case],
    path: Path,
    options: Options,
    *,
    tell: Callable[[Row], None] = lambda row: None,
    remark: Callable[[str], None] = lambda text: None,
) -> list[Row]:
    """Count every case, time those that `path` holds no time of yet, and return the rows of all of them.

    Args:
        cases: models with their presets and labels.
        path: file of rows, extended row by row.
        options: device, modes, batches and budgets.
        tell: called with every row, also with those that were there.
        remark: called where times are taken again because code was edited, once for each case.

    Raises:
        DataError: there is no such device, or the file cannot be written.
    """
    check_device(torch.device(options.device or "cpu"), command="bench")
    check_lines(path, command="bench")
    there = read_rows([path])
    known = {row.key: row for row in there if isinstance(row, Time)}
    codes, rows = code_digests({case.model for case in cases}), list[Row]()

    def add(row: Row) -> None:
        if row not in there:
            append_lines(path, [row])
        rows.append(row)
        tell(row)

    for case in cases:
        counted = count_case(case, code=codes[case.model])
        add(counted)
        if options.device is not None and counted.status != "refused":
            timer = _Timer(case, counted, options, known=known)
            if timer.edited():
                remark(f"{row_name(counted)}: times in {path} are of other code; measured again")
            for mode in options.modes:
                for row in timer.growing(mode):
                    add(row)
    return rows


class _Timer:
    """The points of one case on one device."""

    def __init__(
        self, case: Case, counted: Count, options: Options, *, known: Mapping[tuple[Hashable, ...], Time]
    ) -> None:
        assert options.device is not None
        self.case, self.counted, self.options, self.device = case, counted, options, options.device
        self.known = known
        machine = describe(torch.device(self.device))
        self.machine: Machine = machine.model_copy(update={"threads": options.threads})

    def edited(self) -> bool:
        """Return whether a time that is known was measured with other code."""
        before = (self._before(mode, batch) for mode in self.options.modes for batch in self.options.batches)
        return any(row is not None and row.code != self.counted.code for row in before)

    def growing(self, mode: Mode) -> Iterator[Time]:
        """Yield the batches in turn, up to the first that does not run or is hardly faster per sample."""
        best = 0.0
        for batch in self.options.batches:
            before = self._before(mode, batch)
            row = before if before is not None and self._settles(before) else self._measured(mode, batch)
            yield row
            rate = row.per_second
            if rate is None or rate < GROWTH * best:
                return
            best = max(best, rate)

    def _before(self, mode: Mode, batch: int) -> Time | None:
        return self.known.get(self._time(mode, batch, status="ok").key)

    def _settles(self, row: Time) -> bool:
        return row.settles(self.machine, limit_s=self.options.limit_s, code=self.counted.code)

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
        limit, answer = self.options.limit_s, dict[str, Any]()
        with started("auharness.bench.worker", seconds=START_S + limit) as worker:
            for line in worker.answers(self._job(mode, batch)):
                answer |= line
                if "built" in line:
                    worker.clock.set(limit + (COMPILE_S if mode == "compiled" else 0))
            worker.wait()
            if "point" in answer:
                return self._time(mode, batch, status="ok", **answer["point"])
            if "status" in answer:
                return self._time(mode, batch, status=answer["status"], note=answer["note"])
            if worker.clock.over:
                note = f"stopped after {limit:.0f} s"
                return self._time(mode, batch, status="time limit", note=note, limit_s=limit)
            if worker.was_killed():
                return self._time(mode, batch, status="killed", note="the process was killed: out of memory?")
            return self._time(mode, batch, status="failed", note=worker.last_words()[:300])

    def _job(self, mode: Mode, batch: int) -> dict[str, Any]:
        options = self.options
        return {
            "case": asdict(self.case),
            "device": self.device,
            "dtype": options.dtype,
            "mode": mode,
            "batch": batch,
            "seconds": options.seconds,
            "threads": options.threads,
        }

    def _time(self, mode: Mode, batch: int, **fields: Any) -> Time:
        given = {"machine": self.machine, "dtype": self.options.dtype, "mode": mode, "batch": batch}
        named = {**case_fields(self.case), "network": self.counted.network, "code": self.counted.code}
        return Time(what="time", **named, **given, **fields)
