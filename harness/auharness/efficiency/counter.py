"""Count a forward pass: parameters, MACs, FLOPs, and how much of it the rules cover."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from auharness.efficiency.closed_form import Work
from auharness.efficiency.coverage import Audit, Uncounted
from auharness.efficiency.operators import answer
from auharness.efficiency.params import count_parameters
from auharness.efficiency.rules import PRODUCTS
from auharness.ops.backends import intercepted

__all__ = ["Cost", "count", "evaluated"]


@dataclass(frozen=True)
class Cost:
    """What one forward pass costs, for the batch that was given.

    Attributes:
        parameters: of the module; 0 for a function.
        macs: multiply-accumulates of matrix products and convolutions.
        flops: 2 per MAC, 1 per pointwise result, 5 per normalised element; see `README.md`.
        convention: `flops` with the literature's 9 per step of a selective scan.
        coverage: share of the elements that operators with a rule returned, in [0, 1]; views aside.
        uncounted: operators without a rule, those that return most first.
        mixers: the part of each operator of `auharness.ops`, counted by its formula.
    """

    parameters: int
    macs: int
    flops: int
    convention: int
    coverage: float
    uncounted: tuple[Uncounted, ...]
    mixers: Mapping[str, Work]


def count(module: Callable[..., object], inputs: Sequence[Tensor]) -> Cost:
    """Return the cost of `module(*inputs)`, forward only, in evaluation mode.

    Operators of `auharness.ops` are not computed: they cost what their formulas say, whichever backend would run, and
    answer zeros. So does everything on `meta` tensors, which is how a model that is too large is counted.

    Args:
        module: a module, or a function of tensors.
        inputs: on the module's device.

    Raises:
        UsageError: an operator of `auharness.ops` has no formula.

    >>> cost = count(nn.Linear(8, 4), [torch.zeros(2, 8)])
    >>> cost.parameters, cost.macs, cost.flops
    (36, 64, 136)
    """
    mixers: dict[str, Work] = {}

    def noted(operator: str, *tensors: Tensor | None, **options: object) -> object:
        work, result = answer(operator, *tensors, **options)
        mixers[operator] = mixers.get(operator, Work()) + work
        return result

    # the audit is outside: it then sees what the counter of products has taken apart
    products = FlopCounterMode(display=False, custom_mapping=dict(PRODUCTS))
    with evaluated(module), intercepted(noted), Audit() as audit, products:
        module(*inputs)
    rest = products.get_total_flops() + audit.flops
    total = sum(mixers.values(), Work(macs=products.get_total_flops() // 2, flops=rest, convention=rest))
    return Cost(
        parameters=count_parameters(module) if isinstance(module, nn.Module) else 0,
        macs=total.macs,
        flops=total.flops,
        convention=total.convention,
        coverage=audit.coverage,
        uncounted=audit.uncounted,
        mixers=MappingProxyType(mixers),
    )


@contextmanager
def evaluated(module: Callable[..., object]) -> Iterator[None]:
    """Put a module into evaluation mode, without gradients or torch's fused encoder, which no counter sees into."""
    parts = list(module.modules()) if isinstance(module, nn.Module) else []
    training = [part.training for part in parts]
    fused = torch.backends.mha.get_fastpath_enabled()
    for part in parts:
        part.training = False
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for part, mode in zip(parts, training, strict=True):
            part.training = mode
