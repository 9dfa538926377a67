"""One unit in one process: train without the test labels, predict, then score and write."""

import json
import math
import sys
import traceback
from contextlib import redirect_stdout, suppress
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import pandas as pd

from auharness import registry
from auharness.api import ModelPlugin, Predictor
from auharness.data.cache import CropCache
from auharness.data.index import Index, build_index
from auharness.errors import AuharnessError
from auharness.executors.ranks import together
from auharness.ops.backends import recorded
from auharness.records import Key, Task
from auharness.results.atomic import write_with
from auharness.results.store import RunFolder
from auharness.runner.parts import Part, make_source, make_task, sounds_of, split_validation, take_part
from auharness.runner.predictions import add_targets, prediction_frame
from auharness.runner.record import Clock, Outcome, device_name, make_record
from auharness.runner.spec import UnitSpec
from auharness.runner.weights import read_weights
from auharness.training.predictor import predict
from auharness.training.ranks import Rank
from auharness.training.seed import derive_seed
from auharness.training.source import CropSource
from auharness.training.unit import TrainingUnit, make_fabric

__all__ = ["execute"]

SHOWN = 300
"""Characters of somebody else's error in the reason of a failure; the rest is in the unit's folder."""


def execute(spec: UnitSpec) -> str | None:
    """Run one unit to its end and return None, or the reason why it failed.

    An error of one unit is written to its folder and never stops the others; only an interruption passes through. What
    a plugin prints goes to stderr: stdout is the command's answer.
    """
    run = RunFolder(spec.run_path)
    folder = run.unit_folder(spec.unit_id)
    try:
        with redirect_stdout(sys.stderr):
            _work(spec, run)
    except (Exception, SystemExit) as error:  # a bug in one plugin must not cost the other units
        reason, told = _reason(error, folder / "failed.txt"), traceback.format_exc()
    else:
        (folder / "failed.txt").unlink(missing_ok=True)
        return None
    if run.is_finished(spec.unit_id):
        return None  # by another process, which deleted what this one was working on
    with suppress(OSError):  # on a full disk the reason is all that can be told
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "failed.txt").write_text(told, encoding="utf-8")
        run.event("unit_failed", unit=spec.unit_id, fold=spec.fold.name, seed=spec.seed, reason=reason)
    return reason


def _work(spec: UnitSpec, run: RunFolder) -> None:
    with together(_help, spec, count=int(spec.settings["recipe"]["devices"])) as rank:
        _Work(spec, run, rank).finish()


def _help(spec: UnitSpec, rank: Rank) -> None:
    """Train along with the process that finishes the unit."""
    with redirect_stdout(sys.stderr):
        _Work(spec, RunFolder(spec.run_path), rank).help()


def _reason(error: BaseException, log: Path) -> str:
    if isinstance(error, AuharnessError):
        return str(error)
    said = shorten(" ".join(str(error).split()), SHOWN, placeholder=" ...")
    return f"{type(error).__name__}: {said} (traceback in {log})"


