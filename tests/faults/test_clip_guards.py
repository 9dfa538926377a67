"""What a model of clips may learn from the part that tests it: nothing. Labels, pixels and the apex change there."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import pytest
import torch
from openpyxl import load_workbook

import auharness
from auharness import registry
from auharness.api import Output
from auharness.data.au_notation import parse_aus
from auharness.data.index import Index, build_index
from auharness.errors import UnitsFailedError, UsageError
from auharness.results.schema import UnitRecord
from auharness.results.store import RunFolder
from auharness.runner import RunResult
from auharness.scoring import score_units
from auharness.scoring.rescore import oracle_units
from auharness.training.unit import TrainingUnit
from auharness_plugins.models.cnn3d import CNN3D

AUS = (1, 2, 4, 7, 12, 14, 15, 17)
TESTED = "01"
SMALL = {"widths": [4, 4], "high": 8, "preprocess": {"resize": 32, "crop": 32}}
INNER = {"epochs": 6, "lr": 0.02, "selection": "inner-val", "inner_val_share": 0.4, "threshold": "train-tuned"}
MODELS: dict[str, dict[str, Any]] = {
    "cnn3d": {**SMALL, "recipe": INNER},
    "lbp-top": {"preprocess": {"resize": 32, "crop": 32}, "blocks": [2, 2], "inner_folds": 2},
    "constant": {"value": "prior", "preprocess": {"align": "none", "resize": 32, "crop": 32}},
}
Run = Callable[..., RunResult]


@pytest.fixture
def root(casme2_tiny: Path, tmp_path: Path) -> Path:
    """A copy of the stand-in that a test may change."""
    return Path(shutil.copytree(casme2_tiny, tmp_path / "casme2"))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one small fold, with a crop cache of its own: roots differ in pixels too."""
    monkeypatch.setenv("AUHARNESS_CACHE", str(tmp_path / "cache"))

    def call(root: Path, model: str = "cnn3d", **options: Any) -> RunResult:
        given: dict[str, Any] = {"presets": "tiny", "settings": MODELS[model], "folds": [TESTED], "jobs": 1}
        given |= {"runs": tmp_path / "runs", "device": "cpu", "data_roots": {"casme2": str(root)}}
        return auharness.run(model, "casme2-loso", **(given | options))

    return call


def change_sheet(root: Path, column: str, change: Callable[[Any], Any], *, subject: str = "") -> None:
    """Change a column of the sheet, in the rows of one subject or in all."""
    (path,) = root.glob("*.xlsx")
    book = load_workbook(path)
    sheet = book.worksheets[0]
    header = [str(cell.value).replace(" ", "") for cell in sheet[1]]
    for row in sheet.iter_rows(min_row=2):
        if subject in ("", str(row[header.index("Subject")].value).zfill(2)):
            cell = row[header.index(column)]
            cell.value = change(cell.value)
    book.save(path)


def turned(text: Any) -> str:
    """The AUs that a cell does not name."""
    named = parse_aus(str(text))
    return "+".join(str(au) for au in AUS if au not in named) or "?"


def invert_images(root: Path) -> None:
    for path in (root / "Cropped" / f"sub{TESTED}").rglob("*.jpg"):
        picture = cv2.imread(str(path))
        assert picture is not None
        cv2.imwrite(str(path), cv2.bitwise_not(picture))


