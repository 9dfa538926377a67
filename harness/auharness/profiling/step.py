"""One step of a model on a random batch, as a run takes it: an answer, or an update with every part of it named."""

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor
from torch.profiler import record_function

from auharness.api import Batch, ModelPlugin
from auharness.errors import UsageError
from auharness.testing import accepted_task, fake_batch
from auharness.training.optim import build_optimiser
from auharness.training.predictor import as_output, call
from auharness.training.unit import make_fabric

__all__ = ["PHASES", "SPAN", "Phase", "make_step"]

Phase: TypeAlias = Literal["forward", "training"]
PHASES: Final[tuple[Phase, ...]] = get_args(Phase)
SPAN: Final = "auharness::"
"""How the names begin that the harness gives to parts of a step and to its operators."""


def make_step(plugin: ModelPlugin, *, phase: Phase, device: torch.device, batch: int) -> Callable[[], None]:
    """Return a function that takes one step; weights and batch are random, precision and optimiser the recipe's.

    Args:
        plugin: the model with its settings.
        phase: `forward` (evaluation mode, no gradient) or `training`.
        device: where it computes.
        batch: samples in the batch.

    Raises:
        UsageError: there is nothing to train by gradients.
        DataError: weights or a package that the model needs are missing.
    """
    fabric = make_fabric(str(device), plugin.recipe.precision)
    task = accepted_task(plugin)
    torch.manual_seed(0)
    module = plugin.build(task)
    rows = _placed(fake_batch(plugin, task, size=batch), device)
    if phase == "forward":
        module = module.to(device).eval()

        def answer() -> None:
            with torch.inference_mode(), fabric.autocast(), record_function(f"{SPAN}forward"):
                call(module, rows, plugin.inputs)

        return answer
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise UsageError(f"profile {plugin.name}: no parameter of it learns by gradients; take --phase forward")
    learner, optimiser = fabric.setup(module.train(), build_optimiser(plugin, module))

    def update() -> None:
        with record_function(f"{SPAN}forward"):
            output = as_output(call(learner, rows, plugin.inputs))
        with record_function(f"{SPAN}loss"):
            terms = plugin.loss(output, rows, task)
            total = torch.stack([term.float() for term in terms.values()]).sum()
        with record_function(f"{SPAN}backward"):
            fabric.backward(total)
        with record_function(f"{SPAN}optimiser"):
            if plugin.recipe.grad_clip:
                clip = fabric.clip_gradients
                clip(learner, optimiser, max_norm=plugin.recipe.grad_clip, error_if_nonfinite=False)
            optimiser.step()
            # not before the next step, as training does: so no recorded step frees what an earlier one allocated
            optimiser.zero_grad(set_to_none=True)

    return update


def _placed(batch: Batch, device: torch.device) -> Batch:
    return {name: column.to(device) if isinstance(column, Tensor) else column for name, column in batch.items()}
