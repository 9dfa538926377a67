import itertools
import math

import pytest
import torch
from torch import nn

from auharness.api import ModelPlugin, Recipe
from auharness.errors import UsageError
from auharness.records import Task
from auharness.training.optim import (
    WeightAverage,
    build_optimiser,
    check_groups,
    lr_factor,
    momentum_at,
    set_momentum,
)


def test_onecycle_equals_torch() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=1.0)
    reference = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.0, total_steps=100, cycle_momentum=False)
    ours, theirs = [], []
    for step in range(100):
        theirs.append(optimiser.param_groups[0]["lr"])
        ours.append(lr_factor(step, 100, Recipe(schedule="onecycle")))
        optimiser.step()
        if step < 99:
            reference.step()
    assert ours == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize(("every", "factor"), [(40, 0.1), (1, 0.9), (3, 1.0)])
def test_step_equals_torch(every: int, factor: float) -> None:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.StepLR(optimiser, every, gamma=factor)
    recipe = Recipe(schedule="step", step_epochs=every, step_factor=factor, epochs=100)
    ours, theirs = [], []
    for epoch in range(100):
        theirs += [optimiser.param_groups[0]["lr"]] * 2
        ours += [lr_factor(2 * epoch + batch, 200, recipe, epoch=epoch) for batch in range(2)]
        optimiser.step()
        reference.step()
    assert ours == pytest.approx(theirs, rel=1e-9)


