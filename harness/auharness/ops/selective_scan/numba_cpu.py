"""Selective scan on the CPU, compiled by numba at the first call: forward and backward, threads over chains.

Here the tensors become flat memory, and gradients that several chains share become parts that are added in a fixed
order, so that results do not depend on the number of threads. `numba_kernels.py` has the loops.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from auharness.ops.numba_vectors import WIDTH
from auharness.ops.scan import scan_positions
from auharness.ops.selective_scan import numba_kernels as kernels
from auharness.ops.selective_scan.numba_kernels import SEGMENT, Gradients, Scratch, Sequences, Weights
from auharness.ops.threads import over_threads

__all__ = ["selective_scan_numba"]

# channels of a chain: more share the sums for B and C, fewer leave their states in a faster cache
_MOST_LANES = 128


class _Inputs(NamedTuple):
    """The arguments of the operator, in its order."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    delta_bias: Tensor | None
    initial_state: Tensor | None


class _Options(NamedTuple):
    """What is not a tensor."""

    softplus: bool
    zoh: bool
    reverse: tuple[bool, ...]
    suffix: int


def selective_scan_numba(
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
    """Compute what `selective_scan_reference` computes, in float32; once differentiable in every tensor."""
    options = _Options(softplus, zoh, tuple(reverse), suffix)
    inputs = _Inputs(u, delta, A, B, C, D, z, delta_bias, initial_state)
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs):
        return _SelectiveScan.apply(options, *inputs)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    y, state, _ = _forward(inputs, options, keep=False)
    return y, state


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, options: _Options, *tensors: Tensor | None) -> tuple[Tensor, Tensor]:
        y, state, kept = _forward(_Inputs(*tensors), options, keep=True)  # type: ignore[arg-type]  # some are None
        ctx.options = options
        ctx.save_for_backward(kept, *tensors)
        return y, state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor, d_state: Tensor) -> tuple[Tensor | None, ...]:
        kept, *tensors = ctx.saved_tensors
        return None, *_backward(_Inputs(*tensors), ctx.options, kept, d_y, d_state)


def _forward(inputs: _Inputs, options: _Options, *, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return the output, the state after the last token and, if asked, the states that the backward pass needs."""
    directions, batch, token, dim = inputs.u.shape
    state, new = inputs.A.shape[-1], inputs.u.new_empty
    blocks, lanes = _blocks(dim)
    chains = directions * batch * blocks
    y, last = new(inputs.u.shape), new(directions, batch, dim, state)
    kept = new(chains if keep else 0, -(-token // SEGMENT), state * lanes)
    arguments = _sequences(inputs, options), _weights(inputs), options.softplus, options.zoh
    results = y.view(-1).numpy(), last.numpy(), kept.numpy()

    def work(start: int, stop: int) -> None:
        kernels.forward(start, stop, *arguments, *results, _scratch(new, state, lanes, places=1))

    over_threads(work, chains)
    return y, last, kept


def _backward(
    inputs: _Inputs, options: _Options, kept: Tensor, d_y: Tensor, d_last: Tensor
) -> tuple[Tensor | None, ...]:
    """Return the gradients of the inputs, in their order."""
    directions, batch, token, dim = inputs.u.shape
    state, new = inputs.A.shape[-1], inputs.u.new_empty
    blocks, lanes = _blocks(dim)
    d_u, d_delta, d_z = (new(inputs.u.shape) for _ in range(3))
    d_b, d_c = (new(blocks, directions, batch, token, state) for _ in range(2))
    d_a, d_skip, d_bias = (new(batch, directions, dim, *tail) for tail in ((state,), (), ()))
    d_initial = new(directions, batch, dim, state)
    flat, shaped = (d_u, d_delta, d_z), (d_b, d_c, d_a, d_skip, d_bias, d_initial)
    out = Gradients(*(x.view(-1).numpy() for x in flat), *(x.numpy() for x in shaped))
    arguments = _sequences(inputs, options, d_y), _weights(inputs), options.softplus, options.zoh
    sources = d_last.contiguous().numpy(), kept.numpy()

    def work(start: int, stop: int) -> None:
        kernels.backward(start, stop, *arguments, *sources, out, _scratch(new, state, lanes, places=SEGMENT))

    over_threads(work, directions * batch * blocks)
    return (
        *(d_u, d_delta, _added(d_a), _added(d_b), _added(d_c)),
        None if inputs.D is None else _added(d_skip),
        None if inputs.z is None else d_z,
        None if inputs.delta_bias is None else _added(d_bias),
        None if inputs.initial_state is None else d_initial,
    )


def _blocks(dim: int) -> tuple[int, int]:
    """Return into how many blocks the channels are cut, and how many lanes each has: whole vectors."""
    blocks = -(-dim // _MOST_LANES)
    return blocks, -(-dim // blocks // WIDTH) * WIDTH


def _sequences(inputs: _Inputs, options: _Options, d_y: Tensor | None = None) -> Sequences:
    flat = [_flat(x) for x in (inputs.u, inputs.delta, inputs.B, inputs.C, inputs.z, d_y)]
    token, suffix = inputs.u.shape[2], options.suffix
    order = torch.stack([scan_positions(token, reverse=reverse, suffix=suffix) for reverse in options.reverse])
    u, delta, b, c, z, gradient = (x for x, _ in flat)
    return Sequences(u, delta, b, c, z, gradient, np.array([strides for _, strides in flat]), order.numpy())


def _weights(inputs: _Inputs) -> Weights:
    directions, batch, _, dim = inputs.u.shape
    rates, skip, bias, initial = inputs.A, inputs.D, inputs.delta_bias, inputs.initial_state
    zeros = rates.new_zeros(())
    skip, bias = (zeros.expand(directions, dim) if x is None else x for x in (skip, bias))
    initial = zeros.expand(directions, batch, dim, rates.shape[-1]) if initial is None else initial
    return Weights(*(x.detach().contiguous().numpy() for x in (rates, skip, bias, initial)))


def _flat(x: Tensor | None) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    """Return the memory of `[directions, batch, token, channel]` and its strides but the last, which is made 1."""
    if x is None:
        return np.empty(0, np.float32), (0, 0, 0)
    x = x.detach()
    if x.stride(-1) != 1 and x.shape[-1] > 1:
        x = x.contiguous()
    extent = 1 + sum((size - 1) * stride for size, stride in zip(x.shape[:-1], x.stride()[:-1], strict=True))
    return x.as_strided((extent + x.shape[-1] - 1,), (1,)).numpy(), x.stride()[:-1]


def _scratch(new: Callable[..., Tensor], state: int, lanes: int, *, places: int) -> Scratch:
    """Return memory for one thread, with this many places for what is computed at each step."""
    after = places + 1 if places > 1 else 1
    rows, channels = (8, SEGMENT, lanes), (4, lanes)
    blocks = [(count, state, lanes) for count in (5, after, places, places)]
    return Scratch(lanes, *(new(shape).view(-1).numpy() for shape in (rows, channels, *blocks, (2, state, WIDTH))))


def _added(parts: Tensor) -> Tensor:
    """Return the sum over the first axis, in its order whatever the number of threads."""
    total = parts[0].clone()
    for part in parts[1:]:
        total.add_(part)
    return total
