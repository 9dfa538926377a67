import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from auharness.api import Augment, ModelPlugin, Output, Preprocess, Recipe
from auharness.data.cache import CropCache, CropSettings
from auharness.records import FrameRecord, Media, Task
from auharness.training import selection
from auharness.training.loop import Loop, NotFiniteError
from auharness.training.predictor import ModulePredictor, predict
from auharness.training.selection import RunningScore
from auharness.training.source import CropSource, Rows
from auharness.training.unit import make_fabric

SIDE = 20
OUTPUTS = ("AU1", "AU2")


class Probe(ModelPlugin):
    """A small network with dropout, so that resuming has random numbers to get wrong."""

    name = "probe"
    preprocess: Preprocess = Preprocess(align="none", landmarks="mean-shape", resize=SIDE, crop=16)
    augment: Augment = Augment()
    recipe: Recipe = Recipe(epochs=3, batch_size=8, lr=1e-2, eval_batch_size=5)

    def build(self, task: Task) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 4, 5, stride=3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(64, task.num_outputs),
        )


@pytest.fixture
def task() -> Task:
    return Task(OUTPUTS, "frame-multilabel", "made", (12, 12), (30, 30), 16)


@pytest.fixture
def rows_and_cache(tmp_path: Path) -> tuple[Rows, dict[str, CropCache], np.ndarray]:
    random = np.random.default_rng(0)
    root = tmp_path / "pictures"
    root.mkdir()
    targets = random.integers(0, 2, (30, 2)).astype(np.int8)
    records = []
    for number, (left, right) in enumerate(targets):
        picture = random.integers(60, 120, (SIDE, SIDE, 3), dtype=np.uint8)
        picture[:8] += np.uint8(80 * left)
        picture[12:] += np.uint8(80 * right)
        cv2.imwrite(str(root / f"{number}.png"), picture)
        records.append(FrameRecord("made", "S1", "S1/T1", number, Media(f"{number}.png"), {}))
    cache = CropCache(tmp_path / "crops")
    cache.prepare_sequence(root, "S1/T1", records, CropSettings("none", SIDE, "mean-shape"))
    rows = Rows(
        sample_ids=[record.id for record in records],
        subjects=["S1"] * 30,
        datasets=["made"] * 30,
        sequences=["S1/T1"] * 30,
        frames=np.arange(30),
        time_s=np.arange(30) / 25.0,
    )
    return rows, {"made": cache}, targets


@pytest.fixture
def make_source(
    rows_and_cache: tuple[Rows, dict[str, CropCache], np.ndarray],
) -> Callable[..., CropSource]:
    rows, caches, targets = rows_and_cache

    def make(plugin: ModelPlugin, *, labelled: bool = True) -> CropSource:
        labels = targets if labelled else None
        return CropSource(rows, caches, targets=labels, preprocess=plugin.preprocess, augment=plugin.augment)

    return make


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Stop(Exception):
    pass


def make_loop(plugin: ModelPlugin, task: Task, folder: Path, log: Callable[..., None] = lambda *a, **k: None) -> Loop:
    return Loop(plugin, task, fabric=make_fabric("cpu", plugin.recipe.precision), seed=3, folder=folder, log=log)


def probe(**recipe: Any) -> Probe:
    return Probe(recipe=Recipe(**{**Probe().recipe.model_dump(), **recipe}))


@pytest.mark.parametrize(
    "recipe",
    [{}, {"ema": 0.9, "grad_clip": 0.5}, {"swa_epochs": 2, "optimiser": "sgd"}, {"precision": "bf16-mixed"}],
    ids=["plain", "ema", "swa", "bf16"],
)
@pytest.mark.parametrize("steps", [1, 3, 4, 9])
def test_a_stopped_unit_goes_on_bit_for_bit(
    make_source: Callable[..., CropSource], task: Task, tmp_path: Path, recipe: dict[str, Any], steps: int
) -> None:
    plugin = probe(**recipe)
    data = make_source(plugin)
    whole = make_loop(plugin, task, tmp_path / "whole").run(data, None).state()

    stopped = make_loop(plugin, task, tmp_path / "cut")
    step = stopped._step

    def step_until(batch: Any) -> Any:
        if stopped.step == steps:
            raise Stop
        return step(batch)

    stopped._step = step_until  # type: ignore[method-assign]  # the test stops the loop from inside
    with pytest.raises(Stop):
        stopped.run(data, None, checkpoint_s=0)
    torch.manual_seed(99)
    resumed = make_loop(plugin, task, tmp_path / "cut").run(data, None).state()
    assert list(whole) == list(resumed)
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_training_learns_what_is_visible(make_source: Callable[..., CropSource], task: Task, tmp_path: Path) -> None:
    logged: list[dict[str, Any]] = []
    plugin = probe(epochs=15)
    make_loop(plugin, task, tmp_path, lambda event, **values: logged.append(values)).run(make_source(plugin), None)
    assert logged[0]["train_score"] < logged[-1]["train_score"]
    assert logged[-1]["train_score"] > 0.9
    assert [entry["epoch"] for entry in logged] == list(range(1, 16))


