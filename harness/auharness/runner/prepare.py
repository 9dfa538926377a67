"""What must be on disk before the first unit starts: crops, the run folder, and the units as they travel."""

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np

from auharness import __version__
from auharness.data.cache import CropCache, CropSettings, cache_folder
from auharness.data.index import Index
from auharness.data.prepare import PrepareReport, by_sequence, prepare
from auharness.results.atomic import file_digest, write_json
from auharness.results.schema import RunRecord, UnitRef
from auharness.results.store import RunFolder, attempts
from auharness.runner.inputs import Inputs
from auharness.runner.parts import sounds_of
from auharness.runner.plan import Plan, crop_settings
from auharness.runner.progress import Progress
from auharness.runner.spec import UnitSpec

__all__ = ["Crops", "crops_of", "make_specs", "open_run", "prepare_crops"]


@dataclass(frozen=True, slots=True)
class Crops:
    """Prepared crops of all datasets of a plan."""

    folders: Mapping[str, Path]
    reports: Mapping[str, PrepareReport]


def prepare_crops(plan: Plan, progress: Progress) -> Crops:
    """Fill the crop cache for the sequences that the planned folds read, and decode their sound for a model that hears.

    Raises:
        DataError: if media cannot be decoded and the settings do not drop them; lists every bad file.
    """
    ids = frozenset().union(*(fold.train_ids | fold.test_ids for fold in plan.folds))
    rows = plan.index.rows(ids, key=plan.inputs.protocol.key)
    table = plan.index.table.iloc[rows]
    for name, sounds in (sounds_of(plan.plugin, plan.inputs.datasets) or {}).items():
        sounds.prepare(table.loc[table["dataset"] == name, "sequence"].unique())
    return crops_of(plan.inputs, plan.index, rows, settings=crop_settings(plan.plugin), jobs=plan.jobs, tell=progress)


def crops_of(
    inputs: Inputs, index: Index, rows: np.ndarray, *, settings: CropSettings, jobs: int, tell: Progress
) -> Crops:
    """Fill the crop cache for the sequences of some rows.

    Args:
        inputs: the datasets and their roots.
        index: all rows.
        rows: `[N]` row numbers in it.
        settings: how crops are made.
        jobs: processes at once.
        tell: hears of every sequence.

    Raises:
        DataError: as for `prepare_crops`.
    """
    folders, reports = {}, {}
    datasets = index.table["dataset"].to_numpy()[rows]
    for name, dataset in inputs.datasets.items():
        own = rows[datasets == name]
        if not len(own):
            continue
        sequences = by_sequence(index.records(own))
        folder = cache_folder(name, dataset.root, settings, manifest=index.manifests[name])
        folders[name] = folder
        done = _Counter(partial(tell.crops, name), len(sequences))
        reports[name] = prepare(CropCache(folder), dataset.root, sequences, settings, jobs=jobs, progress=done)
    return Crops(folders, reports)


def open_run(plan: Plan) -> RunFolder:
    """Return the newest attempt, or a new one when asked for, with `run.json`, `plan.json` and `env.json` written."""
    request = plan.inputs.request
    earlier = attempts(request.runs, request.protocol, request.model, plan.run_id)
    if earlier and not request.fresh:
        folder, attempt = earlier[-1], earlier[-1].record.attempt
        finished = [unit for unit in folder.record.units if folder.is_finished(unit.unit_id)]
        units = {unit.unit_id: unit for unit in (*finished, *plan.units)}
        for unit in finished:
            folder.tidy(unit.unit_id)
    else:
        attempt = earlier[-1].record.attempt + 1 if earlier else 1
        name = plan.run_id if attempt == 1 else f"{plan.run_id}-{attempt}"
        folder = RunFolder(request.runs / request.protocol / request.model / name)
        units = {unit.unit_id: unit for unit in plan.units}
    record = RunRecord(
        run_id=plan.run_id,
        attempt=attempt,
        request_hash=plan.inputs.request_hash,
        model=request.model,
        protocol=request.protocol,
        protocol_version=plan.inputs.protocol.version,
        preset=plan.preset,
        data_origin=plan.data.origin,
        units=tuple(sorted(units.values(), key=lambda unit: (unit.seed, plan.fold_names.index(unit.fold)))),
        folds_total=len(plan.fold_names),
        smoke=request.limit is not None or plan.plugin.recipe.max_steps is not None,
    )
    folder.path.mkdir(parents=True, exist_ok=True)
    write_json(folder.path / "plan.json", {"values": plan.model.values, "origins": plan.model.origins})
    write_json(folder.path / "env.json", _environment())
    folder.write_record(record)
    return folder


def make_specs(plan: Plan, units: Sequence[UnitRef], crops: Crops, folder: RunFolder) -> list[UnitSpec]:
    """Return the units as they travel to workers."""
    folds = {fold.name: fold for fold in plan.folds}
    weights = plan.inputs.request.weights
    return [
        UnitSpec(
            unit_id=unit.unit_id,
            run_id=plan.run_id,
            run_path=folder.path,
            inputs=plan.inputs,
            settings=plan.plugin.model_dump(mode="json"),
            preset=plan.preset,
            fold=folds[unit.fold],
            seed=unit.seed,
            caches=crops.folders,
            data=plan.data,
            weights_sha256="" if weights is None else file_digest(weights),
        )
        for unit in units
    ]


class _Counter:
    """Turns one call per sequence into `done, total`."""

    def __init__(self, tell: Any, total: int) -> None:
        self.tell, self.total, self.done = tell, total, 0

    def __call__(self, _: Any) -> None:
        self.done += 1
        self.tell(self.done, self.total)


def _environment() -> dict[str, Any]:
    import torch

    return {
        "auharness": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": platform.machine(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "numpy": np.__version__,
        "packages": _packages(),
    }


@cache  # parses the metadata of every installed package, about half a second
def _packages() -> dict[str, str]:
    described = [dist.metadata for dist in distributions()]
    return dict(sorted((str(data["Name"]).lower(), str(data["Version"])) for data in described if data["Name"]))
