"""The labels of the test part cannot reach training: when they are turned around, nothing that is learned changes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from auharness.results.schema import UnitRecord
from auharness.results.store import RunFolder
from auharness.runner import RunResult

TEST_SUBJECTS = ("F001", "F002")  # those of part P1 in the mini root
TURNED = str.maketrans("01", "10")


@pytest.fixture
def poisoned(bp4d_mini: Path, tmp_path: Path) -> Path:
    """The same images, with every coded label of the test subjects turned around in the vendor's sheets."""
    root = tmp_path / "poisoned"
    shutil.copytree(bp4d_mini, root)
    for subject in TEST_SUBJECTS:
        (sheet,) = root.glob(f"AUCoding/AU_OCC/{subject}_*.csv")
        header, *rows = sheet.read_text().splitlines()
        cells = [row.split(",", 1) for row in rows]
        sheet.write_text("\n".join([header, *(f"{frame},{labels.translate(TURNED)}" for frame, labels in cells)]))
    return root


def only_unit(result: RunResult) -> tuple[UnitRecord, bytes]:
    run = RunFolder(result.path)
    (unit,) = run.finished()
    return unit, (run.unit_folder(unit.unit_id) / "weights.safetensors").read_bytes()


@pytest.mark.parametrize(
    "recipe", [{"selection": "last"}, {"selection": "inner-val", "inner_val_share": 0.3, "threshold": "train-tuned"}]
)
def test_turned_test_labels_change_neither_weights_nor_chosen_epoch(
    run_mini: Callable[..., RunResult], poisoned: Path, recipe: dict[str, object]
) -> None:
    settings = {"widths": [8], "recipe": {"epochs": 6, "batch_size": 8, "lr": 0.02, **recipe}}
    sound, weights = only_unit(run_mini(folds=["P1"], settings=settings))
    turned, poisoned_weights = only_unit(run_mini(folds=["P1"], settings=settings, data_roots={"bp4d": str(poisoned)}))
    assert weights == poisoned_weights
    assert sound.chosen_epoch == turned.chosen_epoch is not None
    assert sound.thresholds == turned.thresholds
    assert (sound.train_positives, sound.train_coded) == (turned.train_positives, turned.train_coded)
    # the poison was there: every right answer has become a wrong one
    for before, after in zip(sound.clusters, turned.clusters, strict=True):
        for (tp, fp, fn, tn), counts in zip(before.counts, after.counts, strict=True):
            assert counts == (fp, tp, tn, fn)
