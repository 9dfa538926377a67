"""Selective scan on a GPU: one launch of a Triton kernel each way, both directions in it.

`triton_kernels.py` has the kernels, `README.md` beside this file explains their cut. Nothing here waits for the device
or depends on its data, so that a CUDA graph can hold the calls.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, NamedTuple

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from auharness.ops.selective_scan.triton_kernels import (
    carry_states,
    chunk_gradients,
    chunk_states,
    scan_backward,
    scan_forward,
)

__all__ = ["selective_scan_triton"]

_CHANNELS: Final = 32
"""Channels of a program, one per lane of a warp."""
_EVERY: Final = 24
"""Tokens between two states that are kept for the backward pass; groups of 3 and of 4 tokens fit into them."""
_CHUNK: Final = 4 * _EVERY
"""Fewest tokens of a chunk, where a sequence is cut."""
_WIDE: Final = 2**31
"""Elements between the ends of a sequence from which on offsets need 64 bits."""

_STRIDES: Final = {
    **dict.fromkeys(("u", "delta", "z", "b", "c", "dy"), "gbt"),
    **dict.fromkeys(("first", "d_last"), "gb"),
    **dict.fromkeys(("a", "skip", "bias"), "g"),
}
"""Axes of which the kernels are told the stride: direction, sequence (batch), token."""


class _Inputs(NamedTuple):
    """The arguments of the operator, in its order; channels lie beside each other, also in `a` and `first`."""

    u: Tensor
    delta: Tensor
    a: Tensor
    b: Tensor
    c: Tensor
    skip: Tensor | None
    z: Tensor | None
    bias: Tensor | None
    first: Tensor | None


class _Options(NamedTuple):
    """What is not a tensor."""

    softplus: bool
    zoh: bool
    reverse: tuple[bool, ...]
    suffix: int


def selective_scan_triton(
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
    """Compute what `selective_scan_reference` computes, from the same arguments; once differentiable in every tensor.

    Every tensor keeps its type in memory; all arithmetic is float32. Up to 256 states per channel.
    """
    options = _Options(softplus, zoh, tuple(reverse), suffix)
    # both are small, and read once: in memory `[..., N, channel]`
    a, first = A.mT, None if initial_state is None else initial_state.mT
    given = (u, delta, a, B, C, D, z, delta_bias, first)
    inputs = _Inputs(*(x if x is None else _unit_stride(x) for x in given))  # type: ignore[arg-type]  # as given
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs):
        y, last = _SelectiveScan.apply(options, *inputs)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    else:
        y, last, _ = _forward(inputs, options, save=False)
    return y, last.mT


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, options: _Options, *tensors: Any) -> tuple[Tensor, Tensor]:
        y, last, starts = _forward(_Inputs(*tensors), options, save=True)
        ctx.options = options
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, starts)
        return y, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor | None, d_last: Tensor | None) -> tuple[Tensor | None, ...]:
        *tensors, starts = ctx.saved_tensors
        return None, *_backward(_Inputs(*tensors), ctx.options, starts, dy, d_last)


def _forward(inputs: _Inputs, options: _Options, *, save: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return y, the last state, and the states to `save` for the backward pass."""
    cut = _Cut(inputs, options)
    y, last = inputs.u.new_empty(inputs.u.shape), cut.full(cut.states, cut.channels)
    starts = cut.kept(triton.cdiv(cut.tokens, _EVERY)) if save else None
    carried = None
    if cut.chunks > 1:
        carried, total = cut.kept(cut.chunks), cut.full(cut.chunks, cut.channels)
        cut.launch(chunk_states, {"local": carried, "total": total})
        cut.launch(carry_states, {"local": carried, "total": total, "BACK": False}, chunks=1)
    outputs = {"carried": carried, "starts": starts, "y": y, "last": last}
    cut.launch(scan_forward, {**outputs, "CARRIED": carried is not None, "SAVE": save})
    return y, last, starts


def _backward(
    inputs: _Inputs, options: _Options, starts: Tensor, dy: Tensor | None, d_last: Tensor | None
) -> tuple[Tensor | None, ...]:
    """Return the gradients of the inputs, in their order."""
    cut = _Cut(inputs, options)
    dy = torch.zeros_like(inputs.u) if dy is None else _unit_stride(dy)
    d_last = None if d_last is None else _unit_stride(d_last)
    carried = None
    if cut.chunks > 1:
        carried, total = cut.kept(cut.chunks), cut.full(cut.chunks, cut.channels)
        cut.launch(chunk_gradients, {"dy": dy, "local": carried, "total": total})
        cut.launch(carry_states, {"first": d_last, "local": carried, "total": total, "BACK": True}, chunks=1)
    given = {"starts": starts, "dy": dy, "d_last": d_last, "carried": carried, "scratch": cut.scratch()}
    flags = {"HAS_LAST": d_last is not None, "CARRIED": carried is not None}
    own = {"d_first": cut.full(cut.states, cut.channels)}
    # one part per chunk, or per block of channels, to be added in a fixed order
    sums = {"d_a": cut.full(cut.chunks, cut.states, cut.channels)}
    parts = {name: cut.full(cut.tokens, cut.states, parts=cut.blocks) for name in ("d_b", "d_c")}
    for name in ("u", "delta", "z"):
        x = getattr(inputs, name)
        own |= {} if x is None else {f"d_{name}": x.new_empty(x.shape)}
    for name in ("skip", "bias"):
        sums |= {} if getattr(inputs, name) is None else {f"d_{name}": cut.full(cut.chunks, cut.channels)}
    cut.launch(scan_backward, {**dict.fromkeys(("d_z", "d_skip", "d_bias")), **given, **flags, **own, **sums, **parts})
    found = own | {name: x.sum((1, 2)) for name, x in sums.items()} | {name: x.sum(0) for name, x in parts.items()}
    return tuple(None if x is None else found[f"d_{name}"].to(x.dtype) for name, x in inputs._asdict().items())


