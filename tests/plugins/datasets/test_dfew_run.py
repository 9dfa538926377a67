"""DFEW through the command line: what a spoiled root does to a run, and what of it is kept."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from auharness.results.schema import UnitRecord
from auharness.results.store import RunFolder, iter_runs

Command = Callable[..., Any]
SMALL = (
    "preprocess.resize=36",
    "preprocess.crop=36",
    "preprocess.frames=4",
    "width=8",
    "dim=8",
    "hidden=[]",
    "heads=2",
    "recipe.epochs=1",
)
LISTS = "EmoLabel_DataSplit/{}(single-labeled)/set_1.csv"


@pytest.fixture
def root(dfew_tiny: Path, tmp_path: Path) -> Path:
    """A root that a test may spoil."""
    return Path(shutil.copytree(dfew_tiny, tmp_path / "dfew"))


@pytest.fixture
def run(command: Command, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Train a tiny mamba-dfer on the first fold, with a crop cache of its own."""
    monkeypatch.setenv("AUHARNESS_CACHE", str(tmp_path / "cache"))
    settings = [word for setting in SMALL for word in ("--set", setting)]

    def call(*words: object, model: str = "mamba-dfer") -> Any:
        where = ("--data-root", f"dfew={root}", "--runs", tmp_path / "runs", "--device", "cpu", "--jobs", 1)
        own = settings if model == "mamba-dfer" else ()
        return command("run", "--model", model, "--protocol", "dfew-fold1", *where, *own, *words)

    return call


def clip_of(root: Path, part: str) -> Path:
    """Folder of the first clip of a part of fold 1."""
    number = int((root / LISTS.format(part)).read_text().splitlines()[1].split(",")[0])
    return root / "Clip" / "clip_224x224" / f"{number:05d}"


def the_unit(tmp_path: Path) -> tuple[RunFolder, UnitRecord]:
    """The only unit of the only run."""
    (folder,) = iter_runs(tmp_path / "runs")
    (unit,) = folder.finished()
    return folder, unit


def test_clips_of_one_frame_train_are_scored_and_can_be_looked_at(
    run: Command, command: Command, root: Path, tmp_path: Path
) -> None:
    short = [clip_of(root, part) for part in ("train", "test")]
    for clip in short:
        for image in sorted(clip.iterdir())[1:]:
            image.unlink()
    answer = run("--quiet")
    assert (answer.code, answer.err) == (0, "")
    folder, unit = the_unit(tmp_path)
    assert (unit.n_train + unit.n_frames, unit.n_dropped, unit.n_dropped_frames) == (40, {"undecodable": 0}, 0)
    scored = pd.read_parquet(folder.unit_folder(unit.unit_id) / "predictions.parquet").set_index("sample_id")
    assert scored.loc[f"dfew/{short[1].name}", list(unit.columns)].notna().all()
    assert {path.name for path in folder.path.iterdir()} >= {"curves.csv", "confusion"}
    looked = ("--sample", short[1].name, "--output", "Sad", "--data-root", f"dfew={root}", "--device", "cpu")
    assert command("explain", folder.path, *looked, "--out", tmp_path / "out").code == 0
    found = tmp_path / "out" / "dfew" / short[1].name
    assert {path.name for path in found.iterdir()} == {"Sad.png"} | {
        f"Sad.{layer}.{kind}" for layer in ("backbone", "cbam", "enhancer") for kind in ("png", "npz")
    }
    frames = np.load(found / "Sad.cbam.npz")["frames"]
    assert len(frames) == 4 and (frames == frames[0]).all()


def test_a_corrupt_frame_is_named_and_costs_its_clip_nothing_else(run: Command, root: Path, tmp_path: Path) -> None:
    empty, cut = sorted(clip_of(root, "test").iterdir())[3:5]
    whole = {path: path.read_bytes() for path in (empty, cut)}
    empty.write_bytes(b"")
    cut.write_bytes(whole[cut][:200])
    refused = run("--quiet")
    assert refused.code == 3
    head, *lines = refused.err.splitlines()
    assert head.endswith("frames that cannot be read: 2; repair the files, or leave them out with --on-bad-frame drop:")
    assert [line.partition(": ")[2].split(": ")[1].strip() for line in lines] == [str(empty), str(cut)]
    assert list(iter_runs(tmp_path / "runs")) == []
    # without them the clip is scored by its other frames, and the record and the page count them
    assert run("--quiet", "--on-bad-frame", "drop").code == 0
    _, unit = the_unit(tmp_path)
    assert (unit.n_train + unit.n_frames, unit.n_dropped, unit.n_dropped_frames) == (40, {"undecodable": 0}, 2)
    page = (tmp_path / "runs" / "leaderboard" / "dfew-fold1.md").read_text()
    assert "0, and 2 frames of others" in page
    for path, content in whole.items():
        path.write_bytes(content)
    assert run("--quiet").code == 0
    assert sorted(one.finished()[0].n_dropped_frames for one in iter_runs(tmp_path / "runs")) == [0, 2]


def test_a_clip_of_which_no_frame_can_be_read_is_dropped_and_counted(run: Command, root: Path, tmp_path: Path) -> None:
    clip = clip_of(root, "train")
    for image in clip.iterdir():
        image.write_bytes(b"no picture")
    assert run("--quiet", "--on-bad-frame", "drop").code == 0
    _, unit = the_unit(tmp_path)
    assert (unit.n_train + unit.n_frames, unit.n_dropped, unit.n_dropped_frames) == (39, {"undecodable": 1}, 0)


def test_bad_data_is_a_clear_message_and_what_was_finished_before_is_kept(
    run: Command, root: Path, tmp_path: Path
) -> None:
    assert run("--quiet", model="constant").code == 0
    folder, unit = the_unit(tmp_path)
    mark = folder.unit_folder(unit.unit_id) / "unit.json"
    before = mark.stat().st_mtime_ns

    def refused(expected: str) -> bool:
        answers = [run("--quiet", model=model) for model in ("constant", "mamba-dfer")]
        return all(one.code == 3 and expected in one.err and "Traceback" not in one.err for one in answers)

    clip, aside = clip_of(root, "train"), tmp_path / "aside"
    shutil.move(clip, aside)
    no_frames = f"1 of 40 listed clips have no frames in {clip.parent}: {clip.name}; expected {clip.name} or "
    assert refused(no_frames)
    clip.mkdir()
    assert refused(no_frames)
    clip.rmdir()
    shutil.move(aside, clip)

    name = LISTS.format("test")
    text = (root / name).read_text()
    rows = text.splitlines()
    (root / name).write_text("\n".join([*rows[:3], f"{rows[3].split(',')[0]},8", *rows[4:]]) + "\n")
    assert refused(f"{name} row 4: label is 8, expected one of 1 Happy, 2 Sad, 3 Neutral, 4 Angry")
    (root / name).write_text(text)

    (answer,) = json.loads(run("--json", model="constant").out)
    assert (answer["kept"], answer["done"]) == (1, 0) and mark.stat().st_mtime_ns == before
