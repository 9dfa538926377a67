"""TTT-MLP: a sequence mixer whose hidden state is a two-layer model that learns at test time (arXiv:2407.04620).

`reference.py` defines it, `torch_fast.py` computes the same with a hand-written backward, `README.md` derives both.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, Protocol, overload

from torch import Tensor

from auharness.ops.backends import Backend, called_as_is, choose, full_precision, resolve
from auharness.ops.scan import Direction, reverse_flags
from auharness.ops.ttt.arguments import check_range
from auharness.ops.ttt_mlp.arguments import fitted
from auharness.ops.ttt_mlp.reference import ttt_mlp_reference
from auharness.ops.ttt_mlp.torch_fast import ttt_mlp_torch

__all__ = ["BACKENDS", "ttt_mlp", "ttt_mlp_backend"]


class _Scan(Protocol):
    """What a backend is called with: every tensor with its leading axis of directions, see `ttt_mlp_reference`."""

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        lr: Tensor,
        token_scale: Tensor,
        w1: Tensor,
        b1: Tensor,
        w2: Tensor,
        b2: Tensor,
        ln_weight: Tensor,
        ln_bias: Tensor,
        *,
        mini_batch: int,
        eps: float,
        reverse: Sequence[bool],
        suffix: int,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]: ...


BACKENDS: Final[Mapping[str, Backend[_Scan]]] = MappingProxyType(
    {"torch": Backend(ttt_mlp_torch), "reference": Backend(ttt_mlp_reference)}
)
"""Implementations by name, in order of preference."""


def ttt_mlp_backend(q: Tensor, *, mini_batch: int = 16, backend: str | None = None) -> str:
    """Return the name of the backend that `ttt_mlp` uses for this `q` and `mini_batch`.

    Raises:
        UsageError: `backend` is unknown or cannot serve this tensor.

    >>> import torch
    >>> ttt_mlp_backend(torch.zeros(1, 1, 4, 8))
    'torch'
    """
    return resolve("ttt_mlp", BACKENDS, q, backend, mini_batch=mini_batch)


@overload
def ttt_mlp(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lr: Tensor,
    token_scale: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
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
def ttt_mlp(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lr: Tensor,
    token_scale: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    ln_weight: Tensor,
    ln_bias: Tensor,
    *,
    mini_batch: int,
    eps: float = ...,
    direction: Direction = ...,
    suffix: int = ...,
    backend: str | None = ...,
    return_state: Literal[True],
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]: ...
@called_as_is
def ttt_mlp(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lr: Tensor,
    token_scale: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    ln_weight: Tensor,
    ln_bias: Tensor,
    *,
    mini_batch: int,
    eps: float = 1e-6,
    direction: Direction = "forward",
    suffix: int = 0,
    backend: str | None = None,
    return_state: bool = False,
) -> Tensor | tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Return, for every token, its query plus the normalised answer of a small MLP trained on the tokens so far.

    The model `f(x) = gelu(x W1 + b1) W2 + b2`, GELU in its tanh form, takes one gradient step in all four per
    mini-batch on `0.5 |LN(f(k)) - (v - k)|^2`; inside a mini-batch query i sees the steps of keys 0..i. Queries are not
    scaled, and rotary embedding is the caller's. The state is float32 also for half precision; the output has the type
    of `q`. Once differentiable in every tensor.

    Args:
        q: queries `[batch, head, token, d]`; `k` and `v` alike.
        k: keys.
        v: values.
        lr: inner learning rate per key, `[batch, head, token]`, >= 0.
        token_scale: scale of the step as seen by each position of a mini-batch, `[mini_batch]` or longer.
        w1: initial first layer `[head, d, f]` or `[batch, head, d, f]`, any hidden width f (4 d in the paper).
        b1: its initial bias `[head, 1, f]` or `[batch, head, 1, f]`.
        w2: initial second layer `[head, f, d]` or `[batch, head, f, d]`.
        b2: its initial bias `[head, 1, d]` or `[batch, head, 1, d]`.
        ln_weight: weight of the inner LayerNorm `[head, d]`; `ln_bias` alike.
        ln_bias: bias of the inner LayerNorm.
        mini_batch: tokens per gradient step, >= 1; what remains of the sequence is one shorter mini-batch.
        eps: added to the variance in both normalisations.
        direction: `forward`; `reverse` reads the tokens backwards and returns them in the order given; `both` does
            the two in one pass: every tensor then has a leading axis of 2 (one per direction) or 1 (shared), only
            `token_scale` may also stay `[mini_batch]`.
        suffix: tokens at the end (CLS) that are read last in either direction (AU-TTT, eq. 6).
        backend: `torch` or `reference`; unset takes the fastest that serves these tensors.
        return_state: also return the state after the last token.

    Returns:
        The output, shaped like `q` (`[2, batch, head, token, d]` for `both`); with `return_state` a pair of it and
        `(w1, b1, w2, b2)`, each with its axis of the batch, for `both` with a leading axis of 2.

    Raises:
        UsageError: unknown `direction` or `backend`, or `mini_batch` or `suffix` out of range.
        ValueError: tensors whose shapes do not fit together.
    """
    reverse = reverse_flags("ttt_mlp", direction)
    both = direction == "both"
    arguments = [q, k, v, lr, token_scale, w1, b1, w2, b2, ln_weight, ln_bias]
    if not both:
        arguments = [x[None] for x in arguments]
    elif token_scale.ndim == 1:
        arguments[4] = token_scale[None]
    entry = choose("ttt_mlp", BACKENDS, q, backend, mini_batch=mini_batch)
    tensors = fitted(*arguments, directions=len(reverse), widen=not entry.reads_half)
    check_range("ttt_mlp", tensors[0].shape[-2], tensors[4].shape[-1], mini_batch=mini_batch, suffix=suffix)
    with full_precision(q.device):
        results = entry.run(*tensors, mini_batch=mini_batch, eps=eps, reverse=reverse, suffix=suffix)
    out, w1, b1, w2, b2 = results if both else (x.squeeze(0) for x in results)
    out = out.to(q.dtype)
    return (out, (w1, b1, w2, b2)) if return_state else out