def learned(result: RunResult) -> tuple[UnitRecord, bytes]:
    """The record of the only unit, and all that it fitted."""
    run = RunFolder(result.path)
    (unit,) = run.finished()
    return unit, (run.unit_folder(unit.unit_id) / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("model", MODELS)
def test_turned_labels_and_other_pixels_of_the_test_part_change_nothing_that_is_fitted(
    run: Run, root: Path, model: str
) -> None:
    sound, fitted = learned(run(root, model))
    change_sheet(root, "ActionUnits", turned, subject=TESTED)
    invert_images(root)
    poisoned, again = learned(run(root, model))
    # weights of a network, C and dual weights of a machine, a prior: all of it is in the saved state
    assert fitted == again
    assert (sound.chosen_epoch, sound.thresholds) == (poisoned.chosen_epoch, poisoned.thresholds)
    assert (sound.train_positives, sound.train_coded) == (poisoned.train_positives, poisoned.train_coded)
    # the poison was there
    positives = [[tp + fn for tp, _, fn, _ in unit.clusters[0].counts] for unit in (sound, poisoned)]
    assert [one + other for one, other in zip(*positives, strict=True)] == [sound.n_frames] * len(AUS)


def test_thresholds_follow_the_training_part_and_only_the_tagged_oracle_follows_the_test_labels(
    run: Run, root: Path
) -> None:
    protocol = registry.load("protocol", "casme2-loso")()
    found = []
    for change in (lambda text: text, turned):
        change_sheet(root, "ActionUnits", change, subject=TESTED)
        result = run(root)
        folder = RunFolder(result.path)
        (unit,), oracle = folder.finished(), oracle_units(protocol, folder)
        (best,) = oracle["threshold"]
        assert (unit.threshold, best.threshold) == ("train-tuned", "test-oracle")
        assert score_units(protocol, [unit]).headline == result.score.headline
        found.append((unit.thresholds, best.thresholds))
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


def hashes(index: Index, dataset_root: Path, subjects: set[str]) -> set[str]:
    rows = index.table[index.table["subject"].isin(subjects)]
    return {
        hashlib.sha256((dataset_root / path).read_bytes()).hexdigest() for clip in rows["media_path"] for path in clip
    }


def test_no_picture_is_in_both_parts_of_a_fold(casme2_tiny: Path) -> None:
    index = build_index(registry.load("dataset", "casme2")(root=casme2_tiny))
    for fold in registry.load("protocol", "casme2-loso")().folds(index):
        train, test = ({subject for _, subject in ids} for ids in (fold.train_ids, fold.test_ids))
        assert not hashes(index, casme2_tiny, train) & hashes(index, casme2_tiny, test)


def test_a_copied_clip_of_another_person_is_found_before_a_run(command: Callable[..., Any], root: Path) -> None:
    words = ("data", "leaks", "--protocol", "casme2-loso", "--data-root", f"casme2={root}")
    assert command(*words).code == 0
    table = build_index(registry.load("dataset", "casme2")(root=root)).table
    first, second = (table[table["subject"] == subject]["media_path"].iloc[0][3] for subject in ("01", "02"))
    shutil.copyfile(root / first, root / second)
    answer = command(*words)
    assert answer.code == 3
    assert f"casme2/{first} equals casme2/{second}, of another subject" in answer.out


def test_samples_are_varied_after_the_split_and_keep_their_person(
    run: Run, casme2_tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []
    train = TrainingUnit.train

    def watched(self: TrainingUnit, plugin: Any, **more: Any) -> Any:
        generator = torch.Generator().manual_seed(0)
        for batch in self.train_data.batches(4, generator=generator):
            seen.extend(zip(batch["sample_id"], batch["subject"], strict=True))
        return train(self, plugin, **more)

    monkeypatch.setattr(TrainingUnit, "train", watched)
    result = run(casme2_tiny, settings={**SMALL, "augment": {"flip": 0.5, "brightness": 0.4}, "recipe": {"epochs": 1}})
    unit, _ = learned(result)
    tested = pd.read_parquet(RunFolder(result.path).unit_folder(unit.unit_id) / "predictions.parquet")
    assert len(seen) == len(set(seen)) == unit.n_train == 10
    assert all(sample.split("/")[1] == subject != TESTED for sample, subject in seen)
    assert set(tested["subject"]) == {TESTED} and set(tested["views"]) == {1}
    assert not {sample for sample, _ in seen} & set(tested["sample_id"])


def test_the_apex_of_the_sheet_changes_no_sample_and_no_score(run: Run, root: Path) -> None:
    sound, fitted = learned(run(root))
    before = build_index(registry.load("dataset", "casme2")(root=root)).table
    change_sheet(root, "ApexFrame", lambda frame: "/" if frame != "/" else 1)
    after = build_index(registry.load("dataset", "casme2")(root=root)).table
    pd.testing.assert_frame_equal(before, after)
    assert not [name for name in before.columns if "apex" in name.lower()]
    other, again = learned(run(root))
    assert sound.data.manifests != other.data.manifests  # the sheet is another file
    assert fitted == again and sound.clusters == other.clusters and sound.metrics == other.metrics


def test_a_model_that_asks_for_the_apex_is_refused_before_training(
    run: Run, casme2_tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CNN3D, "inputs", ("clip", "apex"))
    with pytest.raises(UsageError, match="cnn3d: no batch holds the input 'apex'; expected some of image, clip"):
        run(casme2_tiny)


def test_a_model_that_touches_the_apex_without_declaring_it_fails(
    run: Run, casme2_tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def curious(self: CNN3D, output: Output, batch: Any, task: Any) -> dict[str, torch.Tensor]:
        return {"apex": output.logits.mean() * batch["apex"].float().mean()}

    monkeypatch.setattr(CNN3D, "loss", curious)
    with pytest.raises(UnitsFailedError, match="KeyError: 'apex'"):
        run(casme2_tiny)


def test_a_model_that_knows_the_apex_says_so_in_its_record_and_on_the_board(
    run: Run, casme2_tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = run(casme2_tiny)
    assert not learned(free)[0].uses_apex and "the annotated apex" not in free.page.read_text()
    monkeypatch.setattr(CNN3D, "uses_apex", True)
    declared = run(casme2_tiny, settings={**MODELS["cnn3d"], "dropout": 0.2})
    assert learned(declared)[0].uses_apex
    assert declared.page.read_text().count("the annotated apex of test clips") == 1
