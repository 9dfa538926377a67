"""TTT-Linear: a sequence mixer whose hidden state is a linear model that learns at test time (arXiv:2407.04620).

`reference.py` defines it, `torch_fast.py` computes the same with a hand-written backward, `triton_gpu.py` and
`numba_cpu.py` too, compiled for GPU and CPU; `README.md` derives them.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, Protocol, overload

import torch
from torch import Tensor

from auharness.ops.backends import Backend, called_as_is, choose, full_precision, full_type, needs, resolve
from auharness.ops.scan import Direction, reverse_flags
from auharness.ops.ttt.arguments import check_range
from auharness.ops.ttt_linear.arguments import fitted
from auharness.ops.ttt_linear.reference import ttt_linear_reference
from auharness.ops.ttt_linear.torch_fast import ttt_linear_torch

__all__ = ["BACKENDS", "ttt_linear", "ttt_linear_backend"]


class _Scan(Protocol):
    """What a backend is called with: every tensor with its leading axis of directions, see `ttt_linear_reference`."""

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        lr: Tensor,
        token_scale: Tensor,
        w0: Tensor,
        b0: Tensor,
        ln_weight: Tensor,
        ln_bias: Tensor,
        *,
        mini_batch: int,
        eps: float,
        reverse: Sequence[bool],
        suffix: int,
    ) -> tuple[Tensor, Tensor, Tensor]: ...


def _not_for_triton(q: Tensor, *, mini_batch: int, kind: torch.dtype = torch.float32, **facts: object) -> str | None:
    d, rows = q.shape[-1], min(mini_batch, q.shape[-2])
    if not q.is_cuda:
        return f"its kernels run on a GPU, q is on {q.device}"
    if torch.float64 in (q.dtype, kind):
        return "its kernels have no float64"
    if rows > 64:
        return f"its mini-batches have at most 64 tokens, not {rows}"
    if d not in (16, 32, 64, 128):
        return f"its heads are 16, 32, 64 or 128 wide, not {d}"
    return _too_large(q, d, rows)


def _too_large(q: Tensor, d: int, rows: int) -> str | None:
    """Say where a GPU's shared memory is too small for a tile; what a tile needs was read off compiled kernels."""
    if q.dtype in (torch.float16, torch.bfloat16):
        need = 64 if d <= 64 else 144
    elif d <= 64:
        need = 64 if rows <= 16 else 96 if rows <= 32 else 128
    else:
        need = 192 if rows <= 16 else 384
    device = torch.cuda.get_device_properties(q.device)
    room = device.shared_memory_per_block_optin // 1024  # type: ignore[attr-defined]  # its stub forgets it
    name = str(q.dtype).removeprefix("torch.")
    size = f"{name} heads of {d} and mini-batches of {rows}"
    return f"{size} need {need} KB of shared memory, the device has {room}" if need > room else None


def _not_for_numba(q: Tensor, *, kind: torch.dtype = torch.float32, **facts: object) -> str | None:
    if q.device.type != "cpu":
        return f"its kernels run on the CPU, q is on {q.device}"
    return "its kernels have no float64" if torch.float64 in (q.dtype, kind) else None


BACKENDS: Final[Mapping[str, Backend[_Scan]]] = MappingProxyType(
    {
        "triton": Backend(
            "auharness.ops.ttt_linear.triton_gpu:ttt_linear_triton",
            missing=needs("triton", extra="gpu", device="cuda"),
            refuses=_not_for_triton,
            reads_half=True,
        ),
        "numba": Backend(
            "auharness.ops.ttt_linear.numba_cpu:ttt_linear_numba",
            missing=needs("numba", extra="cpu"),
            refuses=_not_for_numba,
        ),
        "torch": Backend(ttt_linear_torch),
        "reference": Backend(ttt_linear_reference),
    }
)
"""Implementations by name, in order of preference."""


def ttt_linear_backend(q: Tensor, *, mini_batch: int = 16, backend: str | None = None) -> str:
    """Return the name of the backend that `ttt_linear` uses for this `q` and `mini_batch`.

    Raises:
        UsageError: `backend` is unknown or cannot serve this tensor.

    >>> ttt_linear_backend(torch.zeros(1, 1, 4, 8, dtype=torch.float64))
    'torch'
    """
    return resolve("ttt_linear", BACKENDS, q, backend, mini_batch=mini_batch)


