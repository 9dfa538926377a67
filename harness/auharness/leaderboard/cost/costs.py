"""What is known of the cost of models: committed counts, and times of GPUs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from auharness.bench.rows import Count, Time, read_rows

__all__ = ["FOLDER", "Cost", "Costs", "read_costs"]

FOLDER = "bench"
"""Of the rows of `auharness bench`, beside the runs and below the data of the boards."""


@dataclass(frozen=True)
class Cost:
    """What one network costs."""

    count: Count
    times: tuple[Time, ...] = ()
    """One sample at a time, on GPUs."""

    @property
    def latency(self) -> str:
        """Median times with what they were measured on; empty where there are none."""
        return "; ".join(
            f"{time.p50_ms:.3g} ms ({time.machine.device}, {time.mode}, {time.dtype})"
            for time in self.times
            if time.p50_ms is not None
        )


@dataclass(frozen=True)
class Costs:
    """All rows, in the order of their keys."""

    counts: tuple[Count, ...] = ()
    times: tuple[Time, ...] = ()
    """Of GPUs: a CPU that others use has no times to be compared."""

    def of(self, model: str, dataset: str, network: str) -> Cost | None:
        """Return the cost of a network, None where it was not counted."""
        wanted = (model, dataset, network)
        count = next((row for row in self.counts if _names(row) == wanted and row.status == "ok"), None)
        return None if count is None else Cost(count, self._single(wanted))

    def of_paper(self, model: str, dataset: str, setting: Mapping[str, str]) -> Cost | None:
        """Return the cost of a printed row's plugin at the preset `paper` and these settings, None if not counted."""
        text = ", ".join(f"{name}={value}" for name, value in setting.items())
        wanted = (model, dataset, "paper", text, None)
        for row in self.counts:
            if (row.model, row.dataset, row.preset, row.settings, row.side) == wanted and row.status == "ok":
                return Cost(row, self._single(_names(row)))
        return None

    def _single(self, wanted: tuple[str, str, str]) -> tuple[Time, ...]:
        """One sample at a time, each device, mode and type once."""
        times: dict[tuple[str, ...], Time] = {}
        for row in self.times:
            if _names(row) == wanted and row.batch == 1 and row.status == "ok":
                times.setdefault((row.machine.device, row.mode, row.dtype), row)
        return tuple(times.values())


def read_costs(root: Path) -> Costs:
    """Return the rows below `bench/` of a folder of runs or board data.

    Raises:
        IntegrityError: if a line is not a row.
    """
    rows = sorted(read_rows(sorted((root / FOLDER).glob("*.jsonl"))), key=_order)
    times = (row for row in rows if isinstance(row, Time) and row.machine.kind != "cpu")
    return Costs(tuple(row for row in rows if isinstance(row, Count)), tuple(times))


def _names(row: Count | Time) -> tuple[str, str, str]:
    return row.model, row.dataset, row.network


def _order(row: Count | Time) -> tuple[str, ...]:
    # plain text first: a size of the input comes behind the preset's own
    return (row.what, row.model, row.preset, row.settings, row.dataset, f"{row.side or 0:06}", str(row.key))
