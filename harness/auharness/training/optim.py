"""Optimiser, learning-rate schedule and weight averages, from a recipe."""

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

import torch
from torch import Tensor, nn

from auharness.api import ModelPlugin, Recipe
from auharness.errors import UsageError

__all__ = ["WeightAverage", "build_optimiser", "check_groups", "lr_factor", "momentum_at", "set_lr", "set_momentum"]

RISE = 0.3
"""Share of the steps of onecycle on which the rate rises."""
MOMENTUM = (0.85, 0.95)
"""First moment at the peak of onecycle, and at both ends."""


def build_optimiser(plugin: ModelPlugin, module: nn.Module) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over the plugin's parameter groups.

    Raises:
        UsageError: if a trainable parameter is in no group or in two.
    """
    recipe = plugin.recipe
    groups = [dict(group) for group in plugin.parameter_groups(module)]
    check_groups(module, groups)
    for group in groups:
        group["lr_scale"] = float(group.get("lr_scale", 1.0))
        group["lr"] = recipe.lr * group["lr_scale"]
    if recipe.optimiser == "sgd":
        # torch refuses to look ahead without a momentum
        nesterov = recipe.nesterov and recipe.momentum > 0
        return torch.optim.SGD(
            groups, recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay, nesterov=nesterov
        )
    betas = (recipe.momentum, recipe.beta2)
    kind = torch.optim.Adam if recipe.optimiser == "adam" else torch.optim.AdamW
    # one kernel per step instead of a dozen per tensor
    return kind(groups, recipe.lr, betas=betas, weight_decay=recipe.weight_decay, fused=True)


def check_groups(module: nn.Module, groups: list[dict[str, Any]]) -> None:
    """Refuse groups that miss a trainable parameter or hold it twice."""
    held = [id(parameter) for group in groups for parameter in group["params"]]
    for name, parameter in module.named_parameters():
        times = held.count(id(parameter))
        if parameter.requires_grad and times != 1:
            raise UsageError(f"parameter_groups: '{name}' is in {times} groups, expected exactly 1")


def lr_factor(step: int, total: int, recipe: Recipe, *, epoch: int = 0) -> float:
    """Return the factor on the peak learning rate at a 0-based step of a 0-based epoch.

    A linear rise over the warm-up share, then constant, half a cosine to 0, `step_factor` after every `step_epochs`
    (step), or (onecycle) a cosine rise over 30 % of the steps from 1/25 and a cosine fall to 1e-4 of the start.

    >>> [round(lr_factor(s, 4, Recipe()), 3) for s in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """
    if recipe.schedule == "onecycle":
        return _one_cycle(step, total, 1 / 25, 1.0, 1 / 25e4)
    warm = round(recipe.warmup * total)
    if step < warm:
        return (step + 1) / warm
    if recipe.schedule == "constant":
        return 1.0
    if recipe.schedule == "step":
        return recipe.step_factor ** (epoch // recipe.step_epochs)
    return _cosine(1.0, 0.0, (step - warm) / max(1, total - warm))


def momentum_at(step: int, total: int, recipe: Recipe) -> float | None:
    """Return the first moment that onecycle asks for at a 0-based step, or None where the optimiser keeps its own.

    >>> [round(momentum_at(s, 10, Recipe(schedule="onecycle")), 3) for s in (0, 2, 9)]
    [0.95, 0.85, 0.95]
    """
    if recipe.schedule != "onecycle" or not recipe.cycle_momentum:
        return None
    peak, ends = MOMENTUM
    return _one_cycle(step, total, ends, peak, ends)


def set_lr(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Set the rate of every group, scaled by its `lr_scale`."""
    for group in optimiser.param_groups:
        group["lr"] = lr * group["lr_scale"]


def set_momentum(optimiser: torch.optim.Optimizer, momentum: float) -> None:
    """Set the first moment of every group: SGD's momentum or Adam's beta 1."""
    for group in optimiser.param_groups:
        if "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


class WeightAverage:
    """A running average of a module's floating tensors: exponential (EMA), or uniform over updates (SWA).

    Integer buffers and the running statistics of normalisation layers are copied from the latest module. Update n of
    an EMA, counted from 1, keeps min(decay, (1 + n) / (10 + n)) of the past, so that a fresh average forgets fast.
    """

    def __init__(self, decay: float | None, *, only: Sequence[str] = ()) -> None:
        self.decay = decay
        """Weight of the past, or None for the uniform mean."""
        self.only = tuple(only)
        """Patterns of the parameters that are averaged; the others are copied from the latest module. None is all."""
        self.updates = 0
        self.weights: dict[str, Tensor] = {}

    def update(self, module: nn.Module) -> None:
        """Take in the module's present weights."""
        self.updates += 1
        n = self.updates
        share = 1.0 / n if self.decay is None else 1.0 - min(self.decay, (1 + n) / (10 + n))
        trained = {name for name, _ in module.named_parameters() if self._averages(name)}
        for name, value in module.state_dict().items():
            if name in trained and name in self.weights:
                self.weights[name].lerp_(value.detach(), share)
            else:
                self.weights[name] = value.detach().clone()

    def _averages(self, name: str) -> bool:
        return not self.only or any(fnmatch(name, pattern) for pattern in self.only)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"updates": self.updates, "weights": self.weights}

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Take back what `state` returned."""
        self.updates = state["updates"]
        self.weights = {name: value.to(device) for name, value in state["weights"].items()}


def _one_cycle(step: int, total: int, start: float, peak: float, end: float) -> float:
    """A cosine from `start` to `peak` over the first part of the steps and one to `end` over the others."""
    rise, last = max(RISE * total - 1, 1e-9), total - 1
    if step <= rise:
        return _cosine(start, peak, step / rise)
    return _cosine(peak, end, (step - rise) / (last - rise))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
