"""Two processes that train one unit together, on the CPU, against one."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auharness.api import Batch, ModelPlugin, Output, Recipe
from auharness.errors import AuharnessError, UsageError
from auharness.executors.ranks import together
from auharness.records import Task
from auharness.results.store import RunFolder
from auharness.runner import RunResult
from auharness.training.loop import Loop
from auharness.training.ranks import Rank
from auharness.training.unit import make_fabric

TASK = Task(("AU1", "AU2"), "frame-multilabel", "made", (4, 4), (8, 8), 16)
ROWS, BATCH = 9, 4
"""The last batch of an epoch has one row, so that one of two processes has none."""


class Stop(Exception):
    pass


class Rows:
    """Rows of four numbers of which the first half of each batch has one coded label; stands in for a source."""

    def __len__(self) -> int:
        return ROWS

    def batches_from(self, size: int, *, seed: int, start: int, device: torch.device) -> Iterator[Batch]:
        images = torch.linspace(-1, 1, ROWS * 4).reshape(ROWS, 4).sin()
        targets = (torch.arange(ROWS * 2).reshape(ROWS, 2) % 3 == 0).to(torch.int8)
        coded = torch.tensor([[True, False], [False, False], [True, True], [True, True]]).repeat(3, 1)[:ROWS]
        targets = targets.masked_fill(~coded, -1)
        for which in torch.split(torch.arange(ROWS), size)[start:]:
            yield {"image": images[which], "target": targets[which]}


class Linear(ModelPlugin):
    """A masked mean over labels, one over samples of what stands in `aux`, and a parameter that no loss reaches."""

    name = "linear"
    recipe: Recipe = Recipe(optimiser="sgd", lr=0.5, epochs=2, batch_size=BATCH, schedule="constant", weight_decay=0.1)

    def build(self, task: Task) -> nn.Module:
        return _Net()

    def loss(self, output: Output, batch: Batch, task: Task) -> dict[str, Tensor]:
        return super().loss(output, batch, task) | {"map": output.aux["map"].square().mean() + output.aux["size"]}


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head, self.side, self.idle = nn.Linear(4, 2), nn.Linear(4, 3), nn.Linear(4, 1)

    def forward(self, image: Tensor) -> Output:
        aux = {"map": self.side(image), "idle": self.idle(image), "size": self.head.weight.square().mean()}
        return Output(self.head(image), aux)


@dataclass(frozen=True)
class Spec:
    folder: Path
    end: str = ""


def train(spec: Spec, rank: Rank, *, stop_at: int | None = None) -> dict[str, Tensor]:
    if rank.number and spec.end == "raise":
        raise AuharnessError("the helper cannot")
    if rank.number and spec.end == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    loop = Loop(
        Linear(),
        TASK,
        fabric=make_fabric("cpu", "32-true", rank),
        seed=3,
        folder=spec.folder,
        log=lambda *_, **__: None,
    )
    step = loop._step

    def step_until(batch: Batch) -> Any:
        if loop.step == stop_at:
            raise Stop
        return step(batch)

    loop._step = step_until  # type: ignore[method-assign]  # the test stops the loop from inside
    rows: Any = Rows()
    return dict(loop.run(rows, None, checkpoint_s=0).state())


def help_train(spec: Spec, rank: Rank) -> None:
    train(spec, rank)


def test_denominators_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    alone = train(Spec(tmp_path / "one"), Rank())
    with together(help_train, Spec(tmp_path / "two"), count=2) as rank:
        found = train(Spec(tmp_path / "two"), rank)
    assert not torch.distributed.is_initialized()
    for name, value in alone.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6)
    # the test has teeth: the mean of the means of both halves is another loss
    batch = next(Rows().batches_from(BATCH, seed=0, start=0, device=torch.device("cpu")))
    each = F.binary_cross_entropy_with_logits(
        batch["image"][:, :2], batch["target"].clamp(min=0).float(), reduction="none"
    )
    coded = batch["target"] >= 0
    halves = [each[half][coded[half]].mean() for half in (slice(0, 2), slice(2, 4))]
    assert abs(float(each[coded].mean() - torch.stack(halves).mean())) > 1e-2


@pytest.mark.nightly
def test_two_processes_go_on_where_they_were_stopped(tmp_path: Path) -> None:
    with together(help_train, Spec(tmp_path / "whole"), count=2) as rank:
        whole = train(Spec(tmp_path / "whole"), rank)
    cut = Spec(tmp_path / "cut")
    with pytest.raises(Stop), together(help_train, cut, count=2) as rank:
        train(cut, rank, stop_at=4)
    with together(help_train, cut, count=2) as rank:
        resumed = train(cut, rank)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("end", "said"), [("raise", "the helper cannot"), ("die", "process 1 of those that train this")]
)
def test_the_loss_of_a_process_fails_the_unit_with_its_reason(tmp_path: Path, end: str, said: str) -> None:
    with pytest.raises(AuharnessError, match=said), together(help_train, Spec(tmp_path, end), count=2) as rank:
        train(Spec(tmp_path), rank)


def test_a_unit_on_two_devices_scores_as_on_one(run_mini: Callable[..., RunResult], tmp_path: Path) -> None:
    found: dict[int, Any] = {}
    for devices in (1, 2):
        recipe = {"epochs": 2, "batch_size": 7, "devices": devices, "selection": "inner-val", "patience": 2}
        settings = {"widths": [8], "recipe": recipe}
        run = RunFolder(run_mini(folds=["P1"], settings=settings, runs=tmp_path / "runs").path)
        (unit,) = run.finished()
        assert unit.settings["recipe"]["devices"] == devices
        assert list(run.path.glob("units/*/scratch")) == []
        table = pd.read_parquet(run.unit_folder(unit.unit_id) / "predictions.parquet")
        found[devices] = unit, table.select_dtypes("float32").to_numpy()
    (one, scores), (two, others) = found.values()
    assert one.unit_id != two.unit_id
    assert abs(scores - others).max() < 1e-4
    assert two.metrics.keys() == one.metrics.keys()
    for metric, values in one.metrics.items():
        assert two.metrics[metric] == pytest.approx(values, abs=1e-4, nan_ok=True)


def test_more_gpus_than_there_are_is_a_wrong_setting(
    run_mini: Callable[..., RunResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match=r"^recipe\.devices is 3: --device cuda has 2 usable here$"):
        run_mini(device="cuda", settings={"recipe": {"devices": 3}})
