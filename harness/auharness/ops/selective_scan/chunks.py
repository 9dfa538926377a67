"""The chunk of the fast path: some sequences of one direction, some tokens, computed whole in memory that is reused.

Arrays have time first, then the sequence; those of states end in `[state, dim]`, so that neighbours in memory are
neighbouring channels. `README.md` derives the formulas, with the names used here.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from math import e, factorial, log2
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from auharness.ops.scan import scan_positions

__all__ = ["CHUNK", "Block", "Inputs", "Options", "Sums", "blocks"]

CHUNK: Final = 16  # tokens between two states that are kept

_CORE_BLOCK = 2**19  # numbers in the states of a chunk, per core: fewer pay for more calls, more leave the cache
_DEVICE_BLOCK = 2**25  # the same on a device, where the number of calls is what costs
_LINEAR_FROM = 20.0  # from here softplus is the identity, as in torch and mamba-ssm
_ZERO_RATE = 1e-20  # stands for every rate nearer to zero: zero-order hold divides by it, and its values are the same
_NEAR_ZERO = 0.1  # below it the slope of (exp(x) - 1) / x is taken from its series
_SERIES_TERMS = {torch.float32: 6, torch.float64: 11}  # what full precision takes there


class Inputs(NamedTuple):
    """The tensors of the operator, in its order."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    delta_bias: Tensor | None
    initial_state: Tensor | None


class Options(NamedTuple):
    """The other arguments of the operator."""

    softplus: bool
    zoh: bool
    reverse: tuple[bool, ...]
    suffix: int


class Sums(NamedTuple):
    """Gradients of what all sequences of a direction share, which each chunk adds to."""

    A: Tensor  # [directions, state, dim], or of one direction
    D: Tensor  # [directions, dim]
    delta_bias: Tensor


class _Memory:
    """What a chunk is computed in."""

    def __init__(self, like: Tensor, *shape: int, backward: bool) -> None:
        again = CHUNK if backward else 0
        self.h = like.new_empty(CHUNK + 1, *shape)  # the states: before the chunk, then after each of its tokens
        self.decay = like.new_empty(CHUNK, *shape)
        self.gradient = like.new_empty(again, *shape)  # of the states
        self.w = like.new_empty(again, *shape)  # weights of the input in a zero-order hold
        self.each_h, self.each_decay, self.each_gradient = list(self.h), list(self.decay), list(self.gradient)


class Block:
    """Some sequences of one direction."""

    def __init__(self, inputs: Inputs, options: Options, direction: int, rows: slice, memory: _Memory) -> None:
        self.direction, self.memory, self.softplus = direction, memory, options.softplus
        self._rows, self._kind = rows, _ZohChunk if options.zoh else _EulerChunk
        self.u, self.delta, self.B, self.C = (self.time_first(x) for x in (inputs.u, inputs.delta, inputs.B, inputs.C))
        self.z = None if inputs.z is None else self.time_first(inputs.z)
        self.D = None if inputs.D is None else inputs.D[direction]
        self.delta_bias = None if inputs.delta_bias is None else inputs.delta_bias[direction]
        rate = inputs.A[direction].mT.contiguous()
        self.rate = torch.where(rate.abs() < _ZERO_RATE, _ZERO_RATE, rate) if options.zoh else rate
        self.per_rate = 1 / self.rate  # for zero-order hold alone, where no rate is zero
        self.rate_log2 = self.rate * log2(e)  # torch computes powers of two several times faster than those of e
        self.chunks = _chunks(inputs.u, reverse=options.reverse[direction], suffix=options.suffix)
        self.state = memory.h[0]  # where a chunk starts from

    def of(self, x: Tensor) -> Tensor:
        """Return the part of `x [directions, batch, ...]` that belongs to this block."""
        return x[self.direction, self._rows]

    def time_first(self, x: Tensor) -> Tensor:
        """Return the part of `x [directions, batch, token, ...]` that belongs to this block, tokens first."""
        return self.of(x).transpose(0, 1)

    def scan(self, tokens: slice | Tensor) -> "_Chunk":
        """Compute the states of these tokens, from `state` on."""
        return self._kind(self, tokens)


