"""TTT-Linear on a GPU: one launch of a Triton kernel each way, both directions in it.

`triton_kernels.py` has the kernels, `README.md` beside this file derives them. Nothing here waits for the device or
depends on its data, so that a CUDA graph can hold the calls.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial, reduce
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from auharness.ops.ttt_linear.triton_kernels import backward_kernel, forward_kernel

__all__ = ["ttt_linear_triton"]

_HALF: Final = (torch.float16, torch.bfloat16)
_UNROLLED: Final = 8  # rounds up to which they are unrolled: only then are loads started a tile ahead
_KEPT_TOKENS: Final = 64  # between two states that are kept for the backward pass, or one tile if that is longer


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

    def strides(self) -> list[int]:
        """Return the strides in the order in which the kernels take them."""
        tokens = [stride for x in (self.q, self.k, self.v) for stride in x.stride()[:4]]
        b0 = [stride for axis, stride in enumerate(self.b0.stride()) if axis != 3]
        rest = [stride for x in (self.ln_weight, self.ln_bias) for stride in x.stride()]
        return [*tokens, *self.lr.stride(), *self.token_scale.stride(), *self.w0.stride(), *b0, *rest]


class _Plan(NamedTuple):
    """How a call is cut into tiles of `steps` mini-batches, padded to `rows`."""

    lead: tuple[int, int, int]  # directions, batch, head
    token: int
    d: int
    reverse: tuple[bool, ...]
    suffix: int
    eps: float
    mini_batch: int
    steps: int
    rows: int
    every: int  # tiles between two states that are kept
    precision: str  # of products of float32, see `_float32_precision`

    @property
    def chains(self) -> int:
        """Number of programs."""
        return self.lead[0] * self.lead[1] * self.lead[2]

    @property
    def tiles(self) -> int:
        """Number of tiles in a sequence."""
        return -(-self.token // (self.steps * self.mini_batch))

    @property
    def kept(self) -> int:
        """Number of states that are kept; the first is an argument and not among them."""
        return -(-self.tiles // self.every) - 1

    @property
    def warps(self) -> int:
        """Warps of a program."""
        # four hold 64 rows side by side and add up within a row without waiting for one another
        return 4 if self.d <= 64 and self.precision == "ieee" else 8

    def sizes(self) -> tuple[int, int, int, int, float]:
        """Return what the kernels take after the strides."""
        return self.lead[1], self.lead[2], self.token, self.suffix, self.eps

    def constants(self) -> dict[str, object]:
        """Return the constants that both kernels are compiled for."""
        mask = sum(flag << g for g, flag in enumerate(self.reverse))
        cut = {"K": self.mini_batch, "STEPS": self.steps, "ROWS": self.rows, "D": self.d, "PRECISION": self.precision}
        return {"DIRECTIONS": self.lead[0], "REVERSE": mask, **cut}


def ttt_linear_triton(
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
    """Compute what `ttt_linear_reference` computes, from the same arguments; once differentiable in every tensor.

    Mini-batches of at most 64 tokens, d a power of two from 16 to 128. Half precision is multiplied as such and added
    up in float32; the state and all normalisation are float32. Products of float32 are
    TF32 where `torch.backends.cuda.matmul` allows it.
    """
    q, k, v = _of_one_kind(q, k, v)
    directions, batch, head, token, d = q.shape
    plan = _plan(q.dtype, (directions, batch, head), token, d, mini_batch=mini_batch)._replace(
        reverse=tuple(reverse), suffix=suffix, eps=eps
    )
    inputs = _Inputs(q, k, v, lr, token_scale, w0, b0, ln_weight, ln_bias)
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        return _TTTLinear.apply(plan, *inputs)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    out, w, b, _ = _forward(inputs, plan, keep=False)
    return out, w, b


class _TTTLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: _Plan, *tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out, w, b, states = _forward(_Inputs(*tensors), plan, keep=True)
        ctx.plan = plan
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, states)
        return out, w, b

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor | None, d_w: Tensor | None, d_b: Tensor | None) -> tuple[Tensor | None, ...]:
        *tensors, states = ctx.saved_tensors
        return None, *_backward(_Inputs(*tensors), ctx.plan, states, d_out, d_w, d_b)


def _forward(inputs: _Inputs, plan: _Plan, *, keep: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the output, the last state and bias, and the states to `keep`."""
    d, new = plan.d, partial(inputs.q.new_empty, dtype=torch.float32)
    out = _token_major(inputs.q, plan, d)
    w, b = (new((*plan.lead, rows, d)) for rows in (d, 1))
    states = new((plan.chains, plan.kept if keep else 0, d + 1, d))
    with _on_device_of(out):
        forward_kernel[(plan.chains,)](
            *(*inputs, out, w, b, states, *inputs.strides(), *plan.sizes()),
            **plan.constants(),
            EVERY=plan.every if keep else 0,
            UNROLL=plan.steps <= _UNROLLED,
            num_warps=plan.warps,
            num_stages=2,
        )
    return out, w, b, states


