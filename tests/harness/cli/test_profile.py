import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from auharness import registry

MODEL = ["profile", "small-cnn", "--preset", "tiny", "--device", "cpu", "--batch", "2", "--steps", "1"]


def test_a_model_is_profiled_and_its_files_are_named(command, tmp_path):
    answer = command(*MODEL, "--out", tmp_path, "--json")
    assert answer.code == 0
    found = json.loads(answer.out)
    assert (found["batch"], found["phase"], found["folder"]) == (2, "forward", str(tmp_path))
    assert all((tmp_path / name).is_file() for name in found["files"].values())


def test_the_table_the_times_and_how_to_open_it_are_printed(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = command(*MODEL)
    assert answer.code == 0 and answer.err == ""
    folder = "runs/profile/small-cnn-tiny/forward-cpu"
    head, *_, times, tensorboard, perfetto = answer.out.splitlines()
    assert head.split() == ["operator", "kind", "calls", "self", "CPU", "ms", "share"]
    assert times.startswith("step ") and "peak cpu" in times and "batch 2" in times
    assert tensorboard == f"tensorboard --logdir {folder}"
    assert Path(perfetto.removeprefix("or open in ui.perfetto.dev: ")).is_file()


def test_settings_and_presets_decide_what_is_profiled(command, tmp_path):
    words = ["profile", "au-ttt", "--preset", "tiny", "--set", "mixer=mamba", "--set", "depth=1", "--steps", "1"]
    answer = command(*words, "--device", "cpu", "--batch", "1", "--out", tmp_path, "--json")
    found = json.loads(answer.out)
    assert list(found["backends"]) == ["selective_scan"] and found["settings"]["depth"] == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["au-tt"], 2, "no model 'au-tt'; did you mean 'au-ttt'?"),
        (["small-cnn", "--preset", "tin"], 2, "'small-cnn' has no preset 'tin'; did you mean 'tiny'?"),
        (["small-cnn", "--set", "recipe.epoch=3"], 2, "'small-cnn' has no setting 'recipe.epoch'"),
        (["small-cnn", "--batch", "0"], 2, "argument --batch: expected a whole number from 1 up, got '0'"),
        (["small-cnn", "--phase", "backward"], 2, "argument --phase: invalid choice: 'backward'"),
        (["constant", "--phase", "training"], 2, "profile constant: no parameter of it learns by gradients"),
    ],
)
def test_a_wrong_word_is_one_line(command, tmp_path, words, code, message):
    answer = command("profile", *words, "--out", tmp_path / "out")
    assert answer.code == code
    assert message in answer.err and answer.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_weights_that_are_not_here_are_one_line_before_the_network_is_built(command, monkeypatch, tmp_path):
    plugin = registry.load("model", "small-cnn")
    monkeypatch.setattr(plugin, "missing", lambda self: "small-cnn: its weights are not on this machine; fetch them")
    monkeypatch.setattr(plugin, "build", lambda self, task: pytest.fail("built without its weights"))
    answer = command(*MODEL, "--out", tmp_path / "deep" / "out")
    assert answer.code == 3
    assert answer.err == "auharness: error: small-cnn: its weights are not on this machine; fetch them\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(find_spec("transformers") is None or find_spec("peft") is None, reason="needs `hf`")
@pytest.mark.parametrize("model", ["au-llm", "hga-agssm"])
def test_a_hub_that_cannot_be_reached_is_asked_once(command, monkeypatch, tmp_path, model):
    asked = []

    def unreachable(source, **options):
        asked.append(source)
        raise FileNotFoundError(f"no such repository {source}")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    answer = command("profile", model, "--device", "cpu", "--out", tmp_path / "out")
    assert answer.code == 3
    assert answer.err.count("\n") == 1 and "--set init=none" in answer.err
    assert 0 < len(asked) <= 2  # for a copy on this machine, then for the hub's
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_one_line_before_anything_is_measured(command, tmp_path):
    (tmp_path / "file").write_text("")
    answer = command(*MODEL, "--out", tmp_path / "file" / "here")
    assert answer.code == 3
    assert answer.err == (
        f"auharness: error: profile: {tmp_path}/file/here cannot be written; give another folder with --out\n"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a machine without a GPU")
def test_a_missing_gpu_is_one_line(command, tmp_path):
    answer = command("profile", "small-cnn", "--device", "cuda", "--out", tmp_path)
    assert answer.code == 3
    assert "torch sees no CUDA device" in answer.err
