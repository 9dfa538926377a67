"""Scaled dot-product attention: a thin front of torch's kernels, with the plain formula beside it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from auharness.ops.attention.reference import attention_reference
from auharness.ops.backends import Backend, choose, resolve

__all__ = ["attention", "attention_backend"]


def _sdpa(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    return scaled_dot_product_attention(q, k, v, is_causal=causal)


# in order of preference; torch picks flash, memory-efficient or plain kernels inside `sdpa`
_BACKENDS: Final[Mapping[str, Backend[Callable[..., Tensor]]]] = MappingProxyType(
    {"sdpa": Backend(_sdpa), "reference": Backend(attention_reference)}
)


def attention_backend(q: Tensor, *, backend: str | None = None) -> str:
    """Return the name of the backend that `attention` uses for this `q`, to be stored with the result.

    Raises:
        UsageError: `backend` is unknown.
    """
    return resolve("attention", _BACKENDS, q, backend)


def attention(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, backend: str | None = None) -> Tensor:
    """Return `softmax(q k^T / sqrt(d)) v` `[batch, head, token, d]` (Vaswani et al., 2017, eq. 1).

    Args:
        q: queries `[batch, head, token, d]`.
        k: keys, whose tokens may differ in number from those of `q`; `v` has as many.
        v: values.
        causal: query i sees keys 0 to i.
        backend: `sdpa` or `reference`; unset takes `sdpa`.

    Raises:
        UsageError: `backend` is unknown.
    """
    return choose("attention", _BACKENDS, q, backend).run(q, k, v, causal=causal)
