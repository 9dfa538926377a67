"""Resuming where it is easy to go wrong: at the very end of an epoch, and with random numbers that are not torch's."""

import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from auharness.api import Batch, ModelPlugin, Output, Recipe
from auharness.records import Task
from auharness.training.loop import Loop
from auharness.training.unit import make_fabric

TASK = Task(("AU1",), "frame-multilabel", "made", (4,), (8,), 16)


class Stop(Exception):
    pass


class Rows:
    """Eight rows of four numbers; stands in for the source of a training part."""

    def __len__(self) -> int:
        return 8

    def batches_from(self, size: int, *, seed: int, start: int, device: torch.device) -> Iterator[Batch]:
        order = torch.randperm(8, generator=torch.Generator().manual_seed(seed % 2**31))
        images = torch.arange(32.0).reshape(8, 4) / 32
        targets = (torch.arange(8) % 2).to(torch.int8)[:, None]
        for which in torch.split(order, size)[start:]:
            yield {"image": images[which], "target": targets[which]}


class Noisy(ModelPlugin):
    """Draws from every common generator in its loss."""

    name = "noisy"
    recipe: Recipe = Recipe(epochs=3, batch_size=4, lr=0.1)

    def build(self, task: Task) -> nn.Module:
        return nn.Linear(4, 1)

    def loss(self, output: Output, batch: Batch, task: Task) -> dict[str, torch.Tensor]:
        noise = random.random() + np.random.rand() + float(torch.rand(()))
        return {name: value * noise for name, value in super().loss(output, batch, task).items()}


def loop_in(folder: Path, log: Callable[..., None] = lambda *_, **__: None) -> Loop:
    return Loop(Noisy(), TASK, fabric=make_fabric("cpu", "32-true"), seed=3, folder=folder, log=log)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_random_numbers_of_python_and_numpy_go_on_where_they_stopped(tmp_path: Path, steps: int) -> None:
    rows: Any = Rows()
    whole = loop_in(tmp_path / "whole").run(rows, None).state()
    cut = loop_in(tmp_path / "cut")
    step = cut._step

    def step_until(batch: Batch) -> Any:
        if cut.step == steps:
            raise Stop
        return step(batch)

    cut._step = step_until  # type: ignore[method-assign]  # the test stops the loop from inside
    with pytest.raises(Stop):
        cut.run(rows, None, checkpoint_s=0)
    random.seed(9)
    np.random.seed(9)
    resumed = loop_in(tmp_path / "cut").run(rows, None).state()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_an_epoch_that_was_stopped_after_its_last_step_reports_no_score_instead_of_a_wrong_one(tmp_path: Path) -> None:
    rows: Any = Rows()
    stopped = loop_in(tmp_path, _stop_at_epoch)
    with pytest.raises(Stop):
        stopped.run(rows, None, checkpoint_s=0)
    told: list[tuple[str, dict[str, Any]]] = []
    loop_in(tmp_path, lambda event, **values: told.append((event, values))).run(rows, None)
    (resumed, at), (epoch, values), *_ = told
    assert (resumed, at) == ("resumed", {"epoch": 0, "batch": 2})
    assert (epoch, values["epoch"]) == ("epoch", 1)
    assert math.isnan(values["train_score"]) and "bce" not in values
    assert not math.isnan(told[-1][1]["train_score"])


def _stop_at_epoch(event: str, **_: object) -> None:
    if event == "epoch":
        raise Stop
