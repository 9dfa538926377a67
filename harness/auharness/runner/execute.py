"""One unit in one process: train without the test labels, predict, then score and write."""

import json
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from auharness import registry
from auharness.api import ModelPlugin, Predictor, ProtocolPlugin
from auharness.data.cache import CropCache
from auharness.data.index import Index, build_index
from auharness.errors import AuharnessError
from auharness.records import Fold, Task
from auharness.results.schema import DataInfo, UnitRecord
from auharness.results.store import RunFolder
from auharness.runner.inputs import Inputs
from auharness.runner.parts import Part, make_task, split_validation, take_part
from auharness.scoring import cluster_counts, decision_values, unit_metrics
from auharness.training.predictor import predict
from auharness.training.seed import derive_seed
from auharness.training.source import CropSource
from auharness.training.unit import TrainingUnit, make_fabric

__all__ = ["UnitSpec", "execute"]


@dataclass(frozen=True, slots=True)
class UnitSpec:
    """A unit as it travels to a worker process."""

    unit_id: str
    run_id: str
    run_path: Path
    inputs: Inputs
    settings: Mapping[str, Any]
    preset: str
    fold: Fold
    seed: int
    caches: Mapping[str, Path]
    data: DataInfo
    weights_sha256: str


def execute(spec: UnitSpec) -> str | None:
    """Run one unit to its end and return None, or the reason why it failed.

    An error of one unit is written to its folder and never stops the others; only an interruption passes through.
    """
    run = RunFolder(spec.run_path)
    folder = run.unit_folder(spec.unit_id)
    try:
        _Work(spec, run).finish()
    except AuharnessError as error:
        reason = str(error)
    except Exception as error:  # a bug in one plugin must not cost the other units
        reason = f"{type(error).__name__}: {error} (traceback in {folder / 'failed.txt'})"
    else:
        (folder / "failed.txt").unlink(missing_ok=True)
        return None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "failed.txt").write_text(traceback.format_exc(), encoding="utf-8")
    run.event("unit_failed", unit=spec.unit_id, reason=reason)
    return reason