def test_a_smoke_run_does_not_shorten_the_epochs_between_two_falls() -> None:
    recipe = Recipe(schedule="step", step_epochs=2, epochs=100, max_steps=10)
    assert [lr_factor(step, 10, recipe, epoch=step // 5) for step in range(10)] == [1.0] * 10


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_onecycle_moves_the_first_moment_as_torch_does(optimiser: str) -> None:
    recipe = Recipe.model_validate({"optimiser": optimiser, "schedule": "onecycle", "lr": 1.0})
    module = nn.Linear(1, 1, bias=False)
    ours, theirs = (build_optimiser(Linear(recipe=recipe), module) for _ in range(2))
    reference = torch.optim.lr_scheduler.OneCycleLR(theirs, 1.0, total_steps=100)
    for step in range(100):
        momentum = momentum_at(step, 100, recipe)
        assert momentum is not None
        set_momentum(ours, momentum)
        mine, yours = ours.param_groups[0], theirs.param_groups[0]
        if optimiser == "sgd":
            assert mine["momentum"] == pytest.approx(yours["momentum"], abs=1e-9)
        else:
            assert mine["betas"] == pytest.approx(yours["betas"], abs=1e-9)
        theirs.step()
        if step < 99:
            reference.step()


def test_only_onecycle_moves_the_first_moment() -> None:
    assert momentum_at(50, 100, Recipe()) is None
    assert momentum_at(50, 100, Recipe(schedule="onecycle", cycle_momentum=False)) is None


def test_warmup_rises_to_the_peak_and_cosine_falls_to_zero() -> None:
    factors = [lr_factor(step, 100, Recipe(warmup=0.1)) for step in range(100)]
    assert factors[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert all(a > b for a, b in itertools.pairwise(factors[10:]))
    assert factors[55] == pytest.approx((1 + math.cos(math.pi * 45 / 90)) / 2)


class Linear(ModelPlugin):
    name = "linear"

    def build(self, task: Task) -> nn.Module:
        return nn.Linear(1, 1, bias=False)


@pytest.mark.parametrize(("optimiser", "after"), [("adam", 2.0 - 0.1), ("adamw", 2.0 - 0.1 * 0.5 * 2.0)])
def test_adam_adds_the_weight_decay_to_the_gradient_and_adamw_to_the_step(optimiser: str, after: float) -> None:
    # with no gradient but the decay, adam's first step is the rate times its sign
    plugin = Linear(recipe=Recipe.model_validate({"optimiser": optimiser, "lr": 0.1, "weight_decay": 0.5}))
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 2.0)
    module.weight.grad = torch.zeros(1, 1)
    build_optimiser(plugin, module).step()
    assert module.weight.item() == pytest.approx(after, abs=1e-6)


@pytest.mark.parametrize("nesterov", [True, False])
def test_sgd_looks_ahead_only_when_told_to(nesterov: bool) -> None:
    settings = {"optimiser": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0, "nesterov": nesterov}
    module, twin = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    twin.load_state_dict(module.state_dict())
    ours = build_optimiser(Linear(recipe=Recipe.model_validate(settings)), module)
    theirs = torch.optim.SGD(twin.parameters(), 0.1, momentum=0.9, nesterov=nesterov)
    for gradient in (1.0, -0.5, 2.0):
        for net, optimiser in ((module, ours), (twin, theirs)):
            net.weight.grad = torch.full((1, 1), gradient)
            optimiser.step()
    assert module.weight.item() == twin.weight.item()


def test_sgd_without_momentum_has_nothing_to_look_ahead_along() -> None:
    plugin = Linear(recipe=Recipe(optimiser="sgd", momentum=0.0))
    assert build_optimiser(plugin, nn.Linear(1, 1, bias=False)).defaults["nesterov"] is False


def test_a_parameter_outside_the_groups_is_refused() -> None:
    module = nn.Linear(2, 2)
    with pytest.raises(UsageError, match="'bias' is in 0 groups"):
        check_groups(module, [{"params": [module.weight]}])
    with pytest.raises(UsageError, match="'weight' is in 2 groups"):
        check_groups(module, [{"params": [module.weight, module.bias]}, {"params": [module.weight]}])


def test_the_uniform_average_is_the_mean_of_all_updates() -> None:
    module = nn.Linear(1, 1)
    average = WeightAverage(None)
    for value in (1.0, 2.0, 6.0):
        nn.init.constant_(module.weight, value)
        average.update(module)
    assert float(average.weights["weight"]) == pytest.approx(3.0)


def test_the_exponential_average_forgets_at_its_rate() -> None:
    module = nn.Linear(1, 1)
    average = WeightAverage(0.5)
    nn.init.constant_(module.weight, 0.0)
    for _ in range(50):
        average.update(module)
    nn.init.constant_(module.weight, 1.0)
    average.update(module)
    assert float(average.weights["weight"]) == pytest.approx(0.5)


def test_a_fresh_exponential_average_forgets_fast() -> None:
    module = nn.BatchNorm1d(1)
    average, wanted = WeightAverage(0.3), 1.0
    for n, value in enumerate((1.0, 2.0, 4.0, 8.0, 16.0), start=1):
        nn.init.constant_(module.weight, value)
        module.load_state_dict({**module.state_dict(), "running_mean": torch.tensor([value])})
        average.update(module)
        # (1 + n) / (10 + n) is 3/12, 4/13, ... from the second update on, and passes 0.3 with the third
        kept = {1: 0.0, 2: 3 / 12}.get(n, 0.3)
        wanted = kept * wanted + (1 - kept) * value
        assert float(average.weights["weight"]) == pytest.approx(wanted)
        assert float(average.weights["running_mean"]) == value


def test_an_average_of_some_modules_leaves_the_others_as_they_are_last() -> None:
    module = nn.ModuleDict({"temporal": nn.Linear(1, 1), "encoder": nn.Linear(1, 1)})
    average = WeightAverage(None, only=("temporal.*",))
    for value in (1.0, 2.0, 6.0):
        nn.init.constant_(module["temporal"].weight, value)  # type: ignore[arg-type]  # a Linear
        nn.init.constant_(module["encoder"].weight, value)  # type: ignore[arg-type]  # likewise
        average.update(module)
    assert float(average.weights["temporal.weight"]) == pytest.approx(3.0)
    assert float(average.weights["encoder.weight"]) == 6.0
