"""A stranger's model that exits, prints, lies or breaks in any of its methods costs its own unit and nothing else."""

import json
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from auharness.api import Output
from auharness_plugins.models.small_cnn import SmallCNN


def _exit(*_: object, **__: object) -> Any:
    sys.exit("bye")


def _exit_well(*_: object, **__: object) -> Any:
    sys.exit(0)


def _raise(*_: object, **__: object) -> Any:
    raise KeyError("a key\nof two lines")


def _stop(*_: object, **__: object) -> Any:
    raise StopIteration


def _assert(*_: object, **__: object) -> Any:
    raise AssertionError


def _recurse(*given: object, **more: object) -> Any:
    return _recurse(*given, **more)


RAISING: dict[str, Callable[..., Any]] = {
    "exits": _exit,
    "exits as if well": _exit_well,
    "raises": _raise,
    "stops": _stop,
    "asserts": _assert,
    "recurses": _recurse,
}
METHODS = ("loss", "parameter_groups", "monitor", "fit")
ANSWERS: dict[str, tuple[str, Callable[..., Any]]] = {
    "no loss": ("loss", lambda *_: {}),
    "loss is a number": ("loss", lambda *_: 1.0),
    "loss is a vector": ("loss", lambda self, output, *_: {"bce": output.logits}),
    "loss without gradient": ("loss", lambda self, output, *_: {"bce": output.logits.detach().mean()}),
    "no groups": ("parameter_groups", lambda *_: []),
    "groups twice": ("parameter_groups", lambda self, module: [{"params": list(module.parameters())}] * 2),
    "groups of others": ("parameter_groups", lambda *_: [{"params": [torch.nn.Parameter(torch.zeros(1))]}]),
    "fit is nothing": ("fit", lambda *_: None),
    "weights are none": ("fit", lambda *_: _Predictor(12, {"a": "no tensor"})),
    "too few scores": ("fit", lambda *_: _Predictor(3, {})),
    "too many rows": ("fit", lambda *_: _Predictor(12, {}, more=1)),
    "scores are text": ("fit", lambda *_: "scores"),
}


class _Predictor:
    def __init__(self, width: int, state: Mapping[str, Any], more: int = 0) -> None:
        self.width, self.weights, self.more = width, state, more

    def __call__(self, batch: Any) -> Tensor:
        return torch.zeros(len(batch["image"]) + self.more, self.width)

    def state(self) -> Mapping[str, Any]:
        return self.weights


@pytest.mark.cases("plugins at work", *(f"{method}/{how}" for method in METHODS for how in RAISING), *ANSWERS)
def test_a_broken_model_fails_its_unit_in_one_line_and_the_other_is_kept(
    command: Callable[..., Any],
    refused: Callable[..., str],
    run_words: Callable[..., list[object]],
    finished_marks: Callable[[Path], dict[Path, Any]],
    trained_fold_copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    chance: np.random.Generator,
) -> None:
    finished = finished_marks(trained_fold_copy)
    method, _, how = kind.partition("/")
    method, broken = (method, RAISING[how]) if how else ANSWERS[kind]
    monkeypatch.setattr(SmallCNN, method, broken)
    answer = command(*run_words("small-cnn", "--folds", "P1,P2"))
    assert "1 of 2 units failed" in refused(answer, 4)
    assert finished_marks(trained_fold_copy) == finished


@pytest.fixture
def untouched() -> Iterator[None]:
    """Give back what a model may change for the whole process."""
    before = (torch.get_default_dtype(), np.geterr(), dict(os.environ))
    yield
    torch.set_default_dtype(before[0])
    np.seterr(**before[1])
    os.environ.clear()
    os.environ.update(before[2])


def test_a_model_that_prints_leaves_stdout_to_the_answer(
    command: Callable[..., Any], run_words: Callable[..., list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = SmallCNN.loss

    def chatty(self: SmallCNN, output: Output, batch: Any, task: Any) -> Any:
        sys.stdout.write("{ not json")
        return loss(self, output, batch, task)

    monkeypatch.setattr(SmallCNN, "loss", chatty)
    answer = command(*run_words("small-cnn", "--folds", "P1", "--json"))
    assert answer.code == 0 and json.loads(answer.out)[0]["done"] == 1
    assert "{ not json" in answer.err


def test_random_numbers_that_a_model_sets_reach_no_other_unit(
    command: Callable[..., Any],
    run_words: Callable[..., list[object]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    untouched: None,
) -> None:
    assert command(*run_words("small-cnn", "--runs", tmp_path / "calm")).code == 0
    fit = SmallCNN.fit

    def meddling(self: SmallCNN, unit: Any) -> Any:
        found = fit(self, unit)
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        np.seterr(all="ignore")
        os.environ["OMP_NUM_THREADS"] = "7"
        return found

    monkeypatch.setattr(SmallCNN, "fit", meddling)
    assert command(*run_words("small-cnn", "--runs", tmp_path / "meddled")).code == 0
    calm, meddled = (
        {path.parent.name: path.read_bytes() for path in (tmp_path / name).rglob("weights.safetensors")}
        for name in ("calm", "meddled")
    )
    assert calm == meddled and len(calm) == 3


@pytest.mark.parametrize("words", ["[/bold] [red]", "\x1b[2J", "two\nlines"])
def test_what_a_failing_unit_says_is_shown_as_it_is(
    command: Callable[..., Any], run_words: Callable[..., list[object]], monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    def failing(*_: object) -> Any:
        raise ValueError(words)

    monkeypatch.setattr(SmallCNN, "fit", failing)
    answer = command(*[word for word in run_words("small-cnn", "--folds", "P1") if word != "--quiet"])
    assert answer.code == 4 and "\x1b" not in answer.err and "Traceback" not in answer.err
    # by the progress, and in the last line
    assert answer.err.count(" ".join(words.split()).replace("\x1b", "\\x1b")) == 2


def test_memory_that_runs_out_is_told_while_the_run_goes_on(
    command: Callable[..., Any], run_words: Callable[..., list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    build = SmallCNN.build

    def narrow(module: torch.nn.Module, given: Any) -> None:
        if not module.training and len(given[0]) > 8:
            raise MemoryError

    def built(self: SmallCNN, task: Any) -> torch.nn.Module:
        network = build(self, task)
        network.register_forward_pre_hook(narrow)
        return network

    monkeypatch.setattr(SmallCNN, "build", built)
    words = run_words("small-cnn", "--folds", "P1", "--set", "recipe.selection=inner-val")
    answer = command(*[word for word in words if word != "--quiet"])
    assert answer.code == 0 and "out of memory, at most " in answer.err
