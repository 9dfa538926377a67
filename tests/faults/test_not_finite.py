"""NaN and infinities in losses, logits, gradients and weights: the unit fails and says where, the others are kept."""

import json
import math
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from auharness.api import Output
from auharness.records import Task
from auharness.results.store import iter_runs
from auharness_plugins.models.small_cnn import SmallCNN

VALUES = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
PLACES = ("loss", "logits", "test logits", "gradient", "weights", "inner-val")


class Spoiler:
    """Puts a value into one place of the first unit, at a step by chance."""

    def __init__(self, patch: pytest.MonkeyPatch, place: str, value: float, step: int) -> None:
        self.place, self.value, self.step = place, value, step
        self.seen, self.builds = 0, 0
        self.build, self.loss = SmallCNN.build, SmallCNN.loss
        patch.setattr(SmallCNN, "build", lambda plugin, task: self.built(plugin, task))
        patch.setattr(SmallCNN, "loss", lambda plugin, *given: self.lost(plugin, *given))

    @property
    def on(self) -> bool:
        return self.builds == 2  # the first tries the settings

    def built(self, plugin: SmallCNN, task: Task) -> nn.Module:
        self.builds += 1
        network = self.build(plugin, task)
        if self.on and self.place in ("logits", "test logits", "inner-val"):
            network.register_forward_hook(self.forward)
        return network

    def forward(self, module: nn.Module, _: Any, logits: Tensor) -> Tensor:
        if module.training == (self.place == "logits"):
            self.seen += 1
            if self.seen > self.step:
                logits = logits.clone()
                logits[0, 0] = self.value
        return logits

    def lost(self, plugin: SmallCNN, output: Output, batch: Any, task: Task) -> dict[str, Tensor]:
        terms = self.loss(plugin, output, batch, task)
        self.seen += self.place in ("loss", "gradient", "weights")
        if not self.on or self.seen <= self.step:
            return terms
        if self.place == "loss":
            terms = {name: term * self.value for name, term in terms.items()}
        elif self.place in ("gradient", "weights"):
            # a finite loss whose gradient is not
            terms["odd"] = torch.where(output.logits > 1e9, 0.0, 0.0).sum()
            output.logits.register_hook(lambda gradient: gradient * self.value)  # type: ignore[no-untyped-call]  # torch's
        return terms


@pytest.mark.cases("not finite", *product(PLACES, VALUES), names=("place", "value"))
def test_a_value_that_is_not_finite_fails_its_unit_alone_and_reaches_no_record(
    command: Callable[..., Any],
    refused: Callable[..., str],
    run_words: Callable[..., list[object]],
    finished_marks: Callable[[Path], dict[Path, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    value: str,
    chance: np.random.Generator,
) -> None:
    Spoiler(monkeypatch, place, VALUES[value], 0 if place in ("test logits", "inner-val") else int(chance.integers(2)))
    selection = "inner-val" if place == "inner-val" else "last"
    words = run_words("small-cnn", "--folds", "P1,P2", "--set", "recipe.epochs=3", "--limit", 12)
    words += ["--set", f"recipe.selection={selection}", "--set", "recipe.batch_size=8"]
    said = refused(command(*words), 4)
    assert "fold P1, seed 0: small-cnn: " in said and "not finite" in said
    assert len(finished_marks(tmp_path / "runs")) == 1
    for path in (path for path in (tmp_path / "runs").rglob("*.json*") if path.suffix in (".json", ".jsonl")):
        text = path.read_text()
        for document in text.splitlines() if path.suffix == ".jsonl" else [text]:
            json.loads(document, parse_constant=lambda word: pytest.fail(f"a record holds {word}"))
    (run,) = iter_runs(tmp_path / "runs")
    assert [unit.fold for unit in run.finished()] == ["P2"]