class _Chunk(ABC):
    """One chunk, its states computed; the discretisation is that of the class below."""

    def __init__(self, block: Block, tokens: slice | Tensor) -> None:
        self.block = block
        self.u, delta, self.B, self.C = (x[tokens] for x in (block.u, block.delta, block.B, block.C))
        self.z = None if block.z is None else block.z[tokens]
        self.raw_dt = delta if block.delta_bias is None else delta + block.delta_bias
        self.dt = F.softplus(self.raw_dt, threshold=_LINEAR_FROM) if block.softplus else self.raw_dt
        memory, length = block.memory, len(self.u)
        self.h, self.decay, self.gradient = memory.h[: length + 1], memory.decay[:length], memory.gradient[:length]
        torch.mul(self.dt[:, :, None], block.rate_log2, out=self.decay).exp2_()
        self.take_in(self.h[1:])
        for decay, before, after in zip(memory.each_decay[:length], memory.each_h, memory.each_h[1:], strict=False):
            after.addcmul_(decay, before)

    @abstractmethod
    def take_in(self, out: Tensor) -> None:
        """Write to `out` what each token adds to the state."""

    @abstractmethod
    def give_back(self, sums: Sums) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of u, dt and B that come through `take_in`; multiply the decays by `gradient`."""

    def answer(self) -> Tensor:
        """Return what is read from the states, before the gate, `[token, sequence, dim]`."""
        y = _over_state(self.C, self.h[1:])
        return y if self.block.D is None else y.addcmul_(self.u, self.block.D)

    def output(self) -> Tensor:
        """Return the output `[token, sequence, dim]`."""
        return self.answer() if self.z is None else self.answer().mul_(F.silu(self.z))

    def back(self, d_y: Tensor, d_state: Tensor, sums: Sums) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
        """Return the gradients of u, delta, B, C and z; turn that of the state after the chunk into that before it.

        Overwrites the chunk.
        """
        d_z = None
        if self.z is not None:
            d_z = torch.ops.aten.silu_backward(d_y * self.answer(), self.z)
            d_y = d_y * F.silu(self.z)
        d_C = _over_channels(d_y, self.h[1:])
        self._back_in_time(d_y, d_state)
        d_u, d_dt, d_B = self.give_back(sums)
        # the decays now hold the gradient of each state as it reaches the one before
        d_exponent = self.decay.mul_(self.h[:-1])
        torch.mul(d_exponent, self.dt[:, :, None], out=self.gradient)
        sums.A.add_(self.gradient.sum((0, 1)))
        d_dt.add_(d_exponent.mul_(self.block.rate).sum(2))
        if self.block.softplus:
            d_dt = torch.ops.aten.softplus_backward(d_dt, self.raw_dt, 1.0, _LINEAR_FROM)
        if self.block.delta_bias is not None:
            sums.delta_bias.add_(d_dt.sum((0, 1)))
        if self.block.D is not None:
            d_u.addcmul_(d_y, self.block.D)
            sums.D.add_((d_y * self.u).sum((0, 1)))
        return d_u, d_dt, d_B, d_C, d_z

    def _back_in_time(self, d_y: Tensor, d_state: Tensor) -> None:
        """Find the gradient of each state, from this and all later outputs."""
        torch.mul(d_y[:, :, None], self.C[..., None], out=self.gradient)
        gradients, decays = (x[: len(d_y)] for x in (self.block.memory.each_gradient, self.block.memory.each_decay))
        gradients[-1].add_(d_state)
        for i in range(len(d_y) - 1, 0, -1):
            gradients[i - 1].addcmul_(decays[i], gradients[i])
        torch.mul(decays[0], gradients[0], out=d_state)


class _EulerChunk(_Chunk):
    """The input of a step counts as a step-sized impulse: `dt B u`."""

    def take_in(self, out: Tensor) -> None:
        torch.mul((self.dt * self.u)[:, :, None], self.B[..., None], out=out)

    def give_back(self, sums: Sums) -> tuple[Tensor, Tensor, Tensor]:
        d_B = _over_channels(self.dt * self.u, self.gradient)
        d_input = _over_state(self.B, self.gradient)
        self.decay.mul_(self.gradient)
        return self.dt * d_input, self.u * d_input, d_B


class _ZohChunk(_Chunk):
    """The input is held over the step: `w B u` with `w = (exp(dt A) - 1) / A`."""

    def take_in(self, out: Tensor) -> None:
        # the backward pass needs w as well
        self.w = self.block.memory.w[: len(out)] if len(self.gradient) else out
        torch.mul(self.dt[:, :, None], self.block.rate, out=self.w).expm1_().mul_(self.block.per_rate)
        torch.mul(self.w, self.B[..., None], out=out).mul_(self.u[:, :, None])

    def give_back(self, sums: Sums) -> tuple[Tensor, Tensor, Tensor]:
        sums.A.add_(self._slope().mul_(self.gradient).mul_(self.B[..., None]).mul_(self.u[:, :, None]).sum((0, 1)))
        # by dt, the derivative of w is the decay
        self.decay.mul_(self.gradient)
        d_dt = _over_state(self.B, self.decay).mul_(self.u)
        d_w = self.w.mul_(self.gradient)
        return _over_state(self.B, d_w), d_dt, _over_channels(self.u, d_w)

    def _slope(self) -> Tensor:
        """Return the derivative of w by A: dt^2 times the slope of (exp(x) - 1) / x at x = dt A."""
        dt = self.dt[:, :, None]
        x = dt * self.block.rate
        near = _slope_near_zero(x).mul_(dt * dt)
        far = (self.decay * dt).sub_(self.w).mul_(self.block.per_rate)
        return torch.where(x.abs_() < _NEAR_ZERO, near, far)


def blocks(inputs: Inputs, options: Options, *, backward: bool) -> Iterator[Block]:
    """Yield the sequences in blocks whose chunks stay in cache, one after the other, all in the same memory."""
    directions, batch, _, dim = inputs.u.shape
    state = inputs.A.shape[-1]
    limit = _CORE_BLOCK * torch.get_num_threads() if inputs.u.device.type == "cpu" else _DEVICE_BLOCK
    size = min(batch, max(1, limit // (CHUNK * state * dim)))
    memory: dict[int, _Memory] = {}
    for direction in range(directions):
        for start in range(0, batch, size):
            rows = min(size, batch - start)
            if rows not in memory:
                memory[rows] = _Memory(inputs.u, rows, state, dim, backward=backward)
            yield Block(inputs, options, direction, slice(start, start + rows), memory[rows])


def _chunks(u: Tensor, *, reverse: bool, suffix: int) -> Sequence[slice | Tensor]:
    """Return the tokens of each chunk, in the order of the scan; slices where possible, which need no copy."""
    if not reverse:
        return [slice(start, start + CHUNK) for start in range(0, u.shape[2], CHUNK)]
    return list(torch.split(scan_positions(u.shape[2], reverse=True, suffix=suffix, device=u.device), CHUNK))


def _over_state(weights: Tensor, x: Tensor) -> Tensor:
    """Return the sums over the state of `weights [token, sequence, state]` times `x`, `[token, sequence, dim]`."""
    return (weights[:, :, None] @ x)[:, :, 0]


def _over_channels(weights: Tensor, x: Tensor) -> Tensor:
    """Return the sums over the channels of `weights [token, sequence, dim]` times `x`, `[token, sequence, state]`."""
    # a row times a transposed matrix: ten times faster than the matrix times a column in the libraries torch calls
    return (weights[:, :, None] @ x.mT)[:, :, 0]


def _slope_near_zero(x: Tensor) -> Tensor:
    """Return the derivative of `(exp(x) - 1) / x` by its series `sum k x^(k-1) / (k+1)!`."""
    terms = _SERIES_TERMS[x.dtype]
    total = torch.full_like(x, terms / factorial(terms + 1))
    for k in range(terms - 1, 0, -1):
        torch.addcmul(torch.full((), k / factorial(k + 1), dtype=x.dtype, device=x.device), total, x, out=total)
    return total
