import itertools
import math

import pytest
import torch
from torch import nn

from auharness.api import ModelPlugin, Recipe
from auharness.errors import UsageError
from auharness.records import Task
from auharness.training.optim import WeightAverage, build_optimiser, check_groups, lr_factor


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
