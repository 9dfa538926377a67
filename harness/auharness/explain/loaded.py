"""A finished run opened again: which unit tests a sample, its network with the trained weights, and its data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import ValidationError
from torch import nn

from auharness import registry
from auharness.api import Batch, ModelPlugin
from auharness.data.cache import CropCache
from auharness.data.index import Index, build_index
from auharness.data.roots import locate_root
from auharness.errors import DataError, IntegrityError, UsageError, near
from auharness.explain.run_pictures import run_name
from auharness.records import Fold
from auharness.results.atomic import file_digest
from auharness.results.schema import UnitRecord
from auharness.results.store import WEIGHTS, RunFolder
from auharness.runner.inputs import Inputs, gather
from auharness.runner.parts import make_source, make_task, part_at
from auharness.runner.plan import crop_settings
from auharness.runner.prepare import crops_of
from auharness.runner.progress import Progress
from auharness.runner.request import DATA_SIZES, make_request
from auharness.runner.weights import read_weights
from auharness.training.predictor import ModulePredictor
from auharness.training.seed import derive_seed, seed_all
from auharness.training.unit import make_fabric

__all__ = ["Data", "LoadedRun", "Network", "Sample"]

FEW = 2000
"""So many names are searched for one near to a wrong one."""


@dataclass(frozen=True, slots=True)
class Data:
    """Where the run's data are now, and what computes; nothing of it is in the run folder."""

    roots: Mapping[str, str] = field(default_factory=dict)
    """Dataset -> root; default as in a run."""
    seed: int = 0
    """Seed of the stand-in."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """`{"data": {dataset: {key: value}}}` in place of what the record says."""
    device: str = "auto"
    more: bool = False
    """Whether they may hold other rows than the run was made on, such as test frames that came later."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample and the unit that explains it."""

    id: str
    unit: UnitRecord
    training: bool
    """Whether the unit was trained on it."""
    truth: Mapping[str, int]
    """Scored label -> 1, 0 or -1 (not coded)."""
    recorded: Mapping[str, float]
    """Output -> the score on record; empty for a training sample."""


@dataclass(frozen=True, slots=True)
class Network:
    """The trained network of one unit."""

    plugin: ModelPlugin
    module: nn.Module
    layers: Mapping[str, nn.Module]
    """What can be mapped, the deepest last."""


