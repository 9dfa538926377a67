"""A model that answers for each frame, explained over time, on the tiny stand-in of Aff-Wild2."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import auharness
from auharness.data.cache import CropCache
from auharness.data.sound import RATE, SoundStore
from auharness.errors import IntegrityError, UsageError
from auharness.explain.loaded import Data, LoadedRun
from auharness.explain.window_pictures import outputs_worth_a_look
from auharness.explain.windows import stretch_of, surest_stretches, window_traces
from auharness.results.store import RunFolder
from auharness.runner import RunResult
from auharness.runner.parts import make_source, part_at, sounds_of
from auharness.runner.plan import crop_settings
from auharness.runner.prepare import crops_of
from auharness.runner.progress import Progress
from auharness.training.predictor import as_output, call

Command = Callable[..., Any]
FRAMES, STRIDE = 12, 5
SMALL = {
    "preprocess": {"frames": FRAMES, "stride": STRIDE, "resize": 32, "crop": 32},
    "recipe": {"epochs": 1},
    "augment": {"windows": 1},
    "dim": 12,
    "inner": 8,
}


@pytest.fixture(scope="module")
def trained(affwild2_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A run of a very small hga-agssm. Not to be changed."""
    return auharness.run(
        "hga-agssm",
        "affwild2-val",
        data_roots={"affwild2": str(affwild2_tiny)},
        settings=SMALL,
        runs=tmp_path_factory.mktemp("window-runs"),
        device="cpu",
        jobs=1,
    )


@pytest.fixture(scope="module")
def run(trained: RunResult, affwild2_tiny: Path) -> LoadedRun:
    return LoadedRun(RunFolder(trained.path), Data({"affwild2": str(affwild2_tiny)}, device="cpu"))


@pytest.fixture(scope="module")
def gap(run: LoadedRun) -> str:
    """A tested recording in which frame numbers are left out, since they are not coded."""
    table = run.index.table
    tested = table[table["sample_id"].isin(run.predictions["sample_id"])]
    steps = tested.groupby("sequence")["frame"].apply(lambda frames: int(frames.diff().max()))
    return str(steps[steps > 1].index[0])


