"""MACs as fvcore counts them: a second opinion from a trace of the model instead of the operators that run."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any, Final

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from auharness.api import Output
from auharness.efficiency.counter import evaluated
from auharness.efficiency.operators import reference
from auharness.errors import DataError
from auharness.ops.backends import intercepted

__all__ = ["HANDLES", "FvcoreCount", "fvcore_count"]


def _sdpa(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    query, key, value = (x.type().sizes() for x in inputs[:3])
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _no_product(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    return 0


# fvcore adds FLOPs of these to its MACs
_NOT_PRODUCTS = (
    *("batch_norm", "group_norm", "instance_norm", "layer_norm"),
    *("adaptive_avg_pool2d", "grid_sampler", "upsample_bilinear2d", "upsample_nearest2d"),
)
HANDLES: Final[Mapping[str, Callable[..., int]]] = MappingProxyType(
    {"aten::scaled_dot_product_attention": _sdpa} | {f"aten::{name}": _no_product for name in _NOT_PRODUCTS}
)
"""What fvcore is told: attention counts its two products, normalisations and resampling none."""


@dataclass(frozen=True)
class FvcoreCount:
    """What fvcore counts.

    Attributes:
        macs: of matrix products and convolutions.
        skipped: operators that it has no rule for -> calls; products among them make `macs` too small.
    """

    macs: int
    skipped: Mapping[str, int]


def fvcore_count(
    module: Callable[..., Any],
    inputs: Sequence[Tensor],
    *,
    handles: Mapping[str, Callable[..., int]] = HANDLES,
) -> FvcoreCount:
    """Return the MACs of `module(*inputs)` by fvcore's rules and these handles.

    Operators of `auharness.ops` run as their references, for a trace does not see into kernels or hand-written
    autograd functions; each step of a scan is traced, so long sequences take long.

    Args:
        module: a module, or a function of tensors; in evaluation mode and without gradients while it is traced.
        inputs: on the module's device, which cannot be `meta`: a trace needs numbers.
        handles: operator in the trace (`aten::...`, `prim::PythonOp.<autograd function>`) -> MACs from its inputs and
            outputs, which are values of the graph.

    Raises:
        DataError: fvcore is not installed.
    """
    try:
        from fvcore.nn import FlopCountAnalysis
    except ModuleNotFoundError as error:
        raise DataError('fvcore is not installed: pip install "auharness[flops]"') from error
    with evaluated(module), intercepted(_defined), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and tracing warns of every shape that it fixes
        analysis = FlopCountAnalysis(_Flat(module), tuple(inputs)).set_op_handle(**handles)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        return FvcoreCount(int(analysis.total()), MappingProxyType(dict(analysis.unsupported_ops())))


class _Flat(nn.Module):
    """A module that returns a tuple of tensors, as a trace must."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        out = self.function(*inputs)
        leaves = tree_leaves((out.logits, dict(out.aux)) if isinstance(out, Output) else out)
        return tuple(x for x in leaves if isinstance(x, Tensor))


def _defined(operator: str, *tensors: Tensor | None, **options: object) -> object:
    return reference(operator)(*tensors, **options)
