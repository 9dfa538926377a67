"""Damage to the files of finished units and to records: found, named, and never mistaken for a result."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FILES = ("predictions.parquet", "metrics.json", "log.txt", "weights.safetensors")
DAMAGES = ("cut", "bits", "empty", "gone", "longer")
RECORD_DAMAGES = (
    *("cut", "empty", "garbage", "deep", "version", "future", "unknown", "missing", "type", "nan", "swap", "list"),
)
NEEDED = ("model", "protocol", "run_id", "protocol_version")
"""Fields without which a record is none."""
READERS: tuple[tuple[str, ...], ...] = (
    ("status",),
    ("store", "reindex"),
    ("score", "{run}"),
    ("status", "{run}"),
)


def spoil(path: Path, kind: str, chance: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    if kind == "cut":
        path.write_bytes(content[: chance.integers(len(content))])
    elif kind == "bits":
        content[int(chance.integers(len(content)))] ^= 1 << int(chance.integers(8))
        path.write_bytes(content)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "gone":
        path.unlink()
    else:
        path.write_bytes(bytes(content) + chance.bytes(9))


@pytest.mark.cases("finished units", *product(DAMAGES, FILES), names=("damage", "name"))
def test_a_changed_file_of_a_finished_unit_is_named_and_breaks_no_command(
    command: Callable[..., Any],
    refused: Callable[..., str],
    trained_fold_copy: Path,
    tmp_path: Path,
    damage: str,
    name: str,
    chance: np.random.Generator,
) -> None:
    runs = ("--runs", trained_fold_copy)
    (path,) = trained_fold_copy.rglob(name)
    spoil(path, damage, chance)
    assert f"{path}: " in refused(command("store", "verify", *runs), 7)
    (run,) = trained_fold_copy.glob("*/*/*/run.json")
    commands: list[tuple[object, ...]] = [("score", run.parent, *runs), ("status", *runs)]
    if name in ("predictions.parquet", "weights.safetensors"):
        commands.append(("explain", run.parent, "--out", tmp_path / "e"))
    for words in commands:
        answer = command(*words, "--quiet")
        assert answer.code == 0 or refused(answer, 2, 3, 7, lines=None)


def damaged(record: dict[str, Any], kind: str, chance: np.random.Generator) -> bytes:
    """Return a record as a broken disk, a careless hand or another version would leave it."""
    text = json.dumps(record).encode()
    name = str(chance.choice([name for name, value in record.items() if value not in ("", {}, [], None)]))
    if kind == "cut":
        return text[: chance.integers(1, len(text))]
    if kind == "garbage":
        return chance.bytes(int(chance.integers(1, 400)))
    if kind == "deep":
        return b"[" * int(chance.integers(10, 100_000))
    needed = str(chance.choice([key for key in NEEDED if key in record]))
    changes: dict[str, dict[str, Any] | list[Any]] = {
        "version": {**record, "schema_version": int(chance.choice([0, 2, 99, -1]))},
        "future": {**record, "schema_version": 2, "new_field": [1]},
        "unknown": {**record, "score": 99},
        "missing": {key: value for key, value in record.items() if key != needed},
        "type": {**record, name: {"odd": [None, True]}},
        "nan": {**record, "n_frames": float("nan"), "folds_total": float("nan"), "attempt": float("inf")},
        "swap": {**record, "unit_id": "../../x", "units": [{"unit_id": "x", "fold": 3, "seed": "y"}]},
        "list": [record],
    }
    return b"" if kind == "empty" else json.dumps(changes[kind]).encode()


@pytest.mark.cases("records", *product(RECORD_DAMAGES, ("run.json", "unit.json")), names=("damage", "name"))
def test_a_record_that_is_none_is_named_by_every_command(
    command: Callable[..., Any],
    refused: Callable[..., str],
    fold_copy: Path,
    tmp_path: Path,
    damage: str,
    name: str,
    chance: np.random.Generator,
) -> None:
    runs = ("--runs", fold_copy)
    (path,) = fold_copy.rglob(name)
    (run,) = fold_copy.glob("*/*/*/run.json")
    path.write_bytes(damaged(json.loads(path.read_text()), damage, chance))
    assert f"{path}" in refused(command("store", "verify", *runs), 7)
    for words in READERS:
        answer = command(*(word.format(run=run.parent) for word in words), *runs, "--quiet")
        assert answer.code == 0 or refused(answer, 2, 3, 7)
    answer = command("leaderboard", "add", run.parent, *runs, "--dir", tmp_path / "boards")
    refused(answer, 2, 3, 7)


@pytest.mark.parametrize("kind", ["cut", "garbage", "empty", "gone"])
def test_a_derived_index_that_is_damaged_is_made_again(command: Callable[..., Any], fold_copy: Path, kind: str) -> None:
    before = command("status", "--runs", fold_copy)
    index = fold_copy / "index.sqlite"
    content = index.read_bytes()
    index.write_bytes({"cut": content[:1000], "garbage": b"no database" * 99}.get(kind, b""))
    if kind == "gone":
        index.unlink()
    assert (before.code, command("status", "--runs", fold_copy)) == (0, before)
