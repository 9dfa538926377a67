"""Whole runs of hga-agssm on stand-ins of Aff-Wild2."""

import time
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

import auharness
from auharness.data.cache_root import cache_root
from auharness.results.store import PREDICTIONS, RunFolder

needs_hf = pytest.mark.skipif(find_spec("transformers") is None or find_spec("peft") is None, reason="needs `hf`")
KEPT = {
    "vision": "dinov2-random",
    "kept_grid": 2,
    "dim": 12,
    "inner": 8,
    "preprocess": {"frames": 12, "stride": 6, "resize": 64, "crop": 56},
    "recipe": {"epochs": 1},
    "augment": {"windows": 1},
}


@needs_hf
def test_a_run_keeps_what_it_saw_says_so_and_another_seed_sees_nothing_anew(
    affwild2_tiny: Path, tmp_path: Path
) -> None:
    roots = {"affwild2": str(affwild2_tiny)}
    given = {"presets": ("tiny", "cached"), "settings": KEPT, "data_roots": roots, "runs": tmp_path, "jobs": 1}
    before = _kept()
    first = auharness.run("hga-agssm", "affwild2-val", device="cpu", **given)
    made = {path: status for path, status in _kept().items() if path not in before}
    record = RunFolder(first.path).finished()[0]
    assert record.preset == "tiny,cached" and record.settings["tuning"] == "cached"
    # 4 + 2 films, one of each part with two people
    sequences = pd.read_parquet(next(first.path.glob(f"units/*/{PREDICTIONS}")))["subject"].nunique()
    assert len(made) == 6 and sequences == 2
    second = auharness.run("hga-agssm", "affwild2-val", device="cpu", seeds=(1,), **given)
    assert {path: status for path, status in _kept().items() if path not in before} == made
    assert second.score.n_scored == first.score.n_scored == 120


def _kept() -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (cache_root() / "kept").rglob("*.npy")}


@pytest.mark.nightly
def test_tiny_beats_the_floor_by_10_points_and_needs_its_sound_for_that(tmp_path: Path) -> None:
    """The promise of the preset on the stand-in `small`: minutes on a CPU, and laughter, sighs and speech are heard."""
    started = time.process_time()
    heard, muted = (
        auharness.run("hga-agssm", "affwild2-val", presets=presets, runs=tmp_path, device="cpu", jobs=1).score
        for presets in (("tiny",), ("tiny", "muted"))
    )
    seconds = (time.process_time() - started) / 2
    assert heard.n_scored == muted.n_scored == 2400
    assert heard.headline >= heard.floors["constant-1"] + 0.10
    assert heard.headline >= muted.headline + 0.10
    assert seconds < 8 * 60
