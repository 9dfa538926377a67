from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from auharness import registry
from auharness.api import ProtocolPlugin
from auharness.errors import IntegrityError
from auharness.results.store import RunFolder
from auharness.runner import RunResult
from auharness.scoring import score_units
from auharness.scoring.rescore import oracle_units, rescore

Run = Callable[..., RunResult]


@pytest.fixture
def protocol() -> ProtocolPlugin:
    plugin: ProtocolPlugin = registry.load("protocol", "bp4d-3fold")()
    return plugin


def edit(run: RunFolder, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = next(run.path.glob("units/*/predictions.parquet"))
    change(pd.read_parquet(path)).to_parquet(path, index=False)


def test_every_number_of_a_run_follows_from_its_predictions(run_mini: Run, protocol: ProtocolPlugin) -> None:
    result = run_mini(folds=("P1", "P2"))
    found = rescore(protocol, RunFolder(result.path))
    assert [item.differences for item in found] == [(), ()]
    assert score_units(protocol, [item.unit for item in found]) == result.score


def test_changed_scores_and_rows_are_named(run_mini: Run, protocol: ProtocolPlugin) -> None:
    run = RunFolder(run_mini(folds=("P1",)).path)
    edit(run, lambda frame: frame.assign(**{name: -frame[name] for name in protocol.columns}))
    (found,) = rescore(protocol, run)
    assert any("counts of F001" in text for text in found.differences)
    assert any("auroc of AU" in text for text in found.differences)
    edit(run, lambda frame: frame.iloc[1:])
    (found,) = rescore(protocol, run)
    assert "fold P1, seed 0: n_frames is 12, the predictions give 11" in found.differences


def test_predictions_that_cannot_be_read_are_an_integrity_error(run_mini: Run, protocol: ProtocolPlugin) -> None:
    run = RunFolder(run_mini(folds=("P1",)).path)
    edit(run, lambda frame: frame.drop(columns="AU12.target"))
    with pytest.raises(IntegrityError, match=r"column 'AU12.target' is missing"):
        rescore(protocol, run)
    path = next(run.path.glob("units/*/predictions.parquet"))
    path.write_bytes(b"no parquet")
    with pytest.raises(IntegrityError, match="expected readable predictions"):
        rescore(protocol, run)


def test_saved_epochs_give_marked_oracle_numbers_and_change_no_headline(
    run_mini: Run, protocol: ProtocolPlugin
) -> None:
    settings = {"widths": [8], "recipe": {"epochs": 3, "batch_size": 16, "save_epoch_predictions": True}}
    result = run_mini(folds=("P1", "P2"), settings=settings)
    run = RunFolder(result.path)
    found = rescore(protocol, run)
    assert [item.differences for item in found] == [(), ()]
    oracles = oracle_units(protocol, run)
    assert set(oracles) == {"epoch", "threshold", "epoch and threshold"}
    marks = {name: {(unit.selection, unit.threshold) for unit in units} for name, units in oracles.items()}
    assert marks == {
        "epoch": {("test-oracle", "fixed-0.5")},
        "threshold": {("last", "test-oracle")},
        "epoch and threshold": {("test-oracle", "test-oracle")},
    }
    scores = {name: score_units(protocol, units, interval=False).headline for name, units in oracles.items()}
    assert scores["epoch and threshold"] >= max(scores["epoch"], scores["threshold"])
    assert min(scores.values()) >= result.score.headline


def test_the_oracle_epoch_is_the_best_one_by_an_outside_truth(run_mini: Run, protocol: ProtocolPlugin) -> None:
    settings = {"widths": [8], "recipe": {"epochs": 3, "batch_size": 16, "save_epoch_predictions": True}}
    run = RunFolder(run_mini(folds=("P1",), settings=settings).path)
    frame = pd.read_parquet(next(run.path.glob("units/*/predictions.parquet")))
    columns = list(protocol.columns)
    final = frame[frame["epoch"].isna()].set_index("sample_id")
    means: dict[object, float] = {}
    for epoch, rows in frame[frame["epoch"].notna()].groupby("epoch"):
        target = final.loc[rows["sample_id"], [f"{name}.target" for name in columns]].to_numpy(int)
        present = rows[columns].to_numpy() >= 0
        defined = (target.sum(axis=0) + present.sum(axis=0)) > 0
        values = f1_score(target, present, average=None, zero_division=0)
        means[epoch] = float(np.mean(values[defined]))
    (unit,) = oracle_units(protocol, run)["epoch"]
    assert unit.metrics["f1"]["mean"] == pytest.approx(max(means.values()))
    assert means[unit.chosen_epoch] == max(means.values())


def test_a_run_without_saved_epochs_has_the_threshold_oracle_only(run_mini: Run, protocol: ProtocolPlugin) -> None:
    run = RunFolder(run_mini(folds=("P1",)).path)
    assert set(oracle_units(protocol, run)) == {"threshold"}


def test_rescoring_writes_nothing(run_mini: Run, protocol: ProtocolPlugin) -> None:
    run = RunFolder(run_mini(folds=("P1",)).path)

    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}

    before = state()
    rescore(protocol, run)
    oracle_units(protocol, run)
    assert state() == before
