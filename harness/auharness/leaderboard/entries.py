"""Which runs stand on a board: complete ones, the newest of each configuration."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from auharness.errors import IntegrityError
from auharness.results.atomic import digest
from auharness.results.schema import RunRecord, UnitRecord
from auharness.results.store import RunFolder, iter_runs

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
    def data_key(self) -> tuple[str, str, str]:
        """Origin, size and digest of the data: rows of one table share it."""
        data = self.first.data
        return data.origin, data.size, digest(data.manifests, 8)

    @property
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
        if any("test-oracle" in (unit.selection, unit.threshold) for unit in self.units):
            return "test-oracle"
        return ""


def read_entry(run: RunFolder) -> Entry | None:
    """Return a complete run, or None while units are missing.

    Raises:
        IntegrityError: if a record is unreadable.
    """
    if not run.is_complete:
        return None
    units = run.finished()
    folds = {unit.fold for unit in units}
    whole = [seed for seed in {u.seed for u in units} if {u.fold for u in units if u.seed == seed} == folds]
    # folds were added to some seeds only: take the folds that the lowest seed has
    seeds = whole or [min(unit.seed for unit in units)]
    kept = tuple(unit for unit in units if unit.seed in seeds)
    written = max((run.unit_folder(ref.unit_id) / "unit.json").stat().st_mtime for ref in run.record.units)
    return Entry(run.path.name, run.record, kept, written)


def read_entries(root: Path, *, protocol: str | None = None) -> tuple[list[Entry], list[str]]:
    """Return the complete runs below a folder, and the folders of those that cannot be read."""
    entries, broken = [], []
    for run in iter_runs(root, protocol=protocol):
        try:
            entry = read_entry(run)
        except IntegrityError:
            broken.append(run.path.relative_to(root).as_posix())
            continue
        if entry is not None:
            entries.append(entry)
    return entries, broken


def newest(entries: Iterable[Entry]) -> list[Entry]:
    """Return the newest entry of each row, never the best one."""
    attempts: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        name = (entry.run.run_id, entry.key)
        if name not in attempts or entry.run.attempt > attempts[name].run.attempt:
            attempts[name] = entry
    rows: dict[str, Entry] = {}
    for entry in sorted(attempts.values(), key=lambda item: (item.written, item.folder)):
        rows[entry.key] = entry
    return sorted(rows.values(), key=lambda item: (item.run.model, item.run.preset, item.folder))