def _backward(
    inputs: _Inputs, plan: _Plan, states: Tensor, d_out: Tensor | None, d_w: Tensor | None, d_b: Tensor | None
) -> tuple[Tensor, ...]:
    """Return the gradients of the inputs, in their order."""
    d, rows, new = plan.d, plan.rows, partial(inputs.q.new_empty, dtype=torch.float32)
    d_out = torch.zeros_like(inputs.q) if d_out is None else _without_gaps(d_out)
    last_state = d_w is not None or d_b is not None
    d_w, d_b = (_gradient_of_state(x, states, plan, n) if last_state else states for x, n in ((d_w, d), (d_b, 1)))
    d_q, d_k, d_v = (_token_major(inputs.q, plan, d) for _ in range(3))
    d_lr = _token_major(inputs.lr, plan)
    d_w0, d_b0 = (new((*plan.lead, n, d)) for n in (d, 1))
    sums = new((*plan.lead, plan.tiles, 4 * d + 3 * rows))
    scratch = new((plan.chains, plan.every if plan.every > 1 else 0, d + 1, d))
    with _on_device_of(d_out):
        backward_kernel[(plan.chains,)](
            *(*inputs, states, scratch, d_out, d_w, d_b, d_q, d_k, d_v, d_lr, d_w0, d_b0, sums),
            *(*inputs.strides(), *d_out.stride()[:4], *plan.sizes()),
            **plan.constants(),
            EVERY=plan.every,
            LAST_STATE=last_state,
            num_warps=plan.warps,
            num_stages=1,
        )
    by_column, by_row = torch.split(sums.sum((1, 3)), [4 * d, 3 * rows], -1)
    d_weight, d_bias = torch.unflatten(by_column, -1, (2, 2, d)).sum(-3).unbind(-2)
    d_scale = _gradient_of_scale(torch.unflatten(by_row.sum(1), -1, (3, rows)), plan, inputs.token_scale)
    small = (d_scale, d_w0, d_b0, d_weight, d_bias)
    return d_q, d_k, d_v, d_lr, *(x.to(like.dtype) for x, like in zip(small, inputs[4:], strict=True))


def _plan(kind: torch.dtype, lead: tuple[int, int, int], token: int, d: int, *, mini_batch: int) -> _Plan:
    """Return a plan by a fixed rule, so that the same call always runs the same kernel."""
    mini_batch = min(mini_batch, token)
    # 64 rows are what Hopper's tensor cores take at once, and S mini-batches in them move the state once, not S times;
    # but every round works on the whole tile, so tiny mini-batches take a smaller one, and so does what has less room
    smallest = 64 if mini_batch > 8 else 32 if mini_batch > 4 else 16
    if d > 64:
        smallest = min(smallest, 32)
    if kind not in _HALF:
        smallest = 16
    rows = max(smallest, _power_of_two(mini_batch))
    steps = min(rows // mini_batch, -(-token // mini_batch))
    rows = _power_of_two(steps * mini_batch)
    tiles = -(-token // (steps * mini_batch))
    every = min(max(_KEPT_TOKENS // (steps * mini_batch), 1), tiles)
    precision = "ieee" if kind in _HALF else _float32_precision()
    return _Plan(lead, token, d, (), 0, 0.0, mini_batch, steps, rows, every, precision)


def _power_of_two(rows: int) -> int:
    """Return the least size of a tile that holds `rows`; products need 16."""
    return max(16, 1 << (rows - 1).bit_length())


def _float32_precision() -> str:
    """Return how float32 is multiplied: TF32 where torch may, else three products of TF32, as exact as float32.

    Triton's own float32 products (`ieee`) have no tensor cores and keep whole operands in registers, far too many.
    """
    matmul = torch.backends.cuda.matmul
    # reading the older switch raises where a program has set the newer one
    allowed = matmul.fp32_precision == "tf32" if hasattr(matmul, "fp32_precision") else matmul.allow_tf32
    return "tf32" if allowed else "tf32x3"


def _of_one_kind(*tokens: Tensor) -> list[Tensor]:
    """Return queries, keys and values in one type that the kernels multiply, without gaps inside a token."""
    kind = reduce(torch.promote_types, (x.dtype for x in tokens))
    return [_without_gaps(x.to(kind if kind in _HALF else torch.float32)) for x in tokens]


def _without_gaps(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


def _token_major(like: Tensor, plan: _Plan, *tail: int) -> Tensor:
    """Return uninitialised tokens whose heads lie beside each other, so that joining them copies nothing."""
    directions, batch, head = plan.lead
    return like.new_empty(directions, batch, plan.token, head, *tail).transpose(2, 3)


def _gradient_of_state(given: Tensor | None, like: Tensor, plan: _Plan, rows: int) -> Tensor:
    return like.new_zeros(*plan.lead, rows, plan.d) if given is None else given.contiguous()


def _gradient_of_scale(by_row: Tensor, plan: _Plan, scale: Tensor) -> Tensor:
    """Return the gradient of `scale [directions, mini_batch]` from the kernel's sums `[directions, 3, rows]`."""
    own, last, last_rest = by_row.unbind(1)
    used = plan.steps * plan.mini_batch
    total = torch.unflatten(own[:, :used], -1, (plan.steps, plan.mini_batch)).sum(1)
    total[:, -1] += last.sum(-1)
    total[:, (plan.token - 1) % plan.mini_batch] += last_rest.sum(-1)
    return F.pad(total, (0, scale.shape[-1] - plan.mini_batch))


def _on_device_of(x: Tensor) -> AbstractContextManager[object]:
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()