class _Work:
    """The parts of one unit."""

    def __init__(self, spec: UnitSpec, run: RunFolder, rank: Rank) -> None:
        self.spec, self.run = spec, run
        request = spec.inputs.request
        self.plugin: ModelPlugin = registry.load("model", request.model).model_validate(spec.settings)
        self.fabric = make_fabric(request.device, self.plugin.recipe.precision, rank)
        # before the clock: the first unit of a process is not charged with what the others find loaded
        self.plugin.shared(self.fabric.device)
        self.clock = Clock()
        indexes = [build_index(dataset) for dataset in spec.inputs.datasets.values()]
        self.index = indexes[0] if len(indexes) == 1 else Index.concat(indexes)
        self.caches = {name: CropCache(path) for name, path in spec.caches.items()}
        self.sounds = sounds_of(self.plugin, spec.inputs.datasets)
        sources = [spec.inputs.datasets[name] for name in spec.inputs.protocol.train_on]
        self.outputs = tuple(dict.fromkeys(output for dataset in sources for output in dataset.outputs))
        self.labels = self.index.labels(self.outputs)
        self.scratch = run.scratch(spec.unit_id)
        if rank.number == 0:
            self.scratch.mkdir(parents=True, exist_ok=True)

    def finish(self) -> None:
        """Train and predict without the test labels, then look at them, score and write."""
        spec, recipe = self.spec, self.plugin.recipe
        train, held_out = self._training_parts()
        test = self._part(spec.fold.test_ids)
        task = self._task(train)
        test_source = self._source(test, labelled=False)
        unit = self._unit(task, train, held_out)
        if recipe.save_epoch_predictions:
            unit.observe = lambda epoch, model: self._keep_epoch(epoch, test, test_source, model)
        self._log("started", rows=len(train.rows), test_rows=len(test.rows))
        tuned = None
        with recorded() as backends:
            predictor = self.plugin.fit(unit)
            answer = prediction_frame(
                test, self._predict(predictor, test_source), self.outputs, views=test_source.views
            )
            if recipe.threshold == "train-tuned":
                tuned = self._predict(predictor, self._source(train, labelled=False))
        columns = list(spec.inputs.protocol.columns)
        scored = add_targets(answer, test, self.index.labels(columns)[test.positions], columns=columns)
        record = make_record(
            Outcome(
                spec=spec,
                plugin=self.plugin,
                task=task,
                predictor=predictor,
                scored=scored,
                train_target=self.labels[train.positions],
                train_scores=tuned,
                n_dropped=train.n_missing + test.n_missing,
                n_dropped_frames=train.n_missing_frames + test.n_missing_frames,
                n_no_face=test_source.n_no_face,
                device=device_name(self.fabric.device),
                backends=backends,
            ),
            clock=self.clock,
        )
        log = (self.scratch / "log.txt").read_text(encoding="utf-8")
        epochs = [pd.read_parquet(path) for path in sorted(self.scratch.glob("epoch-*.parquet"))]
        table = pd.concat([scored, *epochs], ignore_index=True) if epochs else scored
        self.run.finish_unit(record, predictions=table, weights=predictor.state(), log=log)
        self.run.event("unit_finished", unit=spec.unit_id, fold=spec.fold.name, seed=spec.seed)

    def help(self) -> None:
        """Train as one of several processes, of which another one selects and writes."""
        train, _ = self._training_parts()
        unit = self._unit(self._task(train), train, None)
        unit.log = lambda event, **values: None
        self.plugin.fit(unit)

    def _training_parts(self) -> tuple[Part, Part | None]:
        """The rows that train, and those that are held out of them to select an epoch."""
        spec = self.spec
        train = self._part(spec.fold.train_ids)
        if not self.plugin.per_frame:
            train = train.coded(self.labels)
        inner = derive_seed(spec.seed, spec.fold.name, "inner-val")
        return split_validation(train, self.plugin.recipe, key=spec.inputs.protocol.key, seed=inner)

    def _task(self, train: Part) -> Task:
        return make_task(
            self.index,
            self.outputs,
            train.positions,
            labels=self.labels,
            plugin=self.plugin,
            protocol=self.spec.inputs.protocol,
        )

    def _keep_epoch(self, epoch: int, test: Part, source: CropSource, model: Predictor) -> None:
        """Keep the test scores of one epoch on disk, so that they outlive an interruption."""
        scores = self._predict(model, source)
        frame = prediction_frame(test, scores, self.outputs, views=source.views, epoch=epoch)
        write_with(self.scratch / f"epoch-{epoch:04d}.parquet", lambda path: frame.to_parquet(path, index=False))

    def _part(self, ids: frozenset[Key]) -> Part:
        inputs = self.spec.inputs
        return take_part(self.index, ids, key=inputs.protocol.key, caches=self.caches, limit=inputs.request.limit)

    def _unit(self, task: Task, train: Part, held_out: Part | None) -> TrainingUnit:
        path = self.spec.inputs.request.weights
        return TrainingUnit(
            task,
            self._source(train, labelled=True),
            None if held_out is None else self._source(held_out, labelled=True),
            fabric=self.fabric,
            seed=derive_seed(self.spec.seed, self.spec.fold.name),
            folder=self.scratch,
            log=self._log,
            weights=None if path is None else read_weights(path),
            name=f"fold {self.spec.fold.name}, seed {self.spec.seed}, unit {self.spec.unit_id}",
        )

    def _source(self, part: Part, *, labelled: bool) -> CropSource:
        targets = part.targets(self.index, self.labels) if labelled else None
        given: dict[str, Any] = {"kind": self.index.kind, "caches": self.caches, "sounds": self.sounds}
        return make_source(part, self.plugin, targets=targets, **given)

    def _predict(self, predictor: Predictor, source: CropSource) -> np.ndarray:
        size = self.plugin.recipe.eval_batch_size
        scores = predict(predictor, source, size=size, device=self.fabric.device).numpy()
        if not np.isfinite(scores).all():
            raise AuharnessError(f"{self.plugin.name}: {int((~np.isfinite(scores)).sum())} scores are not finite")
        return scores

    def _log(self, event: str, **values: Any) -> None:
        """Write to the unit's log and to the run's events, from which progress is shown."""
        # a score may be undefined; JSON knows no NaN
        values = {name: None if _undefined(value) else value for name, value in values.items()}
        line = json.dumps({"event": event, **values}, default=str)
        with (self.scratch / "log.txt").open("a", encoding="utf-8") as stream:
            stream.write(f"{line}\n")
        self.run.event(event, unit=self.spec.unit_id, fold=self.spec.fold.name, seed=self.spec.seed, **values)
        if event == "epoch":
            numbers = {name: value for name, value in values.items() if isinstance(value, (int, float))}
            told = {"unit_id": self.spec.unit_id, "epoch": int(values["epoch"]), "values": numbers}
            for problem in registry.notify(registry.observers(), "auharness_epoch_finished", **told):
                self.run.event("observer_failed", unit=self.spec.unit_id, problem=problem)


def _undefined(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
