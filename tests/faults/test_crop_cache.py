"""Damage to the crop cache between two runs: crops are made again or refused by name, and scores never change."""

import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import auharness

FILES = ("images.npy", "landmarks.npy", "valid.npy", "frames.npy", "meta.json")
DAMAGES = ("cut", "header", "empty", "gone", "pickle")


@pytest.fixture(scope="session")
def filled_cache(bp4d_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with crops and index of the mini root, and the runs that filled it. Not to be changed."""
    base = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUHARNESS_CACHE", str(base / "cache"))
        options: dict[str, Any] = {"presets": "tiny", "device": "cpu", "jobs": 1, "runs": base / "runs"}
        options |= {"folds": ["P1"], "settings": {"widths": [8], "recipe": {"epochs": 1}}}
        auharness.run("small-cnn", "bp4d-3fold", data_roots={"bp4d": str(bp4d_mini)}, **options)
    return base


@pytest.mark.cases("crop cache", *product(FILES, DAMAGES), names=("name", "damage"))
def test_damaged_crops_change_no_score(
    command: Callable[..., Any],
    refused: Callable[..., str],
    run_words: Callable[..., list[object]],
    filled_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    damage: str,
    chance: np.random.Generator,
) -> None:
    shutil.copytree(filled_cache / "cache", tmp_path / "cache")
    monkeypatch.setenv("AUHARNESS_CACHE", str(tmp_path / "cache"))
    # curves are drawn from the log, and take half of the time
    monkeypatch.setattr("auharness.explain.run_pictures.has_matplotlib", lambda: False)
    files = sorted((tmp_path / "cache").rglob(name))
    path = files[int(chance.integers(len(files)))]
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: chance.integers(1, len(content))])
    elif damage == "header":
        content[int(chance.integers(min(80, len(content))))] ^= 1 << int(chance.integers(7))
        path.write_bytes(content)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "gone":
        path.unlink()
    else:
        np.save(path.with_suffix(".npy"), np.array([{"x": 1}], object), allow_pickle=True)
        if path.suffix != ".npy":
            path.with_suffix(".npy").rename(path)
    answer = command(*run_words("small-cnn", "--folds", "P1"))
    assert answer.code == 0 or refused(answer, 3, 4, 7, lines=None)
    if answer.code == 0:
        calm, found = (sorted(runs.rglob("metrics.json")) for runs in (filled_cache / "runs", tmp_path / "runs"))
        assert [path.read_bytes() for path in calm] == [path.read_bytes() for path in found]
