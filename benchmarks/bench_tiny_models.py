"""Speed of the tiny presets and of scoring: what the shipped gate policy measures on every pull request.

`pytest -o addopts= benchmarks/bench_tiny_models.py --benchmark-timer=time.process_time` times each cell. The names are
those of `gate.toml`: whoever changes what a benchmark does gives it another name, so that its old times end.
"""

from typing import Any

import numpy as np
import pytest
import torch

from auharness import registry
from auharness.api import Output
from auharness.metrics import METRICS, FoldCounts
from auharness.settings import resolve
from auharness.statistics import headline_interval
from auharness.testing.fake import fake_batch, fake_task

MODELS = ("au-ttt", "pixel-probe", "small-cnn")
BATCH = 16


@pytest.mark.parametrize("model", MODELS)
def test_training_step(benchmark: Any, model: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    plugin = resolve(registry.load("model", model), presets=("tiny",)).plugin
    task = fake_task(plugin)
    module, batch = plugin.build(task), fake_batch(plugin, task, size=BATCH)

    def step() -> None:
        result = module(*(batch[name] for name in plugin.inputs))
        output = result if isinstance(result, Output) else Output(result)
        torch.stack(list(plugin.loss(output, batch, task).values())).sum().backward()
        module.zero_grad(set_to_none=True)

    benchmark.pedantic(step, rounds=30, warmup_rounds=3)


def test_interval_of_41_subjects(benchmark: Any) -> None:
    counts = np.random.default_rng(0).integers(1, 500, size=(41, 12, 4))
    names = tuple(f"F{number:03}" for number in range(41))
    folds = [FoldCounts(f"P{part}", names[part::3], counts[part::3]) for part in range(3)]

    def interval() -> None:
        headline_interval(folds, METRICS["f1"], how="fold-mean", draws=1000)

    benchmark.pedantic(interval, rounds=30, warmup_rounds=3)