def test_a_step_schedule_falls_with_the_epochs(
    make_source: Callable[..., CropSource], task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    monkeypatch.setattr("auharness.training.loop.set_lr", lambda optimiser, rate: rates.append(rate))
    plugin = probe(schedule="step", step_epochs=1, step_factor=0.5, epochs=3, lr=1e-2)
    make_loop(plugin, task, tmp_path).run(make_source(plugin), None)
    assert rates == pytest.approx([1e-2] * 4 + [5e-3] * 4 + [2.5e-3] * 4)


def test_the_best_epoch_on_held_out_rows_is_kept(
    make_source: Callable[..., CropSource], task: Task, tmp_path: Path
) -> None:
    plugin = probe(epochs=6, selection="inner-val", lr=0.05)
    scores: list[float] = []
    loop = make_loop(plugin, task, tmp_path, lambda event, **values: scores.append(values["inner_val"]))
    predictor = loop.run(make_source(plugin), make_source(plugin))
    assert predictor.chosen_epoch == 1 + scores.index(max(scores))
    assert predictor.epochs == 6


@pytest.mark.parametrize(
    ("kind", "objective", "title", "value"),
    [
        ("clip-multilabel", "f1", "F1", 4 / 5),
        ("clip-multilabel", "macro-f1-binary", "macro-F1 {0,1}", (4 / 5 + 2 / 3) / 2),
        ("clip-multilabel", "accuracy", "accuracy", 3 / 4),
        ("clip-multiclass", "f1", "UAR", 3 / 4),
    ],
)
def test_an_epoch_is_scored_by_the_objective_of_the_task(kind: str, objective: str, title: str, value: float) -> None:
    classes = kind == "clip-multiclass"
    names = ("happy", "sad") if classes else ("AU1",)
    running = RunningScore(Task(names, kind, "made", (2,), (4,), 16, objective=objective), "logit")
    said = torch.tensor([2.0, 1.0, 1.0, -1.0])[:, None]
    target = torch.tensor([1, 1, 0, 0])
    # one wrong of four, whose label is absent or whose class is the first
    running.add(torch.cat((-said, said), dim=1) if classes else said, target if classes else target[:, None])
    assert running.value == pytest.approx(value)
    assert running.metric.title == title


def test_a_running_score_counts_each_batch_once_however_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(("AU1", "AU2"), "clip-multilabel", "made", (2, 2), (4, 4), 16)
    random = torch.Generator().manual_seed(0)
    batches = [(torch.randn(5, 2, generator=random), torch.randint(-1, 2, (5, 2), generator=random)) for _ in range(9)]
    counts = []
    for most in (0, 25, 1000):
        monkeypatch.setattr(selection, "_WAITING", most)
        running = RunningScore(task, "logit")
        for scores, targets in batches:
            running.add(scores, targets)
        counts.append(running.counts.tolist())
        assert running.counts.sum() == sum(int((targets >= 0).sum()) for _, targets in batches)
    assert counts[0] == counts[1] == counts[2]


def test_training_stops_when_patience_runs_out(
    make_source: Callable[..., CropSource], task: Task, tmp_path: Path
) -> None:
    plugin = probe(epochs=50, selection="inner-val", patience=2, lr=0.02)
    predictor = make_loop(plugin, task, tmp_path).run(make_source(plugin), make_source(plugin))
    assert predictor.epochs is not None and predictor.chosen_epoch is not None
    assert predictor.epochs - predictor.chosen_epoch == 2


def test_a_loss_that_is_not_finite_names_epoch_step_and_term(
    make_source: Callable[..., CropSource], task: Task, tmp_path: Path
) -> None:
    class Broken(Probe):
        def loss(self, output: Output, batch: Any, task: Task) -> dict[str, torch.Tensor]:
            return {"log": (output.logits * math.nan).mean()}

    with pytest.raises(NotFiniteError, match=r"epoch 1, step 1 \(log nan\)"):
        make_loop(Broken(), task, tmp_path).run(make_source(Broken()), None)


def test_out_of_memory_halves_the_micro_batch_and_keeps_the_gradient(
    make_source: Callable[..., CropSource], task: Task, tmp_path: Path
) -> None:
    class Hungry(Probe):
        def loss(self, output: Output, batch: Any, task: Task) -> dict[str, torch.Tensor]:
            if len(output.logits) > 2:
                raise torch.OutOfMemoryError("made up")
            return super().loss(output, batch, task)

    recipe = Probe().recipe.model_dump() | {"max_steps": 1}
    events: list[str] = []
    hungry = make_loop(Hungry(recipe=Recipe(**recipe)), task, tmp_path / "a", lambda event, **_: events.append(event))
    plain = make_loop(Probe(recipe=Recipe(**recipe)), task, tmp_path / "b")
    for loop in (hungry, plain):
        for layer in loop.module.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p = 0.0
    data = make_source(Probe())
    a, b = hungry.run(data, None).state(), plain.run(data, None).state()
    assert events.count("out_of_memory") == 2 and hungry.micro_batch == 2
    for name in a:
        torch.testing.assert_close(a[name], b[name], atol=1e-6, rtol=1e-5)


def test_evaluation_batch_size_changes_no_logit(
    make_source: Callable[..., CropSource], task: Task, tmp_path: Path
) -> None:
    plugin = probe(epochs=1)
    predictor: ModulePredictor = make_loop(plugin, task, tmp_path).run(make_source(plugin), None)
    test = make_source(plugin, labelled=False)
    one, many = (predict(predictor, test, size=size, device=torch.device("cpu")) for size in (1, 30))
    torch.testing.assert_close(one, many, atol=1e-5, rtol=0)


def test_a_part_without_labels_gives_none(make_source: Callable[..., CropSource]) -> None:
    test = make_source(Probe(), labelled=False)
    assert all("target" not in batch for batch in test.batches(7))
    with pytest.raises(LookupError):
        _ = test.targets


@pytest.mark.parametrize(("patterns", "averaged"), [((), ("0", "4")), (("4.*",), ("4",))])
def test_the_averaged_model_is_the_mean_of_the_last_epochs(
    make_source: Callable[..., CropSource],
    task: Task,
    tmp_path: Path,
    patterns: tuple[str, ...],
    averaged: tuple[str, ...],
) -> None:
    plugin = probe(swa_epochs=2, swa_modules=patterns, schedule="constant")
    loop = make_loop(plugin, task, tmp_path)
    seen: list[dict[str, torch.Tensor]] = []

    def keep(epoch: int, _: Any) -> None:
        seen.append({name: value.clone() for name, value in loop.module.module.state_dict().items()})

    found = loop.run(make_source(plugin), None, observe=keep).state()
    for name, value in found.items():
        mean = torch.stack([weights[name] for weights in seen[-2:]]).mean(0)
        assert not torch.equal(mean, seen[-1][name])
        wanted = mean if name[0] in averaged else seen[-1][name]
        torch.testing.assert_close(value, wanted)


def test_the_exponential_average_follows_the_trained_weights(
    make_source: Callable[..., CropSource], task: Task, tmp_path: Path
) -> None:
    plugin = probe(ema=0.5, epochs=1)
    loop = make_loop(plugin, task, tmp_path)
    step, wanted = loop._step, dict[str, torch.Tensor]()

    def followed(batch: Any) -> Any:
        result = step(batch)
        share = 1 - min(0.5, (2 + loop.step) / (11 + loop.step)) if wanted else 1.0
        for name, value in loop.module.module.state_dict().items():
            wanted[name] = torch.lerp(wanted.get(name, value), value, share)
        return result

    loop._step = followed  # type: ignore[method-assign]  # the test looks on from inside
    found = loop.run(make_source(plugin), None).state()
    for name, value in found.items():
        torch.testing.assert_close(value, wanted[name])
        assert not torch.equal(value, loop.module.module.state_dict()[name])
