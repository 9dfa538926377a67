"""Epochs and thresholds are chosen by the number that the protocol tells, not by another one."""

import json
from pathlib import Path
from typing import Any

import pytest

import auharness
from auharness.metrics import METRICS, objective
from auharness.results.store import RunFolder
from auharness.runner import record
from auharness.scoring import decision_values


def test_epochs_and_thresholds_of_micro_expressions_are_chosen_by_macro_f1(
    casme2_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def decide(*args: Any, **given: Any) -> tuple[float, ...]:
        asked.append(given["metric"].name)
        return decided(*args, **given)

    decided = decision_values
    monkeypatch.setattr(record, "decision_values", decide)
    recipe = {"epochs": 2, "selection": "inner-val", "inner_val_share": 0.4, "threshold": "train-tuned"}
    settings = {"widths": [4, 4], "high": 8, "preprocess": {"resize": 32, "crop": 32}, "recipe": recipe}
    given: dict[str, Any] = {"presets": "tiny", "settings": settings, "folds": ["01"], "jobs": 1, "device": "cpu"}
    given |= {"data_roots": {"casme2": str(casme2_tiny)}, "runs": tmp_path / "runs"}
    run = RunFolder(auharness.run("cnn3d", "casme2-loso", **given).path)
    (unit,) = run.finished()
    log = [json.loads(line) for line in (run.unit_folder(unit.unit_id) / "log.txt").read_text().splitlines()]
    assert {event["metric"] for event in log if event["event"] == "epoch"} == {"macro-F1 {0,1}"}
    assert asked == ["macro-f1-binary"]


@pytest.mark.parametrize(
    ("headline", "chosen_by"),
    [("f1", "f1"), ("macro-f1-binary", "macro-f1-binary"), ("accuracy", "accuracy"), ("auroc", "f1"), ("uar", "f1")],
)
def test_a_headline_without_decisions_of_labels_is_replaced_by_f1(headline: str, chosen_by: str) -> None:
    assert objective(headline) is METRICS[chosen_by]
