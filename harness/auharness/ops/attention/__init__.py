"""Scaled dot-product attention: a thin front of torch's kernels and of flash-attn, with the plain formula beside it."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

from auharness.ops.attention.reference import attention_reference
from auharness.ops.attention.sdpa import KERNELS, sdpa, sdpa_choice
from auharness.ops.backends import Backend, choose, needs, resolve

__all__ = ["BACKENDS", "attention", "attention_backend"]

_HALF: Final = (torch.float16, torch.bfloat16)


def _cuda_only(query: Tensor, **facts: object) -> str | None:
    return None if query.is_cuda else f"q is on the {query.device.type}, expected cuda"


def _cuda_half_only(query: Tensor, **facts: object) -> str | None:
    if query.dtype not in _HALF:
        return f"q is {query.dtype}, expected float16 or bfloat16"
    return _cuda_only(query)


BACKENDS: Final[Mapping[str, Backend[Callable[..., Tensor]]]] = MappingProxyType(
    {
        **{
            name: Backend(partial(sdpa, kernel=name), missing=needs(device="cuda"), refuses=_cuda_only)
            if name in ("sdpa-efficient", "sdpa-cudnn")
            else Backend(partial(sdpa, kernel=name))
            for name in KERNELS
        },
        "flash-attn": Backend(
            "auharness.ops.attention.flash_attn:flash_attn",
            missing=needs("flash_attn", install="pip install --no-build-isolation flash-attn", device="cuda"),
            refuses=_cuda_half_only,
        ),
        "reference": Backend(attention_reference),
    }
)
"""Implementations by name; torch itself chooses among its own (`sdpa-...`) unless one is asked for."""


def attention_backend(
    q: Tensor, k: Tensor | None = None, v: Tensor | None = None, *, causal: bool = False, backend: str | None = None
) -> str:
    """Return the name of the backend that `attention` uses for these tensors, to be stored with the result.

    Args:
        q: queries.
        k: keys; shaped like the queries unless given.
        v: values; shaped like the keys unless given.
        causal: as for `attention`.
        backend: asked for by name; unset returns the kernel of torch's own choice.

    Raises:
        UsageError: `backend` is unknown or cannot serve these tensors.
        ValueError: tensors whose shapes or types do not fit together.

    >>> attention_backend(torch.zeros(1, 1, 4, 8), backend="reference")
    'reference'
    """
    k = q if k is None else k
    v = k if v is None else v
    _check(q, k, v)
    backend = backend or sdpa_choice(q, k, v, causal=causal)
    return resolve("attention", BACKENDS, q, backend)


def attention(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, backend: str | None = None) -> Tensor:
    """Return `softmax(q k^T / sqrt(d)) v` `[batch, head, token, d]` (Vaswani et al., 2017, eq. 1).

    Args:
        q: queries `[batch, head, token, d]`.
        k: keys, whose tokens may differ in number from those of `q`; `v` has as many.
        v: values.
        causal: query i sees keys 0 to i.
        backend: `sdpa-flash`, `sdpa-cudnn`, `sdpa-efficient`, `sdpa-math` (torch's kernels), `flash-attn` (the package)
            or `reference`; unset lets torch choose among its own.

    Raises:
        UsageError: `backend` is unknown or cannot serve these tensors.
        ValueError: tensors whose shapes or types do not fit together.
    """
    _check(q, k, v)
    name = backend or sdpa_choice(q, k, v, causal=causal)
    return choose("attention", BACKENDS, q, name).run(q, k, v, causal=causal)


def _check(q: Tensor, k: Tensor, v: Tensor) -> None:
    if q.ndim != 4:
        raise ValueError(f"attention: q is {list(q.shape)}, expected batch, head, token, d")
    batch, heads, _, d = q.shape
    if k.ndim != 4 or k.shape[:2] != q.shape[:2] or k.shape[3] != d:
        raise ValueError(f"attention: k is {list(k.shape)}, expected [{batch}, {heads}, token, {d}] as q has")
    if v.shape != k.shape:
        raise ValueError(f"attention: v is {list(v.shape)}, expected {list(k.shape)} as k has")
    # autocast, which meta tensors do not know, brings them to one type
    if q.device.type != "meta" and torch.is_autocast_enabled(q.device.type):
        return
    for name, x in (("k", k), ("v", v)):
        if x.dtype != q.dtype:
            raise ValueError(f"attention: {name} is {x.dtype}, expected {q.dtype} as q has")
