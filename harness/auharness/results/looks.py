"""How often a test part was looked at: derived from the records on disk, so it needs no file of its own.

A look is one configuration (settings, weights, code and data: one run id) with at least one scored unit. More seeds,
more folds, a second attempt or a resumed run ask nothing new and add none. Whoever tries many configurations and keeps
the best has tuned on the test part; the number beside the scores lets a reader see it.

A test part is that of a data set, in whatever version and with whatever settings it was read: another label sheet, crop
or policy shows the same people, and choosing among such readings is choosing on the test part too.
"""

from dataclasses import dataclass
from pathlib import Path

from auharness.errors import IntegrityError
from auharness.results.atomic import digest
from auharness.results.schema import UnitRecord
from auharness.results.store import RunFolder, iter_runs

__all__ = ["DataKey", "Looks", "PartKey", "data_key", "part_key", "read_looks"]

DataKey = tuple[str, str, str]
"""Origin, size and digest of the data that a unit used."""
PartKey = tuple[str, str, tuple[str, ...]]
"""Origin, size and names of the data sets that a unit used, in any version."""


@dataclass(frozen=True, slots=True)
class Looks:
    """Configurations that were scored on one test part."""

    by_model: dict[str, int]
    """Model -> configurations, by name."""

    @property
    def total(self) -> int:
        """Configurations of all models."""
        return sum(self.by_model.values())

    def __str__(self) -> str:
        """Return one line.

        >>> print(Looks({"au-llm": 4, "constant": 1}))
        test part looked at 5 times (au-llm 4, constant 1)
        """
        models = ", ".join(f"{model} {count}" for model, count in self.by_model.items())
        return f"test part looked at {self.total} {'time' if self.total == 1 else 'times'} ({models})"


def data_key(unit: UnitRecord) -> DataKey:
    """Return which data a unit used; rows of one table share it."""
    return unit.data.origin, unit.data.size, digest(unit.data.manifests, 8)


def part_key(unit: UnitRecord) -> PartKey:
    """Return whose test part a unit was scored on; under one protocol, units that share it count as looks at it."""
    return unit.data.origin, unit.data.size, tuple(sorted(unit.data.manifests))


def read_looks(root: Path, protocol: str) -> dict[PartKey, Looks]:
    """Count the looks below a folder of runs, by the test part that they are at; unreadable runs are left out."""
    seen: dict[PartKey, dict[str, set[str]]] = {}
    known: set[tuple[str, str]] = set()
    for run in iter_runs(root, protocol=protocol):
        try:
            record = run.record
            if (record.model, record.run_id) in known:
                continue
            unit = _first_scored(run)
        except IntegrityError:
            continue
        if unit is not None:
            known.add((record.model, record.run_id))
            seen.setdefault(part_key(unit), {}).setdefault(record.model, set()).add(record.run_id)
    return {key: Looks({model: len(models[model]) for model in sorted(models)}) for key, models in sorted(seen.items())}


def _first_scored(run: RunFolder) -> UnitRecord | None:
    """Return a unit of the run that was scored, or None; units of one run used the same data."""
    return next((run.unit(ref.unit_id) for ref in run.record.units if run.is_finished(ref.unit_id)), None)
