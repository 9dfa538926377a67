"""The record of a finished unit, from its predictions and what was done to get them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from auharness.api import ModelPlugin, Predictor
from auharness.metrics import objective
from auharness.records import Task
from auharness.results.schema import UnitRecord
from auharness.runner.spec import UnitSpec
from auharness.runner.weights import weights_origin
from auharness.scoring import cluster_counts, count_scored, decision_values, unit_metrics

__all__ = ["Clock", "Outcome", "device_name", "make_record"]


class Clock:
    """Wall and processor time since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()

    @property
    def times(self) -> dict[str, float]:
        """`wall_s` and `cpu_s`."""
        wall, cpu = time.monotonic() - self._wall, time.process_time() - self._cpu
        return {"wall_s": round(wall, 3), "cpu_s": round(cpu, 3)}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a unit came to."""

    spec: UnitSpec
    plugin: ModelPlugin
    task: Task
    predictor: Predictor
    scored: pd.DataFrame
    """Test scores with their targets."""
    train_target: np.ndarray
    """`[N,A]` labels of the training rows, all outputs."""
    train_scores: np.ndarray | None
    """`[N,A]` scores of the training rows for the threshold rule `train-tuned`."""
    n_dropped: int
    n_dropped_frames: int
    n_no_face: int
    device: str
    backends: Mapping[str, str]
    """Operator -> the backend that computed it."""


def make_record(outcome: Outcome, *, clock: Clock) -> UnitRecord:
    """Count, score and describe a unit."""
    spec, plugin, task, protocol = outcome.spec, outcome.plugin, outcome.task, outcome.spec.inputs.protocol
    columns = list(protocol.columns)
    places = [task.outputs.index(name) for name in columns]
    multiclass = task.kind == "clip-multiclass"
    thresholds = decision_values(
        plugin.score_kind,
        columns,
        metric=objective(protocol.headline),
        train_target=outcome.train_target[:, places],
        train_scores=None if outcome.train_scores is None else outcome.train_scores[:, places],
    )
    clusters = cluster_counts(
        outcome.scored,
        columns,
        thresholds=thresholds,
        multiclass=multiclass,
        cluster=protocol.cluster,
        datasets=protocol.test_on,
    )
    return UnitRecord(
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
        outputs=task.outputs,
        score_kind=plugin.score_kind,
        selection=plugin.recipe.selection,
        threshold=plugin.recipe.threshold,
        thresholds=() if multiclass else thresholds,
        aggregation=protocol.aggregation,
        clusters=clusters,
        train_positives=tuple(task.positives[place] for place in places),
        train_coded=tuple(task.coded[place] for place in places),
        n_train=len(outcome.train_target),
        n_frames=len(outcome.scored),
        n_scored=count_scored(outcome.scored, columns),
        n_subjects=outcome.scored["subject"].nunique(),
        n_dropped={"undecodable": outcome.n_dropped},
        n_dropped_frames=outcome.n_dropped_frames,
        n_no_face=outcome.n_no_face,
        smoke=spec.inputs.request.limit is not None or plugin.recipe.max_steps is not None,
        extra_data=plugin.extra_data,
        uses_apex=plugin.uses_apex,
        pretrained_on=_pretrained_on(outcome),
        weights_sha256=spec.weights_sha256,
        chosen_epoch=getattr(outcome.predictor, "chosen_epoch", None),
        epochs=getattr(outcome.predictor, "epochs", None),
        metrics=unit_metrics(protocol, outcome.scored, columns, clusters=clusters, multiclass=multiclass),
        parameters=_parameters(outcome.predictor),
        backend=dict(outcome.backends),
        device=outcome.device,
        files={},
        **clock.times,
    )


def device_name(device: torch.device) -> str:
    """Return `cpu`, or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _pretrained_on(outcome: Outcome) -> str:
    """As the weights file says; the plugin's word where the plugin fetched the weights itself."""
    path = outcome.spec.inputs.request.weights
    if path is not None:
        return weights_origin(path)
    return outcome.plugin.pretrained_on if outcome.plugin.init.startswith("hf:") else ""


def _parameters(predictor: Predictor) -> int | None:
    module = getattr(predictor, "module", None)
    if not isinstance(module, torch.nn.Module):
        return None
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
