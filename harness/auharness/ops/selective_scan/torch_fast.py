"""Selective scan in torch with a hand-written backward: chunks of tokens, computed whole, in memory that is reused.

Only the recurrence itself goes token by token, one fused call per token and pass. The forward pass keeps the state
before each chunk and the backward pass computes the others again. `README.md` beside this file derives the formulas.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from auharness.ops.backends import full_precision
from auharness.ops.selective_scan.chunks import CHUNK, Inputs, Options, Sums, blocks

__all__ = ["selective_scan_torch"]


def selective_scan_torch(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
    *,
    softplus: bool,
    zoh: bool,
    reverse: Sequence[bool],
    suffix: int,
) -> tuple[Tensor, Tensor]:
    """Compute what `selective_scan_reference` computes, from the same arguments; once differentiable in each tensor."""
    options = Options(softplus, zoh, tuple(reverse), suffix)
    inputs = Inputs(u, delta, A, B, C, D, z, delta_bias, initial_state)
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs):
        y, state = _SelectiveScan.apply(options, *inputs)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return y, state
    return _forward(inputs, options)


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, options: Options, *tensors: Any) -> tuple[Tensor, Tensor]:
        inputs = Inputs(*tensors)
        starts = _states(inputs, -(-inputs.u.shape[2] // CHUNK))
        ctx.options = options
        ctx.save_for_backward(*tensors, starts)
        return _forward(inputs, options, starts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor, d_state: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, starts = ctx.saved_tensors
        with full_precision(d_y.device):
            return None, *_backward(Inputs(*tensors), ctx.options, starts, d_y, d_state)


def _forward(inputs: Inputs, options: Options, starts: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the output and the last state; write the states before the chunks to `starts [chunk, directions, ...]`."""
    y, last = _dense(inputs.u), _states(inputs)
    for block in blocks(inputs, options, backward=False):
        to_y = block.time_first(y)
        if inputs.initial_state is None:
            block.state.zero_()
        else:
            block.state.copy_(block.of(inputs.initial_state).mT)
        for i, tokens in enumerate(block.chunks):
            if starts is not None:
                block.of(starts[i]).copy_(block.state)
            chunk = block.scan(tokens)
            to_y[tokens] = chunk.output()
            block.state.copy_(chunk.h[-1])
        block.of(last).copy_(block.state)
    return y, last.mT


def _backward(
    inputs: Inputs, options: Options, starts: Tensor, d_y: Tensor, d_state: Tensor
) -> tuple[Tensor | None, ...]:
    """Return the gradients of the inputs, in their order."""
    by_token = [None if x is None else _dense(x) for x in (inputs.u, inputs.delta, inputs.B, inputs.C, inputs.z)]
    d_u, d_delta, d_B, d_C, d_z = by_token
    d_first, shared = _states(inputs), inputs.u[:, 0, 0]
    sums = Sums(torch.zeros_like(inputs.A.mT), torch.zeros_like(shared), torch.zeros_like(shared))
    for block in blocks(inputs, options, backward=True):
        given, found = block.time_first(d_y), [None if x is None else block.time_first(x) for x in by_token]
        direction_sums = Sums(*(x[block.direction] for x in sums))
        d_now = block.of(d_state).mT.clone(memory_format=torch.contiguous_format)
        for i, tokens in reversed(list(enumerate(block.chunks))):
            block.state.copy_(block.of(starts[i]))
            gradients = block.scan(tokens).back(given[tokens], d_now, direction_sums)
            for x, gradient in zip(found, gradients, strict=True):
                if x is not None and gradient is not None:
                    x[tokens] = gradient
        block.of(d_first).copy_(d_now)
    return (
        *(d_u, d_delta, sums.A.mT, d_B, d_C),
        None if inputs.D is None else sums.D,
        d_z,
        None if inputs.delta_bias is None else sums.delta_bias,
        None if inputs.initial_state is None else d_first.mT,
    )


def _dense(like: Tensor) -> Tensor:
    """Return memory for a tensor of this shape, also where `like` is an expanded view."""
    return like.new_empty(like.shape)


def _states(inputs: Inputs, *lead: int) -> Tensor:
    """Return memory for states `[*lead, directions, batch, state, dim]`."""
    directions, batch, _, dim = inputs.u.shape
    return inputs.u.new_empty(*lead, directions, batch, inputs.A.shape[-1], dim)
