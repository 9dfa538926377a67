"""Whether the files of finished units are still what their `unit.json` says."""

from pathlib import Path

from auharness.errors import IntegrityError
from auharness.results.atomic import file_digest
from auharness.results.store import RunFolder, iter_runs

__all__ = ["verify_run", "verify_runs"]


def verify_run(run: RunFolder) -> list[str]:
    """Return a line for every file of a run that is missing or changed."""
    problems = []
    try:
        record = run.record
    except IntegrityError as error:
        return [str(error)]
    for ref in record.units:
        if not run.is_finished(ref.unit_id):
            continue
        try:
            unit = run.unit(ref.unit_id)
        except IntegrityError as error:
            problems.append(str(error))
            continue
        if unit.unit_id != ref.unit_id or unit.fold != ref.fold or unit.seed != ref.seed:
            problems.append(f"{run.unit_folder(ref.unit_id)}: holds unit {unit.unit_id} ({unit.fold}, {unit.seed})")
        problems += _changed(run.unit_folder(ref.unit_id), unit.files)
    return problems


def verify_runs(runs: Path) -> tuple[int, list[str]]:
    """Return the number of runs below a folder, and a line for every problem."""
    found = list(iter_runs(runs))
    return len(found), [problem for run in found for problem in verify_run(run)]


def _changed(folder: Path, files: dict[str, str]) -> list[str]:
    problems = []
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{path}: missing; delete {folder.name}/unit.json to run the unit again")
        elif file_digest(path) != expected:
            problems.append(f"{path}: changed since the unit was finished; delete unit.json to run the unit again")
    return problems