class LoadedRun:
    """One run; what needs its data or weights is read when it is first asked for.

    Raises:
        UsageError: if no unit is finished.
    """

    def __init__(self, folder: RunFolder, data: Data) -> None:
        self.folder, self.data = folder, data
        self.record = folder.record
        self.units = tuple(sorted(folder.finished(), key=lambda unit: unit.seed))
        if not self.units:
            raise UsageError(f"{folder.path}: no unit is finished; run the same command again to go on")
        self.outputs = self.units[0].outputs
        self.columns = self.units[0].columns
        self.multiclass = self.units[0].kind == "classes"
        self._opened: tuple[str, Network] | None = None

    @property
    def name(self) -> str:
        """Model and presets, as a picture calls the run."""
        return run_name(self.record)

    @property
    def has_weights(self) -> bool:
        """Whether its networks can be opened."""
        return all(WEIGHTS in unit.files for unit in self.units)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """The final scores of all finished units, with the columns `unit_id`, `fold` and `seed`.

        Raises:
            IntegrityError: if a file cannot be read.
        """
        frames = []
        for unit in self.units:
            frame = self.folder.predictions(unit.unit_id)
            final = frame[frame["epoch"].isna()] if "epoch" in frame else frame
            frames.append(final.assign(unit_id=unit.unit_id, fold=unit.fold, seed=unit.seed))
        return pd.concat(frames, ignore_index=True)

    def sample(self, name: str, *, training: bool = False) -> Sample:
        """Return a sample with the first unit that tests it, or, only if asked for, that was trained on it.

        Args:
            name: `dataset/sequence` or `dataset/sequence/frame`; the dataset may be left out.
            training: take a unit that was trained on it.

        Raises:
            UsageError: if there is none; names the nearest.
        """
        if training:
            return self._training_sample(name)
        table = self.predictions
        rows = table[table["sample_id"].isin(_spellings(name, table["sample_id"]))]
        if rows.empty:
            raise UsageError(
                f"{self.folder.path.name} tests no sample '{name}'{_near_sample(name, table['sample_id'])}; a sample "
                "that it was trained on needs --training"
            )
        return self._tested(rows.iloc[0])

    def samples(self, rows: pd.DataFrame) -> list[Sample]:
        """Return the samples of some rows of `predictions`."""
        return [self._tested(row) for _, row in rows.iterrows()]

    def network(self, unit: UnitRecord) -> Network:
        """Return a unit's network in evaluation mode, as it was when its test part was predicted.

        Raises:
            DataError: if the weights do not fit the installed plugin.
            IntegrityError: if the weights are not those of the record.
        """
        if self._opened is not None and self._opened[0] == unit.unit_id:
            return self._opened[1]
        plugin, module = self._built(unit)
        layers = plugin.cam_layers(module)
        if layers:
            self._load_weights(module, unit)
        network = Network(plugin, module.to(self.device).eval(), layers)
        # one, because a network may be large
        self._opened = (unit.unit_id, network)
        return network

    def predictor(self, unit: UnitRecord) -> ModulePredictor:
        """Return a unit's network as it answered its test part.

        Raises:
            DataError: if there are no weights, or they do not fit the installed plugin.
            IntegrityError: if the weights are not those of the record.
        """
        plugin, module = self._built(unit)
        self._load_weights(module, unit)
        fabric = make_fabric(self.data.device, plugin.recipe.precision)
        return ModulePredictor(module.to(fabric.device), plugin, fabric)

    def plugin(self, unit: UnitRecord) -> ModelPlugin:
        """Return the model as the unit had it.

        Raises:
            DataError: if its settings do not fit the installed plugin.
        """
        model = registry.load("model", unit.model)
        try:
            plugin: ModelPlugin = model.model_validate(unit.settings)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise DataError(
                f"{self.folder.path.name}: the run's settings do not fit the installed {unit.model}: "
                f"{where}: {first['msg']}"
            ) from None
        return plugin

    def batch(self, plugin: ModelPlugin, samples: Sequence[str]) -> Batch:
        """Return the batch of some samples as the test part gave it, in their order.

        Raises:
            DataError: if a sample has no crop.
        """
        index = self.index
        place = {name: number for number, name in enumerate(index.table["sample_id"])}
        positions = np.array([place[name] for name in samples])
        crops = crops_of(self.inputs, index, positions, settings=crop_settings(plugin), jobs=1, tell=Progress())
        caches = {name: CropCache(path) for name, path in crops.folders.items()}
        part = part_at(index, positions, key=self.inputs.protocol.key, caches=caches)
        if len(part.rows) < len(samples):
            lost = sorted(set(samples) - set(part.rows.sample_ids))
            raise DataError(f"sample {lost[0]}: no frame of it can be decoded")
        source = make_source(part, plugin, kind=index.kind, caches=caches)
        return next(source.batches(len(samples), device=self.device))

    @cached_property
    def device(self) -> torch.device:
        """What computes."""
        return make_fabric(self.data.device, "32-true").device

    @cached_property
    def inputs(self) -> Inputs:
        """Protocol, datasets and roots.

        Raises:
            DataError: if the data of the run are not given.
        """
        unit, record = self.units[0], self.record
        size = unit.data.size.partition(",")[0]
        self._check_roots(unit, synthetic=record.data_origin == "synthetic" and size in DATA_SIZES)
        request = make_request(
            model=record.model,
            protocol=record.protocol,
            data_roots=dict(self.data.roots) or None,
            data_size=size if size in DATA_SIZES else None,
            data_seed=self.data.seed,
            settings=self._data_settings(unit) or None,
        )
        return gather(request)

    @cached_property
    def index(self) -> Index:
        """All rows of the run's datasets.

        Raises:
            DataError: if the data are not those of the run.
        """
        indexes = [build_index(dataset) for dataset in self.inputs.datasets.values()]
        index = indexes[0] if len(indexes) == 1 else Index.concat(indexes)
        for name, found in index.manifests.items():
            wanted = self.units[0].data.manifests.get(name, found)
            if found != wanted and not self.data.more:
                drawn = ", --data-seed, or the auharness that drew it" if self.record.data_origin == "synthetic" else ""
                raise DataError(
                    f"{name}: {self.inputs.datasets[name].root} is not what the run was made on (manifest "
                    f"{found[:12]}, expected {wanted[:12]}); give that with --data-root {name}=PATH{drawn}"
                )
        return index

    def fold(self, unit: UnitRecord) -> Fold:
        """Return the fold of a unit.

        Raises:
            DataError: if the protocol has no fold of that name any more.
        """
        if unit.fold not in self._folds:
            raise DataError(f"{unit.protocol} has no fold '{unit.fold}' any more; the run was made by another version")
        return self._folds[unit.fold]

    def _built(self, unit: UnitRecord) -> tuple[ModelPlugin, nn.Module]:
        """A unit's plugin, and its network before any weights are loaded."""
        plugin, index = self.plugin(unit), self.index
        train = index.rows(self.fold(unit).train_ids, key=self.inputs.protocol.key)
        labels = index.labels(unit.outputs)
        task = make_task(index, unit.outputs, train, labels=labels, plugin=plugin, protocol=self.inputs.protocol)
        # as in training, for what is drawn and not stored
        seed_all(derive_seed(unit.seed, unit.fold), "build")
        return plugin, plugin.build(task)

    @cached_property
    def _folds(self) -> dict[str, Fold]:
        return {fold.name: fold for fold in self.inputs.protocol.folds(self.index)}

    def _check_roots(self, unit: UnitRecord, *, synthetic: bool) -> None:
        """Refuse early rather than write a stand-in that is not wanted."""
        for name in unit.data.manifests:
            if not synthetic and locate_root(name, flags=self.data.roots, config={}) is None:
                raise DataError(
                    f"{self.folder.path.name} was made on {self.record.data_origin} data that lie elsewhere; give them "
                    f"with --data-root {name}=PATH or AUHARNESS_DATA"
                )

    def _data_settings(self, unit: UnitRecord) -> dict[str, Any]:
        """How the run read its data; of an old record only what is given."""
        given = self.data.settings.get("data", {})
        names = [*unit.data.settings, *(name for name in given if name not in unit.data.settings)]
        found = {name: {**unit.data.settings.get(name, {}), **given.get(name, {})} for name in names}
        return {"data": found} if found else {}

    def _load_weights(self, module: nn.Module, unit: UnitRecord) -> None:
        path = self.folder.unit_folder(unit.unit_id) / WEIGHTS
        if not path.is_file():
            raise DataError(f"{path}: expected the weights of fold {unit.fold}, found none; run the fold again")
        if file_digest(path) != unit.files[WEIGHTS]:
            raise IntegrityError(f"{path}: changed since the unit was finished; see 'auharness store verify'")
        try:
            module.load_state_dict(read_weights(path))
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise DataError(f"{path}: the weights do not fit the installed {unit.model} ({reason})") from None

    def _tested(self, row: pd.Series) -> Sample:
        unit = next(unit for unit in self.units if unit.unit_id == row["unit_id"])
        truth = {name: int(row[f"{name}.target"]) for name in unit.columns}
        return Sample(str(row["sample_id"]), unit, False, truth, {name: float(row[name]) for name in unit.outputs})

    def _training_sample(self, name: str) -> Sample:
        ids = self.index.table["sample_id"]
        found = np.flatnonzero(ids.isin(_spellings(name, ids)).to_numpy())
        if not len(found):
            raise UsageError(f"no sample '{name}' in the data{_near_sample(name, ids)}")
        row = self.index.table.iloc[found[0]]
        protocol = self.inputs.protocol
        key = (str(row["dataset"]), str(row["subject" if protocol.key == "subject" else "sequence"]))
        for unit in self.units:
            if key in self.fold(unit).train_ids:
                labels = self.index.labels(unit.columns)[found[0]]
                truth = {label: int(value) for label, value in zip(unit.columns, labels, strict=True)}
                return Sample(str(row["sample_id"]), unit, True, truth, {})
        raise UsageError(f"no finished unit of {self.folder.path.name} was trained on '{name}'; leave --training out")


def _spellings(name: str, known: pd.Series) -> list[str]:
    """The name as it is, and with each dataset in front."""
    return [name, *(f"{dataset}/{name}" for dataset in known.str.partition("/")[0].unique())]


def _near_sample(name: str, known: pd.Series) -> str:
    """As `near`, among few: there may be a hundred thousand samples."""
    beginning = name.rpartition("/")[0]
    alike = known[known.str.contains(beginning, regex=False)]
    return near(name, (known if alike.empty else alike).unique()[:FEW].tolist())
