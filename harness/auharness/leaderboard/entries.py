"""Which runs stand on a board: complete ones, the newest of each configuration."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from auharness.errors import IntegrityError
from auharness.metrics import FoldCounts
from auharness.results.atomic import digest
from auharness.results.looks import DataKey, data_key
from auharness.results.schema import RunRecord, UnitRecord
from auharness.results.store import RunFolder, iter_runs
from auharness.scoring import fold_counts

__all__ = ["Entry", "newest", "read_entries", "read_entry"]


@dataclass(frozen=True)
class Entry:
    """A complete run as a board sees it."""

    folder: str
    """Name of the run's folder."""
    run: RunRecord
    units: tuple[UnitRecord, ...]
    """Units of the seeds for which every fold of the run is finished."""
    written: float
    """When the last unit was finished, by the clock of the file system: orders runs, appears nowhere."""

    @property
    def first(self) -> UnitRecord:
        """A unit; all units of a run have the same configuration."""
        return self.units[0]

    @property
    def folds(self) -> tuple[str, ...]:
        """Names of the folds in the order of the plan."""
        return tuple(dict.fromkeys(unit.fold for unit in self.units))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds, ascending."""
        return tuple(sorted({unit.seed for unit in self.units}))

    @property
    def clips_summed(self) -> bool:
        """Whether the counts are sums in which no clip can be told from another."""
        return any(unit.clips_summed for unit in self.units)

    @property
    def data_key(self) -> DataKey:
        """Origin, size and digest of the data: rows of one table share it."""
        return data_key(self.first)

    @cached_property
    def counts(self) -> list[FoldCounts]:
        """Counts of each fold, summed over the seeds."""
        return fold_counts(self.units)

    @cached_property
    def key(self) -> str:
        """What is one row: model, preset, settings, weights and data; only the newest run of it is shown."""
        unit = self.first
        what = [unit.model, unit.preset, unit.settings, unit.weights_sha256, self.data_key, unit.smoke, self.folds]
        return digest([*what, unit.protocol_version])

    @property
    def not_ranked(self) -> str:
        """Why the row has no rank; empty if it may have one."""
        if self.run.smoke or any(unit.smoke for unit in self.units):
            return "smoke run"
        if len(self.folds) < self.run.folds_total:
            return f"{len(self.folds)} of {self.run.folds_total} folds"
        left_out = sum(unit.n_dropped.get("without prediction", 0) for unit in self.units)
        if left_out:
            return f"{left_out} without prediction left out"
        if any("test-oracle" in (unit.selection, unit.threshold) for unit in self.units):
            return "test-oracle"
        return ""


def read_entry(run: RunFolder, record: RunRecord | None = None) -> Entry | None:
    """Return the seeds of a run that have every planned fold, or None while there is no such seed.

    So a run that is being extended, or whose extension failed, keeps the row it had.

    Args:
        run: the folder.
        record: its `run.json` where it is known.

    Raises:
        IntegrityError: if a record is unreadable.
    """
    record = record or run.record
    finished = [ref for ref in record.units if run.is_finished(ref.unit_id)]
    folds = {ref.fold for ref in record.units}
    own = {seed: {ref.fold for ref in finished if ref.seed == seed} for seed in sorted({ref.seed for ref in finished})}
    seeds = [seed for seed, has in own.items() if has == folds]
    if not seeds and len(finished) == len(record.units):
        # folds were added to some seeds only: one seed alone answers one question
        seeds = list(own)[:1]
    if not seeds:
        return None
    kept = [ref for ref in finished if ref.seed in seeds]
    written = max(run.mark(ref.unit_id).stat().st_mtime for ref in kept)
    return Entry(run.path.name, record, tuple(run.unit(ref.unit_id) for ref in kept), written)


def read_entries(root: Path, *, protocol: str | None = None) -> tuple[list[Entry], list[str]]:
    """Return the newest complete attempt of each run below a folder, and the folders that cannot be read.

    Units of older attempts are not read. An attempt that covers other folds stands for itself.
    """
    broken: list[str] = []
    attempts: dict[tuple[str, str, str, frozenset[str]], list[tuple[RunRecord, RunFolder]]] = {}
    for run in iter_runs(root, protocol=protocol):
        try:
            record = run.record
        except IntegrityError:
            broken.append(run.path.relative_to(root).as_posix())
            continue
        key = (record.protocol, record.model, record.run_id, frozenset(ref.fold for ref in record.units))
        attempts.setdefault(key, []).append((record, run))
    entries = []
    for found in attempts.values():
        for record, run in sorted(found, key=lambda item: -item[0].attempt):
            try:
                entry = read_entry(run, record)
            except IntegrityError:
                broken.append(run.path.relative_to(root).as_posix())
                continue
            if entry is not None:
                entries.append(entry)
                break
    return entries, sorted(broken)


def newest(entries: Iterable[Entry]) -> list[Entry]:
    """Return the newest entry of each row, never the best one."""
    rows: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda item: (item.written, item.folder)):
        rows[entry.key] = entry
    return sorted(rows.values(), key=lambda item: (item.run.model, item.run.preset, item.folder))
