"""Anyone's predictions scored under a protocol: a run folder like any other, without a model plugin."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from auharness import registry
from auharness.api import DatasetPlugin, ProtocolPlugin
from auharness.data.index import Index, build_index
from auharness.data.roots import RootChoice, check_origins, resolve_root
from auharness.data.synthetic.standin import is_standin
from auharness.data.verify import verify
from auharness.errors import DataError, UsageError, near
from auharness.metrics import objective
from auharness.records import Fold
from auharness.results.atomic import digest, file_digest
from auharness.results.schema import DataInfo, RunRecord, Selection, Threshold, UnitRecord, UnitRef
from auharness.results.store import RunFolder
from auharness.scoring.confusion import write_confusions
from auharness.scoring.pooled import pooled_metrics
from auharness.scoring.predictions import cluster_counts, count_scored, unit_metrics
from auharness.scoring.table_file import PredictionTable, read_predictions
from auharness.scoring.thresholds import decision_values
from auharness.scoring.units import sample_word
from auharness.settings import Resolved, environment_settings, resolve

__all__ = ["PRESET", "External", "ScoredExternal", "score_external"]

PRESET = "external"
"""Stands in the place of a preset, so that such rows are known at once."""
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class External:
    """A file of predictions, and what its author says about it."""

    path: Path
    protocol: str
    name: str = ""
    """Stands in the column model; default the file's name."""
    score_kind: Literal["logit", "probability", "margin"] = "probability"
    selection: Selection = "last"
    threshold: Threshold = "fixed-0.5"
    pretrained_on: str = ""
    extra_data: str = ""
    missing: Literal["fail", "drop"] = "fail"
    """Test samples without a prediction: stop, or leave them out and count them."""
    data_roots: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Nested values of `--set`: `data.<dataset>.<key>`."""
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The tables `data` and `data_roots` of a configuration file."""
    data_size: str = "small"
    data_seed: int = 0


@dataclass(frozen=True)
class ScoredExternal:
    """Where the run lies, and what was left out."""

    run: RunFolder
    n_uncoded: int
    """Predictions for frames or clips without a label."""
    n_missing: int
    """Frames or clips of the test part without a prediction."""


@dataclass(frozen=True)
class _Ground:
    """What the predictions are held against."""

    protocol: ProtocolPlugin
    index: Index
    folds: tuple[Fold, ...]
    data: DataInfo


def score_external(asked: External, runs: Path) -> ScoredExternal:
    """Score a csv file under a protocol and write a run folder below `runs`; the same file gives the same folder.

    Each fold is one unit. Where folds test different subjects a row belongs to the fold that tests its subject; where
    they test the same, the file needs a column `fold`.

    Raises:
        UsageError: if a name is wrong.
        DataError: if the file does not fit the data, or test samples are missing and `missing` is `fail`.
    """
    name = _name(asked)
    ground = _ground(asked)
    columns = ground.protocol.columns
    table = read_predictions(asked.path, ground.index, columns, probability=asked.score_kind == "probability")
    rows = _rows_by_fold(asked, ground, table)
    missing = _missing(asked, ground, table, rows)
    identity = {
        "file": file_digest(asked.path),
        "name": name,
        "stated": [asked.score_kind, asked.selection, asked.threshold, asked.pretrained_on, asked.extra_data],
        "protocol": [asked.protocol, ground.protocol.version],
        "manifests": ground.index.manifests,
    }
    run_id = digest(identity, 12)
    units = {fold: UnitRef(unit_id=digest({**identity, "fold": fold}, 16), fold=fold, seed=0) for fold in rows}
    run = RunFolder(runs / asked.protocol / name / run_id)
    run.write_record(
        RunRecord(
            run_id=run_id,
            request_hash=digest(identity),
            model=name,
            protocol=asked.protocol,
            protocol_version=ground.protocol.version,
            preset=PRESET,
            data_origin=ground.data.origin,
            units=tuple(units.values()),
            folds_total=len(ground.folds),
        )
    )
    for fold, places in rows.items():
        frame = _frame(ground, table, places)
        record = _unit(asked, ground, frame, fold, missing=missing[fold])
        made = record.model_copy(update={"unit_id": units[fold].unit_id, "run_id": run_id, "model": name})
        run.finish_unit(made, predictions=frame, weights={}, log="")
    run.write_record(run.record.model_copy(update={"pooled": pooled_metrics(ground.protocol, run)}))
    write_confusions(run)
    return ScoredExternal(run, table.n_uncoded, sum(missing.values()))


