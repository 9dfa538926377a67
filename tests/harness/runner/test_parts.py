"""Which rows train, validate and test."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from auharness import registry
from auharness.api import Recipe
from auharness.data.cache import CropCache, CropSettings
from auharness.data.index import Index, build_index
from auharness.data.prepare import by_sequence, prepare
from auharness.errors import DataError
from auharness.records import FrameRecord
from auharness.runner.parts import Part, make_task, split_validation, take_part
from auharness.training.source import Rows
from auharness_plugins.datasets.bp4d import BP4D
from auharness_plugins.models.constant import Constant

EVERYONE = frozenset(("bp4d", subject) for subject in ("F001", "F002", "F003", "F004", "F005", "F006"))


@pytest.fixture
def index(bp4d_mini: Path) -> Index:
    return build_index(BP4D(root=bp4d_mini))


@pytest.fixture
def caches(index: Index, bp4d_mini: Path, tmp_path: Path) -> dict[str, CropCache]:
    cache = CropCache(tmp_path)
    records = [record for record in index.records() if isinstance(record, FrameRecord)]
    prepare(cache, bp4d_mini, by_sequence(records), CropSettings("none", 16, "mean-shape"))
    return {"bp4d": cache}


def take_rows(count: int) -> Rows:
    names = [str(number) for number in range(count)]
    return Rows(names, names, names, names, np.arange(count), np.zeros(count))


def test_a_part_holds_the_rows_of_its_keys_in_the_order_of_the_index(
    index: Index, caches: dict[str, CropCache]
) -> None:
    part = take_part(index, {("bp4d", "F004"), ("bp4d", "F002")}, key="subject", caches=caches)
    assert part.rows.sample_ids == [
        f"bp4d/{subject}/T7/{frame}" for subject in ("F002", "F004") for frame in range(1, 7)
    ]
    assert part.keys == ("F002",) * 6 + ("F004",) * 6
    np.testing.assert_allclose(part.rows.time_s[:6], np.arange(1, 7) / 25)
    assert part.n_missing == 0


def test_times_of_the_dataset_are_kept_and_others_counted(index: Index, caches: dict[str, CropCache]) -> None:
    given = np.full(len(index), np.nan)
    given[1:3] = 0.09, 0.15
    timed = replace(index, arrow=index.arrow.append_column("time_s", pa.array(given, from_pandas=True)))
    part = take_part(timed, {("bp4d", "F001")}, key="subject", caches=caches)
    np.testing.assert_allclose(part.rows.time_s, [1 / 25, 0.09, 0.15, 4 / 25, 5 / 25, 6 / 25])


def test_a_limit_keeps_rows_from_the_first_to_the_last(index: Index, caches: dict[str, CropCache]) -> None:
    part = take_part(index, EVERYONE, key="subject", caches=caches, limit=5)
    assert len(part.rows) == 5
    assert (part.positions[0], part.positions[-1]) == (0, 35)
    assert len(take_part(index, EVERYONE, key="subject", caches=caches, limit=99).rows) == 36


def test_rows_without_a_crop_are_left_out_and_counted(
    index: Index, caches: dict[str, CropCache], bp4d_mini: Path, tmp_path: Path
) -> None:
    records = [record for record in index.records() if isinstance(record, FrameRecord)]
    some = CropCache(tmp_path / "some")
    kept = [record for record in records if record.frame != 3]
    prepare(some, bp4d_mini, by_sequence(kept), CropSettings("none", 16, "mean-shape"))
    part = take_part(index, EVERYONE, key="subject", caches={"bp4d": some})
    assert (len(part.rows), part.n_missing) == (30, 6)
    assert 3 not in part.rows.frames


def test_held_out_subjects_are_whole_and_disjoint_from_those_that_train(
    index: Index, caches: dict[str, CropCache]
) -> None:
    part = take_part(index, EVERYONE, key="subject", caches=caches)
    recipe = Recipe(selection="inner-val", inner_val_share=0.34)
    train, held_out = split_validation(part, recipe, key="subject", seed=1)
    assert held_out is not None
    assert len(set(held_out.keys)) == 2 and not set(train.keys) & set(held_out.keys)
    assert sorted([*train.positions, *held_out.positions]) == sorted(part.positions)
    other = split_validation(part, recipe, key="subject", seed=2)[1]
    assert other is not None and set(other.keys) != set(held_out.keys)
    assert split_validation(part, Recipe(), key="subject", seed=1) == (part, None)


def test_a_single_training_subject_cannot_be_split(index: Index, caches: dict[str, CropCache]) -> None:
    part = take_part(index, {("bp4d", "F001")}, key="subject", caches=caches)
    with pytest.raises(DataError, match=r"at least two training subjects, got 1; use --set recipe\.selection=last"):
        split_validation(part, Recipe(selection="inner-val"), key="subject", seed=0)


def test_a_task_counts_the_given_rows_alone_and_ignores_what_is_not_coded(index: Index) -> None:
    labels = np.array([[1, -1], [1, 0], [0, 1], [1, 1]], np.int8)
    part = Part(np.array([0, 1]), take_rows(2), ("a", "b"))
    protocol = registry.load("protocol", "bp4d-3fold")()
    task = make_task(index, ("AU1", "AU2"), part.positions, labels=labels, plugin=Constant(), protocol=protocol)
    assert (task.positives, task.coded) == ((2, 0), (2, 1))
    only_coded = Part(np.array([0, 1, 2]), take_rows(3), ("a", "b", "c")).coded(np.array([[-1, -1], [0, -1], [1, 1]]))
    assert only_coded.keys == ("b", "c")


@pytest.mark.parametrize(
    ("name", "objective"),
    [("bp4d-3fold", "f1"), ("casme2-loso", "macro-f1-binary"), ("samm-to-casme2", "macro-f1-binary")],
)
def test_what_a_model_is_chosen_by_is_the_headline_of_the_protocol(index: Index, name: str, objective: str) -> None:
    given: dict[str, Any] = {
        "labels": np.ones((4, 1), np.int8),
        "plugin": Constant(),
        "protocol": registry.load("protocol", name)(),
    }
    assert make_task(index, ("AU1",), np.arange(4), **given).objective == objective