class _Work:
    """The parts of one unit."""

    def __init__(self, spec: UnitSpec, run: RunFolder) -> None:
        self.spec, self.run = spec, run
        self.started, self.cpu_started = time.monotonic(), time.process_time()
        request = spec.inputs.request
        self.plugin: ModelPlugin = registry.load("model", request.model).model_validate(spec.settings)
        self.protocol: ProtocolPlugin = spec.inputs.protocol
        indexes = [build_index(dataset) for dataset in spec.inputs.datasets.values()]
        self.index = indexes[0] if len(indexes) == 1 else Index.concat(indexes)
        self.fabric = make_fabric(request.device, self.plugin.recipe.precision)
        self.caches = {name: CropCache(path) for name, path in spec.caches.items()}
        self.outputs = tuple(
            dict.fromkeys(o for name in self.protocol.train_on for o in spec.inputs.datasets[name].outputs)
        )
        self.scratch = run.scratch(spec.unit_id)
        self.scratch.mkdir(parents=True, exist_ok=True)

    def finish(self) -> None:
        """Train, predict, score, write."""
        key, limit = self.protocol.key, self.spec.inputs.request.limit
        train = take_part(self.index, self.spec.fold.train_ids, key=key, caches=self.caches, limit=limit)
        test = take_part(self.index, self.spec.fold.test_ids, key=key, caches=self.caches, limit=limit)
        train = train.coded(self.index.labels(self.outputs))
        train, held_out = split_validation(
            train, self.plugin.recipe, key=key, seed=derive_seed(self.spec.seed, self.spec.fold.name, "inner-val")
        )
        labels = self.index.labels(self.outputs)
        task = make_task(self.index, self.outputs, train, labels, self.plugin, self.protocol.train_on[0])
        unit = self._unit(task, train, held_out, labels)
        test_source = self._source(test, None)
        epochs: list[pd.DataFrame] = []
        if self.plugin.recipe.save_epoch_predictions:
            unit.observe = lambda epoch, model: epochs.append(
                self._frame(test, self._predict(model, test_source), epoch)
            )
        self._log("started", rows=len(train.rows), test_rows=len(test.rows))
        predictor = self.plugin.fit(unit)
        scores = self._predict(predictor, test_source)
        train_scores = self._predict(predictor, self._source(train, None)) if self._tunes else None
        self._write(predictor, task, (train, labels, train_scores), (test, scores, test_source.n_no_face), epochs)

    @property
    def _tunes(self) -> bool:
        return self.plugin.recipe.threshold == "train-tuned"

    def _unit(self, task: Task, train: Part, held_out: Part | None, labels: np.ndarray) -> TrainingUnit:
        weights = None
        if self.spec.inputs.request.weights is not None:
            from safetensors.torch import load_file

            weights = load_file(self.spec.inputs.request.weights)
        return TrainingUnit(
            task,
            self._source(train, labels),
            None if held_out is None else self._source(held_out, labels),
            fabric=self.fabric,
            seed=derive_seed(self.spec.seed, self.spec.fold.name),
            folder=self.scratch,
            log=self._log,
            weights=weights,
        )

    def _source(self, part: Part, labels: np.ndarray | None) -> CropSource:
        targets = None if labels is None else part.targets(self.index, labels)
        return CropSource(
            part.rows, self.caches, targets=targets, preprocess=self.plugin.preprocess, augment=self.plugin.augment
        )

    def _predict(self, predictor: Predictor, source: CropSource) -> np.ndarray:
        size = self.plugin.recipe.eval_batch_size
        scores = predict(predictor, source, size=size, device=self.fabric.device).numpy()
        if not np.isfinite(scores).all():
            raise AuharnessError(f"{self.plugin.name}: {int((~np.isfinite(scores)).sum())} scores are not finite")
        return scores

    def _frame(self, part: Part, scores: np.ndarray, epoch: int | None = None) -> pd.DataFrame:
        """Scores by named column, one row per sample; scores of one sample are averaged and counted."""
        frame = pd.DataFrame(scores, columns=list(self.outputs))
        frame.insert(0, "subject", list(part.rows.subjects))
        frame.insert(0, "sample_id", list(part.rows.sample_ids))
        views = frame.groupby("sample_id", sort=False).size().to_numpy()
        if len(views) < len(frame):
            mean = frame.groupby("sample_id", sort=False)[list(self.outputs)].mean()
            frame = frame.drop_duplicates("sample_id").set_index("sample_id")
            frame[list(self.outputs)] = mean
            frame = frame.reset_index()
        frame["views"] = views
        if epoch is not None:
            frame["epoch"] = epoch
        return frame

    def _write(
        self,
        predictor: Predictor,
        task: Task,
        trained: tuple[Part, np.ndarray, np.ndarray | None],
        tested: tuple[Part, np.ndarray, int],
        epochs: list[pd.DataFrame],
    ) -> None:
        (train, labels, train_scores), (test, scores, n_no_face) = trained, tested
        protocol, plugin, spec = self.protocol, self.plugin, self.spec
        columns = list(protocol.columns)
        frame = self._frame(test, scores)
        # the first look at test labels, after the model has answered
        target = self.index.labels(columns)[test.positions]
        for number, name in enumerate(columns):
            frame[f"{name}.target"] = target[:, number]
        places = [self.outputs.index(name) for name in columns]
        train_target = labels[train.positions][:, places]
        thresholds = decision_values(
            plugin.score_kind, columns, train_target=train_target,
            train_scores=None if train_scores is None else train_scores[:, places],
        )  # fmt: skip
        multiclass = task.kind == "clip-multiclass"
        clusters = cluster_counts(
            frame, columns, thresholds=thresholds, multiclass=multiclass, cluster=protocol.cluster
        )
        parameters = [tensor for tensor in predictor.state().values() if tensor.is_floating_point()]
        record = UnitRecord(
            unit_id=spec.unit_id,
            run_id=spec.run_id,
            model=plugin.name,
            protocol=protocol.name,
            protocol_version=protocol.version,
            fold=spec.fold.name,
            seed=spec.seed,
            preset=spec.preset,
            settings=plugin.model_dump(mode="json"),
            data=spec.data,
            kind="classes" if multiclass else "binary",
            columns=tuple(columns),
            outputs=self.outputs,
            score_kind=plugin.score_kind,
            selection=plugin.recipe.selection,
            threshold=plugin.recipe.threshold,
            thresholds=() if multiclass else thresholds,
            aggregation=protocol.aggregation,
            clusters=clusters,
            train_positives=tuple(task.positives[place] for place in places),
            train_coded=tuple(task.coded[place] for place in places),
            n_train=len(train.rows),
            n_frames=len(frame),
            n_subjects=len(set(test.rows.subjects)),
            n_dropped={"undecodable": train.n_missing + test.n_missing},
            n_no_face=n_no_face,
            smoke=spec.inputs.request.smoke,
            extra_data=plugin.extra_data,
            pretrained_on=self._pretrained_on(),
            weights_sha256=spec.weights_sha256,
            chosen_epoch=getattr(predictor, "chosen_epoch", None),
            epochs=getattr(predictor, "epochs", None),
            metrics=unit_metrics(protocol, frame, columns, clusters=clusters, multiclass=multiclass),
            parameters=sum(tensor.numel() for tensor in parameters),
            device=_device_name(self.fabric.device),
            wall_s=round(time.monotonic() - self.started, 3),
            cpu_s=round(time.process_time() - self.cpu_started, 3),
            files={},
        )
        log = (self.scratch / "log.txt").read_text(encoding="utf-8")
        predictions = pd.concat([frame, *epochs], ignore_index=True) if epochs else frame
        self.run.finish_unit(record, predictions=predictions, weights=predictor.state(), log=log)
        self.run.event("unit_finished", unit=spec.unit_id, fold=spec.fold.name, seed=spec.seed)

    def _pretrained_on(self) -> str:
        """What the starting weights were trained on: as their file says, or the plugin's word for weights of a hub."""
        path = self.spec.inputs.request.weights
        if path is None:
            return self.plugin.pretrained_on if self.plugin.init.startswith("hf:") else ""
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("pretrained_on", "unknown")

    def _log(self, event: str, **values: Any) -> None:
        """Write to the unit's log and to the run's events, from which progress is shown."""
        line = json.dumps({"event": event, **values}, default=str)
        with (self.scratch / "log.txt").open("a", encoding="utf-8") as stream:
            stream.write(f"{line}\n")
        self.run.event(event, unit=self.spec.unit_id, fold=self.spec.fold.name, seed=self.spec.seed, **values)
        if event == "epoch":
            numbers = {name: value for name, value in values.items() if isinstance(value, (int, float))}
            hooks = registry.observers()
            registry.notify(
                hooks, "auharness_epoch_finished", unit_id=self.spec.unit_id, epoch=int(values["epoch"]), values=numbers
            )


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