def _name(asked: External) -> str:
    name = asked.name or re.sub(r"[^a-z0-9]+", "-", asked.path.stem.lower()).strip("-")
    if not NAME.fullmatch(name):
        raise UsageError(f"--name {name!r}: expected lower case letters, digits and hyphens, such as my-net")
    if name in registry.names("model"):
        raise UsageError(f"--name {name}: a model plugin has this name; name the predictions otherwise")
    return name


def _ground(asked: External) -> _Ground:
    protocol = registry.load("protocol", asked.protocol)()
    names = tuple(dict.fromkeys((*protocol.train_on, *protocol.test_on)))
    _check_data_names(asked, protocol.name, names)
    given: dict[str, Any] = {"flags": asked.data_roots, "config": asked.config.get("data_roots", {}), "env": os.environ}
    given |= {"size": asked.data_size, "seed": asked.data_seed}
    roots = [resolve_root(name, **given) for name in names]
    origin = check_origins(roots)
    datasets = [_dataset(asked, root) for root in roots]
    indexes = [build_index(dataset.plugin) for dataset in datasets]
    index = indexes[0] if len(indexes) == 1 else Index.concat(indexes)
    verified = None
    if origin == "licensed":
        found = [verify(dataset.plugin, one).verified for dataset, one in zip(datasets, indexes, strict=True)]
        known = [value for value in found if value is not None]
        verified = all(known) if known else None
    size = ""
    if origin == "synthetic":
        marks = [is_standin(root.path) or {} for root in roots]
        size = ",".join(dict.fromkeys(str(mark.get("size", "unknown")) for mark in marks))
    settings = {dataset.plugin.name: dataset.plugin.recorded_settings for dataset in datasets}
    data = DataInfo(origin=origin, verified=verified, size=size, manifests=index.manifests, settings=settings)
    return _Ground(protocol, index, tuple(protocol.folds(index)), data)


def _check_data_names(asked: External, protocol: str, names: Sequence[str]) -> None:
    odd = next((key for key in asked.settings if key != "data"), None)
    if odd is not None:
        raise UsageError(f"--set {odd}: predictions have no model; expected data.NAME.KEY=VALUE")
    for option, given in (("--data-root ", asked.data_roots), ("--set data.", asked.settings.get("data", {}))):
        for name in given:
            if name not in names:
                raise UsageError(f"{option}{name}: {protocol} reads {', '.join(names)}{near(name, names)}")


def _dataset(asked: External, root: RootChoice) -> Resolved[DatasetPlugin]:
    """Return a reader with the settings that a run of the same arguments has."""
    name = root.dataset
    sources = {"file": asked.config, "environment": environment_settings(os.environ), "flag": asked.settings}
    layers = [(origin, values.get("data", {}).get(name, {})) for origin, values in sources.items()]
    plugin = registry.load("dataset", name)
    return resolve(plugin, dataset=name, layers=[*layers, ("root", {"root": root.path})])


def _rows_by_fold(asked: External, ground: _Ground, table: PredictionTable) -> dict[str, np.ndarray]:
    """Return, per fold with predictions, which rows of the file belong to its test part."""
    key = ground.protocol.key
    tested = {fold.name: ground.index.rows(fold.test_ids, key=key) for fold in ground.folds}
    overlap = sum(map(len, tested.values())) > len(set().union(*(set(rows.tolist()) for rows in tested.values())))
    if overlap and table.folds is None:
        raise DataError(
            f"{asked.path}: expected a column fold, because the folds of {asked.protocol} test the same "
            f"{sample_word(ground.protocol)}; name the fold that each row was predicted in: {', '.join(tested)}"
        )
    unknown = sorted(set(table.folds or ()) - set(tested))
    if unknown:
        raise DataError(f"{asked.path}: unknown fold '{unknown[0]}' (folds: {', '.join(tested)})")
    found = {}
    for name, positions in tested.items():
        inside = np.isin(table.positions, positions)
        if table.folds is not None:
            inside &= np.array(table.folds) == name
        if inside.any():
            found[name] = np.flatnonzero(inside)
    if not found:
        raise DataError(f"{asked.path}: no row belongs to a test part of {asked.protocol}")
    return found