class _Cut:
    """How a call is cut into programs, the memory they write to and the arguments that its kernels share."""

    def __init__(self, inputs: _Inputs, options: _Options) -> None:
        self.inputs = inputs
        *chain, self.tokens, self.channels = inputs.u.shape
        self.chain, self.states = tuple(chain), inputs.a.shape[-2]
        self.blocks = triton.cdiv(self.channels, _CHANNELS)
        self.chunks, self.span = _chunks(math.prod(chain) * self.blocks, self.tokens, inputs.u.device)
        self.padded = triton.next_power_of_2(self.states)
        # up to 16 states per thread
        self.warps = max(1, self.padded // 16)
        self.align = 8 if all(step % 8 == 0 for x in (inputs.b, inputs.c) for step in x.stride()[:3]) else 1
        self.shared = {
            **{"tokens": self.tokens, "channels": self.channels, "batch": chain[1], "blocks": self.blocks},
            **{"chunks": self.chunks, "span": self.span, "every": _EVERY, "zero": 0},
            **{"backwards": sum(flag << way for way, flag in enumerate(options.reverse)), "suffix": options.suffix},
            **{"N": self.states, "NP": self.padded, "BD": _CHANNELS, "ALIGN": self.align},
            **{"SOFTPLUS": options.softplus, "ZOH": options.zoh},
        }

    def launch(self, kernel: Any, special: Mapping[str, Tensor | bool | None], *, chunks: int | None = None) -> None:
        """Run a program per chain, chunk and block on `special` and what all kernels share, found by parameter name."""
        arguments = {**self.shared, **self.inputs._asdict(), **special}
        for name in ("skip", "z", "bias", "first"):
            arguments[f"HAS_{name.upper()}"] = arguments[name] is not None
        reach = max(self.channels, self.states)
        for name, axes in _STRIDES.items():
            x = arguments.get(name)
            steps = (0,) * len(axes) if x is None else x.stride()
            reach = max(reach, steps[2]) if axes == "gbt" else reach
            shrink = self.align if name in ("b", "c") else 1
            arguments |= {f"{name}_{axis}": step // shrink for axis, step in zip(axes, steps, strict=False)}
        arguments["WIDE"] = reach * self.tokens >= _WIDE
        programs = math.prod(self.chain) * (self.chunks if chunks is None else chunks) * self.blocks
        with _on_device_of(self.inputs.u):
            kernel[(programs,)](*(arguments[name] for name in kernel.arg_names), num_warps=self.warps, num_stages=1)

    def full(self, *shape: int, parts: int | None = None) -> Tensor:
        """Return uninitialised float32 numbers `[directions, batch, *shape]`, or `parts` of them."""
        lead = self.chain if parts is None else (parts, *self.chain)
        return self.inputs.u.new_empty((*lead, *shape), dtype=torch.float32)

    def kept(self, rows: int) -> Tensor:
        """Return uninitialised memory for `rows` states per chain, as the kernels lay them out."""
        return self.full(rows, self.blocks * _CHANNELS * self.states)

    def scratch(self) -> Tensor:
        """Return uninitialised memory for the states inside a piece of `_EVERY` tokens, per program."""
        return self.full(self.chunks * self.blocks, _EVERY // 3, self.padded * _CHANNELS)


def _chunks(programs: int, tokens: int, device: torch.device) -> tuple[int, int]:
    """Return into how many chunks a sequence is cut, and their tokens, a multiple of `_EVERY`.

    Cutting costs a second pass over the sequence; it pays where `programs`, of a warp each, leave most of a GPU idle.
    """
    wanted = 1
    if device.type == "cuda":
        processors = torch.cuda.get_device_properties(device).multi_processor_count
        wanted = 8 * processors // programs if programs <= 2 * processors else 1
    span = max(triton.cdiv(tokens, wanted), _CHUNK)
    span = triton.cdiv(span, _EVERY) * _EVERY
    return triton.cdiv(tokens, span), span


def _unit_stride(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


def _on_device_of(x: Tensor) -> AbstractContextManager[object]:
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()
