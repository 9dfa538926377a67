"""Memory that runs out while a unit loads, trains, selects or scores: less at once, or a clean end of that unit."""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from auharness.api import Batch, ModelPlugin, Recipe
from auharness.records import Task
from auharness.training.loop import Loop
from auharness.training.predictor import predict
from auharness.training.unit import make_fabric
from auharness_plugins.models.small_cnn import SmallCNN

TASK = Task(("AU1", "AU2"), "frame-multilabel", "made", (12, 9), (24, 24), 16)
ERRORS: dict[str, Callable[[], Exception]] = {
    "gpu": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    "linux": lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 40 bytes"),
    "windows": lambda: RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 40 bytes"),
    "numpy": lambda: MemoryError("Unable to allocate 40 bytes for an array"),
}
PLACES = ("step", "inner-val", "scoring")
COUNT = 24


class Rows:
    """24 rows of four numbers, as a part of a fold gives them."""

    targets = (torch.arange(2 * COUNT).reshape(COUNT, 2) % 3 == 0).to(torch.int8)

    def __len__(self) -> int:
        return COUNT

    def batches(self, size: int, *, device: torch.device | None = None) -> Iterator[Batch]:
        images = torch.arange(4.0 * COUNT).reshape(COUNT, 4) / (4 * COUNT)
        for start in range(0, COUNT, size):
            here = slice(start, start + size)
            yield {"image": images[here], "target": self.targets[here]}

    def batches_from(self, size: int, *, seed: int, start: int, device: torch.device) -> Iterator[Batch]:
        yield from list(self.batches(size))[start:]

    @staticmethod
    def gather(scores: Tensor) -> Tensor:
        return scores


class Narrow(nn.Linear):
    """A layer for which memory runs out above a number of rows, from its n-th call on."""

    def __init__(self) -> None:
        super().__init__(4, 2)
        self.most, self.calls_left = COUNT, 0
        self.error: Callable[[], Exception] = MemoryError

    def forward(self, image: Tensor) -> Tensor:
        self.calls_left -= 1
        if self.calls_left < 0 and len(image) > self.most:
            raise self.error()
        return super().forward(image)


class Narrowed(ModelPlugin):
    name = "narrowed"

    recipe: Recipe = Recipe(epochs=2, batch_size=8, eval_batch_size=16, lr=0.05, selection="inner-val")

    def build(self, task: Task) -> nn.Module:
        return Narrow()


def outcome(folder: Path, place: str, **narrow: Any) -> tuple[Tensor, dict[str, Tensor], list[dict[str, Any]]]:
    """Train and score; memory is narrow in one place."""
    events: list[dict[str, Any]] = []
    rows: Any = Rows()
    folder.mkdir()
    loop = Loop(
        Narrowed(),
        TASK,
        fabric=make_fabric("cpu", "32-true"),
        seed=0,
        folder=folder,
        log=lambda event, **values: events.append({"event": event, **values}),
    )
    layer: Any = loop.module.module
    if place == "step":
        vars(layer).update(narrow)
    with pytest.MonkeyPatch.context() as patch:
        if place == "inner-val":
            made = Loop.predictor

            def predictor(self: Loop) -> Any:
                found = made(self)
                vars(found.module).update(narrow)
                return found

            patch.setattr(Loop, "predictor", predictor)
        model = loop.run(rows, rows)
    vars(model.module).update(narrow if place == "scoring" else {"most": COUNT, "calls_left": 0})
    scores = predict(model, rows, size=16, device=torch.device("cpu"))
    return scores, dict(model.state()), events


@pytest.mark.cases("out of memory", *product(PLACES, ERRORS), names=("place", "error"))
def test_less_at_once_gives_the_same_scores_and_is_logged(
    tmp_path: Path, place: str, error: str, chance: np.random.Generator
) -> None:
    most = int(chance.integers(1, 8))
    narrow = {"most": most, "calls_left": int(chance.integers(2)), "error": ERRORS[error]}
    scores, state, events = outcome(tmp_path / "narrow", place, **narrow)
    calm, calm_state, _ = outcome(tmp_path / "calm", "none")
    torch.testing.assert_close(scores, calm, atol=1e-5, rtol=1e-5)
    for name in state:
        torch.testing.assert_close(state[name], calm_state[name], atol=1e-5, rtol=1e-5)
    told = [event for event in events if event["event"] == "out_of_memory"]
    if place == "step":
        sizes = [event["micro_batch"] for event in told if "micro_batch" in event]
        assert sizes == sorted(sizes, reverse=True) and sizes[-1] <= most
    elif place == "inner-val":
        assert told and all(event["eval_batch_size"] < 16 for event in told)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("place", ["load", "step", "inner-val", "scoring"])
def test_memory_for_not_even_one_row_ends_its_unit_alone_in_one_line(
    command: Callable[..., Any],
    refused: Callable[..., str],
    run_words: Callable[..., list[object]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    error: str,
) -> None:
    builds = 0

    def build(self: SmallCNN, task: Task) -> nn.Module:
        nonlocal builds
        builds += 1
        network = make(self, task)
        if builds == 2:  # the first tries the settings, the second is of the first unit
            if place == "load":
                raise ERRORS[error]()
            network.register_forward_pre_hook(narrow)
        return network

    def narrow(module: nn.Module, _: Any) -> None:
        if module.training == (place == "step"):
            raise ERRORS[error]()

    make = SmallCNN.build
    monkeypatch.setattr(SmallCNN, "build", build)
    selection = ("--set", f"recipe.selection={'inner-val' if place == 'inner-val' else 'last'}")
    answer = command(*run_words("small-cnn", "--folds", "P1,P2", *selection))
    assert "1 of 2 units failed" in refused(answer, 4)
    assert len(list((tmp_path / "runs").rglob("unit.json"))) == 1