def _missing(
    asked: External, ground: _Ground, table: PredictionTable, rows: Mapping[str, np.ndarray]
) -> dict[str, int]:
    """Return the number of test samples without a prediction, per fold with predictions."""
    found = {}
    names: list[str] = []
    for fold in ground.folds:
        if fold.name in rows:
            tested = ground.index.rows(fold.test_ids, key=ground.protocol.key)
            lost = np.setdiff1d(tested, table.positions[rows[fold.name]])
            found[fold.name] = len(lost)
            names += list(ground.index.table["sample_id"].iloc[lost[: 5 - len(names)]]) if len(names) < 5 else []
    total = sum(found.values())
    if total and asked.missing == "fail":
        raise DataError(
            f"{asked.path}: {total} test {sample_word(ground.protocol)} have no prediction, such as "
            f"{', '.join(names)}; add them, or leave them out and count them with --missing drop"
        )
    return found


def _frame(ground: _Ground, table: PredictionTable, places: np.ndarray) -> pd.DataFrame:
    """Scores and targets of one fold, in the order of the index, laid out like any unit's predictions."""
    order = places[np.argsort(table.positions[places], kind="stable")]
    rows = ground.index.table.iloc[table.positions[order]]
    columns = list(ground.protocol.columns)
    frame = pd.DataFrame(table.scores[order], columns=columns)
    frame.insert(0, "subject", rows["subject"].to_numpy())
    frame.insert(0, "sample_id", rows["sample_id"].to_numpy())
    target = ground.index.labels(columns, rows=table.positions[order])
    for number, name in enumerate(columns):
        frame[f"{name}.target"] = target[:, number]
    return frame


def _unit(asked: External, ground: _Ground, frame: pd.DataFrame, fold_name: str, *, missing: int) -> UnitRecord:
    protocol, index = ground.protocol, ground.index
    columns = protocol.columns
    multiclass = index.kind == "clip-multiclass"
    nothing = np.empty((0, len(columns)))
    given: dict[str, Any] = {"metric": objective(protocol.headline), "train_target": nothing, "train_scores": None}
    thresholds = decision_values(asked.score_kind, columns, **given)
    clusters = cluster_counts(
        frame,
        columns,
        thresholds=thresholds,
        multiclass=multiclass,
        cluster=protocol.cluster,
        datasets=protocol.test_on,
    )
    fold = next(fold for fold in ground.folds if fold.name == fold_name)
    train = index.labels(columns, rows=index.rows(fold.train_ids, key=protocol.key))
    return UnitRecord(
        unit_id="",
        run_id="",
        model="",
        protocol=protocol.name,
        protocol_version=protocol.version,
        fold=fold_name,
        seed=0,
        preset=PRESET,
        settings=_settings(asked),
        data=ground.data,
        kind="classes" if multiclass else "binary",
        columns=columns,
        outputs=columns,
        score_kind=asked.score_kind,
        selection=asked.selection,
        threshold=asked.threshold,
        thresholds=() if multiclass else thresholds,
        aggregation=protocol.aggregation,
        clusters=clusters,
        train_positives=tuple(map(int, (train == 1).sum(axis=0))),
        train_coded=tuple(map(int, (train >= 0).sum(axis=0))),
        n_train=len(train),
        n_frames=len(frame),
        n_scored=count_scored(frame, columns),
        n_subjects=int(frame["subject"].nunique()),
        n_dropped={"without prediction": missing},
        extra_data=asked.extra_data or "external predictions, training not seen here",
        pretrained_on=asked.pretrained_on or "not stated",
        metrics=unit_metrics(protocol, frame, columns, clusters=clusters, multiclass=multiclass),
        files={},
    )


def _settings(asked: External) -> dict[str, Any]:
    return {"predictions_sha256": file_digest(asked.path), "score_kind": asked.score_kind}
