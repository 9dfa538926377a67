"""What the harness costs beside a loop that anyone would write: same model, crops and order, same weights after it."""

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from auharness import registry
from auharness.api import Batch, ModelPlugin
from auharness.data.cache import CropCache, CropSettings
from auharness.records import FrameRecord, Media, Task
from auharness.settings import resolve
from auharness.training.loop import Loop
from auharness.training.optim import build_optimiser
from auharness.training.seed import derive_seed, seed_all
from auharness.training.source import CropSource, Rows
from auharness.training.unit import make_fabric

ROWS, EPOCHS, SEED = 96, 30, 3
LIMIT = 1.03
OUTPUTS = ("AU1", "AU2", "AU4", "AU6", "AU12")


@pytest.fixture
def plugin() -> ModelPlugin:
    recipe = {"epochs": EPOCHS, "batch_size": 16, "schedule": "constant", "warmup": 0.0, "grad_clip": 0.0}
    preprocess = {"align": "none", "landmarks": "mean-shape"}
    layers = [("test", {"recipe": recipe, "preprocess": preprocess})]
    return resolve(registry.load("model", "au-ttt"), presets=("tiny",), layers=layers).plugin


@pytest.fixture
def source(plugin: ModelPlugin, tmp_path: Path) -> CropSource:
    """Read crops of noise as a run reads faces: from the cache, cut and varied."""
    random, side = np.random.default_rng(0), plugin.preprocess.resize
    (tmp_path / "pictures").mkdir()
    records = []
    for number in range(ROWS):
        cv2.imwrite(str(tmp_path / f"pictures/{number}.png"), random.integers(0, 256, (side, side, 3), dtype=np.uint8))
        records.append(FrameRecord("made", "S1", "S1/T1", number, Media(f"{number}.png"), {}))
    cache = CropCache(tmp_path / "crops")
    cache.prepare_sequence(tmp_path / "pictures", "S1/T1", records, CropSettings("none", side, "mean-shape"))
    rows = Rows(
        sample_ids=[record.id for record in records],
        subjects=["S1"] * ROWS,
        datasets=["made"] * ROWS,
        sequences=["S1/T1"] * ROWS,
        frames=np.arange(ROWS),
        time_s=np.arange(ROWS) / 25.0,
    )
    targets = random.integers(0, 2, (ROWS, len(OUTPUTS))).astype(np.int8)
    return CropSource(rows, {"made": cache}, targets=targets, preprocess=plugin.preprocess, augment=plugin.augment)


class Watched:
    """A source that notes the CPU time between one batch and the next: making it, and all that is done with it."""

    def __init__(self, source: CropSource) -> None:
        self.source = source
        self.steps: list[float] = []

    def __len__(self) -> int:
        return len(self.source)

    def batches_from(self, size: int, **place: Any) -> Iterator[Batch]:
        began = time.process_time()
        for batch in self.source.batches_from(size, **place):
            yield batch
            now = time.process_time()
            self.steps.append(now - began)
            began = now


class Bare:
    """Training as a script without a harness does it."""

    def __init__(self, plugin: ModelPlugin, task: Task, source: Watched) -> None:
        self.plugin, self.task, self.source, self.epochs = plugin, task, source, 0
        seed_all(SEED, "build")
        self.module = plugin.build(task).train()
        self.optimiser = build_optimiser(plugin, self.module)

    def epoch(self) -> None:
        seed = derive_seed(SEED, "epoch", self.epochs)
        for batch in self.source.batches_from(self.plugin.recipe.batch_size, seed=seed, start=0):
            self.optimiser.zero_grad(set_to_none=True)
            output = self.module(*(batch[name] for name in self.plugin.inputs))
            loss = torch.stack(list(self.plugin.loss(output, batch, self.task).values())).sum()
            loss.backward()
            self.optimiser.step()
        self.epochs += 1


@pytest.mark.nightly
def test_the_loop_costs_less_than_three_percent_more_than_a_bare_one(
    plugin: ModelPlugin, source: CropSource, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    task = Task(OUTPUTS, "frame-multilabel", "made", (40,) * 5, (ROWS,) * 5, plugin.preprocess.crop)
    own, other = Watched(source), Watched(source)
    bare = Bare(plugin, task, other)
    # the log is called at the end of an epoch: by turns, so that what disturbs the machine disturbs both
    fabric = make_fabric("cpu", plugin.recipe.precision)
    loop = Loop(plugin, task, fabric=fabric, seed=SEED, folder=tmp_path, log=lambda event, **values: bare.epoch())
    weights = loop.run(own, None).state()
    assert all(torch.equal(weights[key], value) for key, value in bare.module.state_dict().items())
    assert len(own.steps) == len(other.steps) == EPOCHS * ROWS // 16
    # a tenth of the steps is less disturbed than this; the least of all is one step's luck
    ours, theirs = (statistics.quantiles(watched.steps, n=10)[0] for watched in (own, other))
    cost = f"{100 * (ours / theirs - 1):+.1f} %, {1e3 * (ours - theirs):.1f} ms of {1e3 * theirs:.1f} ms"
    record_property("measured", f"a step of the harness beside a bare one: {cost}")
    assert ours / theirs < LIMIT
