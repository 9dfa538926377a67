"""TTT-Linear compiled for the CPU: the state of each chain stays in cache, the chains are spread over threads.

The wrapper around `numba_kernels.py`, which take addresses and distances between rows: one compilation then serves
every memory layout, width and length, and nothing is copied to be read.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from auharness.ops.threads import over_threads
from auharness.ops.ttt.layout import Layout
from auharness.ops.ttt_linear.numba_blocks import padded
from auharness.ops.ttt_linear.numba_kernels import (
    SEGMENT,
    Arguments,
    Gradients,
    Results,
    Rows,
    Sizes,
    Sums,
    backward,
    blocks,
    forward,
)

__all__ = ["ttt_linear_numba"]


class _Inputs(NamedTuple):
    """The arguments of the operator, in its order."""

    q: Tensor
    k: Tensor
    v: Tensor
    lr: Tensor
    token_scale: Tensor
    w0: Tensor
    b0: Tensor
    ln_weight: Tensor
    ln_bias: Tensor


def ttt_linear_numba(
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
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute what `ttt_linear_reference` computes, from the same arguments in float32; once differentiable."""
    directions, batch, head, token, d = q.shape
    layout = Layout((directions, batch, head), token, d, min(mini_batch, token), tuple(reverse), suffix)
    q, k, v, w0, b0, ln_weight, ln_bias = map(_with_whole_rows, (q, k, v, w0, b0, ln_weight, ln_bias))
    inputs = _Inputs(q, k, v, lr, token_scale, w0, b0, ln_weight, ln_bias)
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        return _TTTLinear.apply(layout, eps, *inputs)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return _forward(inputs, layout, eps, 0)


class _TTTLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, layout: Layout, eps: float, *tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        inputs = _Inputs(*tensors)
        segments = -(-layout.token // (layout.mini_batch * SEGMENT))
        kept = inputs.q.new_empty(layout.chains, segments - 1, layout.d + 1, padded(layout.d))
        ctx.layout, ctx.eps = layout, eps
        ctx.save_for_backward(*tensors, kept)
        return _forward(inputs, layout, eps, kept.data_ptr())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, kept = ctx.saved_tensors
        return None, None, *_backward(_Inputs(*tensors), kept, gradients, ctx.layout, ctx.eps)


def _forward(inputs: _Inputs, layout: Layout, eps: float, kept: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the output and the last state; write the states that the backward pass reads to `kept`, unless 0."""
    out = layout.empty(inputs.q, layout.d)
    w, b = inputs.q.new_empty(inputs.w0.shape), inputs.q.new_empty(inputs.b0.shape)
    _over_chains(forward, layout, eps, inputs, Results(_rows(out), _rows(w), _rows(b)), kept)
    return out, w, b


def _backward(
    inputs: _Inputs, kept: Tensor, gradients: Sequence[Tensor], layout: Layout, eps: float
) -> tuple[Tensor, ...]:
    """Return the gradients of the inputs, in their order."""
    d_out, d_w, d_b = map(_with_whole_rows, gradients)
    directions, batch, head = layout.lead
    # one piece of memory: the allocator then keeps it, and the system need not hand out its pages anew in every step
    d_q, d_k, d_v = inputs.q.new_empty(3, directions, batch, layout.token, head, layout.d).transpose(3, 4)
    d_lr = layout.empty(inputs.q)
    d_w0, d_b0 = inputs.q.new_empty(inputs.w0.shape), inputs.q.new_empty(inputs.b0.shape)
    widths = [padded(size) for size in (layout.mini_batch, layout.d, layout.d)]
    sums = [inputs.q.new_empty(*layout.lead, width) for width in widths]
    places = (
        kept.data_ptr(),
        Results(_rows(d_out), _rows(d_w), _rows(d_b)),
        Gradients(*map(_rows, (d_q, d_k, d_v, d_lr[..., None], d_w0, d_b0))),
        Sums(*(x.data_ptr() for x in sums)),
    )
    _over_chains(backward, layout, eps, inputs, *places)
    # the chains of a head are added up here, in an order that the threads do not change
    d_scale = torch.zeros_like(inputs.token_scale)
    d_scale[:, : layout.mini_batch] = sums[0].sum((1, 2))[:, : layout.mini_batch]
    d_weight, d_bias = (x.sum(1)[..., : layout.d] for x in sums[1:])
    return d_q, d_k, d_v, d_lr, d_scale, d_w0, d_b0, d_weight, d_bias


def _over_chains(kernel: Any, layout: Layout, eps: float, inputs: _Inputs, *places: Any) -> None:
    """Run a kernel over all chains, in each thread with working memory of its own."""
    reverse = sum(flag << direction for direction, flag in enumerate(layout.reverse))
    sizes = Sizes(*layout.lead[1:], layout.token, layout.d, layout.mini_batch, layout.suffix, reverse)
    at = blocks(sizes)
    scale, weight, bias = inputs.token_scale[:, None, None, :, None], inputs.ln_weight, inputs.ln_bias
    tensors = (inputs.lr[..., None], scale, inputs.w0, inputs.b0, weight[:, None, :, None], bias[:, None, :, None])
    given = Arguments(*map(_rows, (*inputs[:3], *tensors)))

    def work(start: int, stop: int) -> None:
        memory = inputs.q.new_empty(at.forward_end if kernel is forward else at.end)
        kernel(start, stop, sizes, at, np.float32(eps), memory.data_ptr(), given, *places)

    over_threads(work, layout.chains)


def _rows(x: Tensor) -> Rows:
    """Return where the rows of `[directions, batch, head, row, number]` lie; an axis of one is shared."""
    assert x.dtype == torch.float32 and x.device.type == "cpu" and _has_whole_rows(x)
    directions, batch, head, row = (n if size > 1 else 0 for size, n in zip(x.shape[:4], x.stride(), strict=False))
    return x.data_ptr(), directions, batch, head, row


def _has_whole_rows(x: Tensor) -> bool:
    return x.stride(-1) == 1 or x.shape[-1] == 1


def _with_whole_rows(x: Tensor) -> Tensor:
    """Return `x` with the numbers of a row beside each other, as the kernels read them; seldom a copy."""
    return x if _has_whole_rows(x) else x.contiguous()
