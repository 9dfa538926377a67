"""Weights that are neither here nor to be had: `plan` says so and goes on, `run` stops before the first unit."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from auharness.leaderboard import memory as memory_module
from auharness.statistics import headline_interval, swap_test
from auharness_plugins.models.constant import Constant

Command = Callable[..., Any]

needs_hf = pytest.mark.skipif(find_spec("transformers") is None or find_spec("peft") is None, reason="needs `hf`")


@pytest.fixture
def asked(command: Command, casme2_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """A command about the constant under casme2-loso, in one process."""
    monkeypatch.setenv("AUHARNESS_CACHE", str(tmp_path / "cache"))

    def call(verb: str, *words: object, model: str = "constant") -> Any:
        what = (verb, "--model", model, "--protocol", "casme2-loso", "--data-root", f"casme2={casme2_tiny}")
        return command(*what, "--runs", tmp_path / "runs", "--jobs", 1, "--device", "cpu", *words)

    return call


@needs_hf
def test_a_language_model_that_is_nowhere_stops_a_run_before_its_first_unit(
    asked: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*_: Any, **__: Any) -> str:
        raise FileNotFoundError("no such repository")

    monkeypatch.setattr("huggingface_hub.snapshot_download", nowhere)
    planned = asked("plan", "--preset", "paper", "--json", model="au-llm")
    assert planned.code == 0, planned.err
    facts = json.loads(planned.out)["facts"]
    assert facts["missing"].startswith(
        "language model 'deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B': not on this machine"
    )
    assert "time unknown" in facts["training"]
    answer = asked("run", "--preset", "paper", model="au-llm")
    assert answer.code == 3
    (line,) = answer.err.splitlines()
    assert line.startswith(
        "auharness: error: language model 'deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B': no such repos"
    )
    assert "--set backbone=hf:FOLDER" in line
    assert not list(tmp_path.glob("runs/**/units")) and not (tmp_path / "cache" / "crops").exists()


@needs_hf
def test_the_plan_of_the_small_language_model_tells_the_time(asked: Command) -> None:
    facts = json.loads(asked("plan", "--json", model="au-llm").out)["facts"]
    assert "missing" not in facts
    assert "x 64 epochs, about 0 h " in facts["training"]


def test_an_ablation_needs_what_its_unfinished_runs_need_before_the_first_of_them(
    asked: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(self: Constant) -> str:
        return "" if self.value == "zero" else "a table of constants; write one"

    # how many draws an interval has does not matter here
    interval, test = headline_interval, swap_test
    monkeypatch.setattr(memory_module, "headline_interval", lambda *a, **k: interval(*a, **k, draws=100))
    monkeypatch.setattr(memory_module, "swap_test", lambda *a, **k: test(*a, **k, draws=100))
    monkeypatch.setattr(Constant, "variants", ("zero", "one"))
    words = ("--ablation", "--folds", "01", "--preset", "tiny")
    with monkeypatch.context() as lost:
        lost.setattr(Constant, "missing", missing)
        answer = asked("run", *words)
        assert (answer.code, answer.err.splitlines()) == (3, ["auharness: error: a table of constants; write one"])
        assert not (tmp_path / "runs" / "casme2-loso").exists()
    assert asked("run", *words).code == 0
    # what is finished needs nothing any more
    monkeypatch.setattr(Constant, "missing", missing)
    assert asked("run", *words).code == 0


@pytest.mark.parametrize(
    ("model", "protocol", "message"),
    [
        ("cnn3d", "bp4d-3fold", "cnn3d reads clips: bp4d-3fold scores single frames"),
        ("small-cnn", "samm-loso", "clips"),
    ],
)
def test_a_model_that_reads_other_data_is_refused_before_a_stand_in_is_drawn(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, protocol: str, message: str
) -> None:
    monkeypatch.setenv("AUHARNESS_CACHE", str(tmp_path / "cache"))
    for verb in ("plan", "run"):
        answer = command(verb, "--model", model, "--protocol", protocol, "--data-size", "tiny")
        assert answer.code == 2 and message in answer.err
    assert not (tmp_path / "cache").exists()