def test_a_frame_is_explained_within_half_a_window_and_a_recording_as_a_whole(run: LoadedRun, gap: str) -> None:
    whole = window_traces(run, stretch_of(run, gap, training=False))
    table = run.index.table
    assert whole.frames.tolist() == table.loc[table["sequence"] == gap, "frame"].tolist()
    some = int(whole.frames[len(whole.frames) // 2])
    around = window_traces(run, stretch_of(run, f"affwild2/{gap}/{some}", training=False))
    assert around.frames.tolist() == [frame for frame in whole.frames if abs(frame - some) <= FRAMES // 2]
    inside = np.isin(whole.frames, around.frames)
    for name, values in around.traces.items():
        np.testing.assert_allclose(values, whole.traces[name][:, inside], rtol=1e-5, atol=1e-6)


def test_scores_are_those_on_record_and_truth_that_of_the_labels(run: LoadedRun, gap: str) -> None:
    found = window_traces(run, stretch_of(run, gap, training=False))
    rows = run.predictions.set_index("sample_id").loc[[f"affwild2/{gap}/{frame}" for frame in found.frames]]
    np.testing.assert_allclose(found.scores, rows[list(run.outputs)], atol=1e-4)
    np.testing.assert_allclose(found.probability, 1 / (1 + np.exp(-found.scores)))
    np.testing.assert_array_equal(found.truth, rows[[f"{name}.target" for name in run.columns]])


def test_traces_are_the_means_over_the_windows_that_hold_a_frame(run: LoadedRun, gap: str) -> None:
    found = window_traces(run, stretch_of(run, gap, training=False))
    index, plugin = run.index, found.plugin
    rows = np.flatnonzero(index.table["sequence"] == gap)
    crops = crops_of(run.inputs, index, rows, settings=crop_settings(plugin), jobs=1, tell=Progress())
    caches = {name: CropCache(path) for name, path in crops.folders.items()}
    part = part_at(index, rows, key="clip", caches=caches)
    sounds = sounds_of(plugin, run.inputs.datasets)
    (batch,) = make_source(part, plugin, kind=index.kind, caches=caches, sounds=sounds).batches(1000)
    with torch.inference_mode():
        said = as_output(call(run.predictor(run.units[0]).module, batch, plugin.inputs)).aux
    first, last = int(found.frames[0]), int(found.frames[-1])
    starts = [*range(first, last + 1 - FRAMES, STRIDE), last + 1 - FRAMES]
    assert set(found.traces) == {"delta", "audio_gate", "region_attention"} == set(said)
    for frame in (first, first + STRIDE, last - 1, last):
        holding = [(window, frame - start) for window, start in enumerate(starts) if start <= frame < start + FRAMES]
        (column,) = np.flatnonzero(found.frames == frame)
        for name, values in said.items():
            mean = torch.stack([values[window, :, step] for window, step in holding]).mean(0)
            np.testing.assert_allclose(found.traces[name][:, column], mean, rtol=1e-4, atol=1e-5)


def test_the_waveform_is_the_sound_of_the_stretch(run: LoadedRun, gap: str) -> None:
    found = window_traces(run, stretch_of(run, gap, training=False))
    store = SoundStore(run.inputs.datasets["affwild2"])
    seconds = found.time_s[-1] - found.time_s[0]
    wanted, recorded = store.read(gap, float(found.time_s[0]), round(seconds * RATE))
    assert found.sound is not None and found.recorded is not None
    np.testing.assert_array_equal(found.sound, wanted)
    np.testing.assert_array_equal(found.recorded, recorded)


def test_without_a_sample_curves_and_the_surest_stretches_are_drawn(
    trained: RunResult, run: LoadedRun, affwild2_tiny: Path, command: Command, tmp_path: Path
) -> None:
    given = ("--data-root", f"affwild2={affwild2_tiny}", "--device", "cpu", "--out", tmp_path / "out")
    answer = command("explain", trained.path, *given, "--json")
    assert answer.code == 0, answer.err
    curves, *windows = json.loads(answer.out)
    assert curves["kind"] == "curves"
    assert {item["sample"] for item in windows} == {stretch.sample.id for stretch in surest_stretches(run)}
    for item in windows:
        assert item["kind"] == "window" and item["traces"] == ["delta", "audio_gate", "region_attention"]
        assert (picture := cv2.imread(item["path"])) is not None and picture.std() > 5
        kept = np.load(Path(item["path"]).with_suffix(".npz"))
        assert kept["region_attention"].shape == (7, len(kept["frames"]))
        assert [int(kept["frames"][0]), int(kept["frames"][-1])] == item["frames"]


def test_outputs_that_are_neither_there_nor_predicted_are_left_out(run: LoadedRun, gap: str) -> None:
    found = window_traces(run, stretch_of(run, gap, training=False))
    there = {name for name, column in zip(run.columns, found.truth.T, strict=True) if (column == 1).any()}
    predicted = {name for name, column in zip(run.outputs, found.probability.T, strict=True) if (column >= 0.5).any()}
    assert set(outputs_worth_a_look(found, ())) == there | predicted
    assert outputs_worth_a_look(found, ("AU12",)) == ["AU12"]


def test_a_training_recording_is_only_explained_when_asked_for(run: LoadedRun) -> None:
    name = run.index.split("affwild2", "train")[0]
    with pytest.raises(UsageError, match="needs --training"):
        stretch_of(run, name, training=False)
    stretch = stretch_of(run, name, training=True)
    assert stretch.whole and stretch.sample.training
    assert len(window_traces(run, stretch).frames) == (run.index.table["sequence"] == name).sum()


def test_a_network_that_does_not_give_the_scores_on_record_is_not_explained(
    trained: RunResult, affwild2_tiny: Path, gap: str
) -> None:
    other = LoadedRun(RunFolder(trained.path), Data({"affwild2": str(affwild2_tiny)}, device="cpu"))
    other.predictions["AU12"] += 1.0
    with pytest.raises(IntegrityError, match="for AU12, on record is"):
        window_traces(other, stretch_of(other, gap, training=False))


def test_what_cannot_be_drawn_is_one_line(trained: RunResult, affwild2_tiny: Path, command: Command) -> None:
    given = ("--data-root", f"affwild2={affwild2_tiny}", "--device", "cpu")
    for words, said in [
        ((trained.path, trained.path), "answers for each frame of a window, which is not drawn beside other runs"),
        ((trained.path, "--layer", "stage3"), "no layer is mapped; leave --layer out"),
    ]:
        answer = command("explain", *words, *given)
        assert answer.code == 2 and said in answer.err
        assert len(answer.err.strip().splitlines()) == 1