@overload
def ttt_linear(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lr: Tensor,
    token_scale: Tensor,
    w0: Tensor,
    b0: Tensor,
    ln_weight: Tensor,
    ln_bias: Tensor,
    *,
    mini_batch: int,
    eps: float = ...,
    direction: Direction = ...,
    suffix: int = ...,
    backend: str | None = ...,
    return_state: Literal[False] = ...,
) -> Tensor: ...
@overload
def ttt_linear(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lr: Tensor,
    token_scale: Tensor,
    w0: Tensor,
    b0: Tensor,
    ln_weight: Tensor,
    ln_bias: Tensor,
    *,
    mini_batch: int,
    eps: float = ...,
    direction: Direction = ...,
    suffix: int = ...,
    backend: str | None = ...,
    return_state: Literal[True],
) -> tuple[Tensor, tuple[Tensor, Tensor]]: ...
@called_as_is
def ttt_linear(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lr: Tensor,
    token_scale: Tensor,
    w0: Tensor,
    b0: Tensor,
    ln_weight: Tensor,
    ln_bias: Tensor,
    *,
    mini_batch: int,
    eps: float = 1e-6,
    direction: Direction = "forward",
    suffix: int = 0,
    backend: str | None = None,
    return_state: bool = False,
) -> Tensor | tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return, for every token, its query plus the normalised answer of a linear model trained on the tokens so far.

    The model `z = x W + b` takes one gradient step per mini-batch on `0.5 |LN(k W + b) - (v - k)|^2`; inside a
    mini-batch query i sees the steps of keys 0..i. Queries are not scaled, and rotary embedding is the caller's.
    The state is float32 also for half precision; the output has the type of `q`. Once differentiable in every tensor.

    Args:
        q: queries `[batch, head, token, d]`; `k` and `v` alike.
        k: keys.
        v: values.
        lr: inner learning rate per key, `[batch, head, token]`, >= 0.
        token_scale: scale of the step as seen by each position of a mini-batch, `[mini_batch]` or longer.
        w0: initial state `[head, d, d]` or `[batch, head, d, d]`.
        b0: initial bias `[head, 1, d]` or `[batch, head, 1, d]`.
        ln_weight: weight of the inner LayerNorm `[head, d]`; `ln_bias` alike.
        ln_bias: bias of the inner LayerNorm.
        mini_batch: tokens per gradient step, >= 1; what remains of the sequence is one shorter mini-batch.
        eps: added to the variance in both normalisations.
        direction: `forward`; `reverse` reads the tokens backwards and returns them in the order given; `both` does
            the two in one pass: every tensor then has a leading axis of 2 (one per direction) or 1 (shared), only
            `token_scale` may also stay `[mini_batch]`.
        suffix: tokens at the end (CLS) that are read last in either direction (AU-TTT, eq. 6).
        backend: `triton` (GPU), `numba` (CPU), `torch` or `reference`; unset takes the fastest that can.
        return_state: also return the state after the last token.

    Returns:
        The output, shaped like `q` (`[2, batch, head, token, d]` for `both`); with `return_state` a pair of it and
        `(w [batch, head, d, d], b [batch, head, 1, d])`, for `both` with a leading axis of 2.

    Raises:
        UsageError: unknown `direction` or `backend`, or `mini_batch` or `suffix` out of range.
        ValueError: tensors whose shapes do not fit together.
    """
    reverse = reverse_flags("ttt_linear", direction)
    both = direction == "both"
    if not both:
        q, k, v, lr, w0, b0, ln_weight, ln_bias = (x[None] for x in (q, k, v, lr, w0, b0, ln_weight, ln_bias))
    if not both or token_scale.ndim == 1:
        token_scale = token_scale[None]
    arguments = q, k, v, lr, token_scale, w0, b0, ln_weight, ln_bias
    entry = choose("ttt_linear", BACKENDS, q, backend, mini_batch=mini_batch, kind=full_type(*arguments))
    tensors = fitted(*arguments, directions=len(reverse), widen=not entry.reads_half)
    check_range("ttt_linear", tensors[0].shape[-2], tensors[4].shape[-1], mini_batch=mini_batch, suffix=suffix)
    with full_precision(q.device):
        out, w, b = entry.run(*tensors, mini_batch=mini_batch, eps=eps, reverse=reverse, suffix=suffix)
    out = out.to(q.dtype)
    if not both:
        out, w, b = (x.squeeze(0) for x in (out, w, b))
    return (out, (w, b)) if return_state else out
