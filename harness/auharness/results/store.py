"""The run folder: `runs/<protocol>/<model>/<run_id>/`, where a unit exists once its `unit.json` does."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from auharness.errors import IntegrityError, UsageError, near
from auharness.results.atomic import (
    canonical_json,
    file_digest,
    read_json,
    storing,
    write_bytes,
    write_json,
    write_with,
)
from auharness.results.schema import RunRecord, UnitRecord

if TYPE_CHECKING:
    import pandas as pd
    import torch

__all__ = ["RunFolder", "attempts", "find_run", "iter_runs"]

T = TypeVar("T", RunRecord, UnitRecord)

PREDICTIONS = "predictions.parquet"
METRICS = "metrics.json"
WEIGHTS = "weights.safetensors"
LOG = "log.txt"
UNIT = "unit.json"
TIMELESS: dict[str, Any] = {"files": {}, "wall_s": 0.0, "cpu_s": 0.0}
"""Fields in which two records of one unit may differ: how long it took, and so the digest of its log."""


class RunFolder:
    """One run on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def record(self) -> RunRecord:
        """`run.json`.

        Raises:
            IntegrityError: if it is missing or does not fit the schema.
        """
        return _load(self.path / "run.json", RunRecord)

    def write_record(self, record: RunRecord) -> None:
        """Write `run.json` when it differs from what is there."""
        path = self.path / "run.json"
        content = record.model_dump(mode="json")
        if not path.is_file() or read_json(path) != content:
            write_json(path, content)

    def unit_folder(self, unit_id: str) -> Path:
        """Folder of one unit."""
        return self.path.joinpath("units", unit_id)

    def mark(self, unit_id: str) -> Path:
        """`unit.json` of one unit, the mark of its completion."""
        return self.path.joinpath("units", unit_id, UNIT)

    def is_finished(self, unit_id: str) -> bool:
        """Whether the unit's completion mark exists."""
        return self.mark(unit_id).is_file()

    def unit(self, unit_id: str) -> UnitRecord:
        """`unit.json` of a finished unit.

        Raises:
            IntegrityError: if it is missing or does not fit the schema.
        """
        return _load(self.mark(unit_id), UnitRecord)

    def predictions(self, unit_id: str) -> "pd.DataFrame":
        """`predictions.parquet` of a finished unit.

        Raises:
            IntegrityError: if it is missing or cannot be read.
        """
        import pandas as pd

        path = self.unit_folder(unit_id) / PREDICTIONS
        try:
            return pd.read_parquet(path)
        except Exception as error:  # a damaged file breaks its reader in many ways
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise IntegrityError(
                f"{path}: expected readable predictions: {said:.200}; delete unit.json beside it to run the unit again"
            ) from None

    def finished(self) -> list[UnitRecord]:
        """Finished units of the run, in the order of its plan."""
        return [self.unit(ref.unit_id) for ref in self.record.units if self.is_finished(ref.unit_id)]

    @property
    def is_complete(self) -> bool:
        """Whether every planned unit is finished."""
        return all(self.is_finished(ref.unit_id) for ref in self.record.units)

    def finish_unit(
        self, record: UnitRecord, *, predictions: "pd.DataFrame", weights: "Mapping[str, torch.Tensor]", log: str
    ) -> UnitRecord:
        """Write the files of a unit, `unit.json` last with the digests of its siblings, and drop its scratch folder.

        Where two processes come to the same end, as a worker that was given up does beside its successor, the first
        record stays.
        """
        folder = self.unit_folder(record.unit_id)
        with _alone_in(folder):
            earlier = self._same_unit(record)
            complete = earlier or self._write_unit(record, predictions=predictions, weights=weights, log=log)
            self.tidy(record.unit_id)
        return complete

    def _same_unit(self, record: UnitRecord) -> UnitRecord | None:
        """The finished record of a unit if it differs in nothing but time, else None."""
        if not self.is_finished(record.unit_id):
            return None
        with suppress(IntegrityError):
            earlier = self.unit(record.unit_id)
            if earlier.model_copy(update=TIMELESS) == record.model_copy(update=TIMELESS):
                return earlier
        return None

    def _write_unit(
        self, record: UnitRecord, *, predictions: "pd.DataFrame", weights: "Mapping[str, torch.Tensor]", log: str
    ) -> UnitRecord:
        folder = self.unit_folder(record.unit_id)
        write_with(folder / PREDICTIONS, lambda path: predictions.to_parquet(path, index=False))
        write_json(folder / METRICS, record.metrics)
        write_bytes(folder / LOG, log.encode())
        if weights:
            write_with(folder / WEIGHTS, lambda path: _save_weights(path, weights))
        names = [name for name in (PREDICTIONS, METRICS, LOG, WEIGHTS) if (folder / name).is_file()]
        complete = record.model_copy(update={"files": {name: file_digest(folder / name) for name in names}})
        write_json(folder / UNIT, complete.model_dump(mode="json"))
        return complete

    def tidy(self, unit_id: str) -> None:
        """Delete what killed processes may have left of a finished unit: its scratch folder and half-written files."""
        shutil.rmtree(self.scratch(unit_id), ignore_errors=True)
        for leftover in self.unit_folder(unit_id).glob(".*.tmp"):
            leftover.unlink(missing_ok=True)

    def scratch(self, unit_id: str) -> Path:
        """Folder for checkpoints of an unfinished unit."""
        return self.unit_folder(unit_id) / "scratch"

    def event(self, name: str, **values: Any) -> None:
        """Append one line to `events.jsonl`."""
        self.path.mkdir(parents=True, exist_ok=True)
        line = canonical_json({"time": round(time.time(), 3), "event": name, **values})
        # one write of the whole line: other processes append too
        place = os.open(self.path / "events.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(place, f"{line}\n".encode())
        finally:
            os.close(place)

    def tail(self) -> Callable[[], list[dict[str, Any]]]:
        """Return a function that gives the events appended since it was last called; torn lines are left out."""
        path = self.path / "events.jsonl"
        place = path.stat().st_size if path.is_file() else 0

        def read() -> list[dict[str, Any]]:
            nonlocal place
            if not path.is_file():
                return []
            with path.open("rb") as stream:
                stream.seek(place)
                whole, newline, _ = stream.read().rpartition(b"\n")
            place += len(whole) + len(newline)
            return [event for line in whole.splitlines() if (event := _event(line)) is not None]

        return read


def _event(line: bytes) -> dict[str, Any] | None:
    """A full disk or a network file system may tear a line, which is no reason to stop a run."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "event" in found else None


def iter_runs(root: Path, *, protocol: str | None = None, model: str | None = None) -> Iterator[RunFolder]:
    """Yield the runs below `root`, sorted by protocol, model and run id."""
    for path in sorted(root.glob(f"{protocol or '*'}/{model or '*'}/*/run.json")):
        yield RunFolder(path.parent)


def attempts(root: Path, protocol: str, model: str, run_id: str) -> list[RunFolder]:
    """All attempts of one run, oldest first: `<run_id>`, `<run_id>-2`, ..."""
    found = [run for run in iter_runs(root, protocol=protocol, model=model) if run.record.run_id == run_id]
    return sorted(found, key=lambda run: run.record.attempt)


def find_run(root: Path, name: str) -> RunFolder:
    """Return a run by its folder, or by (the beginning of) its folder name.

    Raises:
        UsageError: if no run, or more than one, has the name.
    """
    if (Path(name) / "run.json").is_file():
        return RunFolder(Path(name))
    runs = {run.path.name: run for run in iter_runs(root)}
    found = [run for key, run in runs.items() if key == name] or [r for k, r in runs.items() if k.startswith(name)]
    if len(found) != 1:
        state = "no run" if not found else f"{len(found)} runs"
        raise UsageError(f"run '{name}': {state} of that name below {root}{near(name, runs)} (see 'auharness status')")
    return found[0]


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes out of the folder of a unit; the death of this one lets them in."""
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems lock no folder; there the files are still whole or absent
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _load(path: Path, schema: type[T]) -> T:
    try:
        return schema.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise IntegrityError(f"{path}: expected a {path.name}, found none; run the same command again") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise IntegrityError(f"{path}: {place}: {first['msg']}; the file does not fit schema version 1") from None


def _save_weights(path: Path, weights: "Mapping[str, torch.Tensor]") -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}, path)
