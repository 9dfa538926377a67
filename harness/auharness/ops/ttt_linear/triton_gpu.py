"""TTT-Linear on a GPU: one launch of a Triton kernel each way, both directions in it.

`triton_kernels.py` has the kernels, `README.md` beside this file derives them. Nothing here waits for the device or
depends on its data, so that a CUDA graph can hold the calls.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from auharness.ops.ttt_linear.triton_kernels import backward_kernel, forward_kernel

__all__ = ["ttt_linear_triton"]

_HALF: Final = (torch.float16, torch.bfloat16)
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
    precision: str  # of products of float32

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
    up in float32; the state and all normalisation are float32. Products of float32 follow
    `torch.backends.cuda.matmul`: exact, or TF32 where that is allowed.
    """
    tokens = _of_one_kind(q, k, v)
    directions, batch, head, token, d = q.shape
    plan = _plan(tokens[0].dtype, (directions, batch, head), token, d, mini_batch=mini_batch)._replace(
        reverse=tuple(reverse), suffix=suffix, eps=eps
    )
    inputs = _Inputs(*tokens, lr, token_scale, w0, b0, ln_weight, ln_bias)
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
    d, full = plan.d, {"dtype": torch.float32}
    out = _token_major(inputs.q, plan, d)
    w, b = (inputs.q.new_empty(*plan.lead, rows, d, **full) for rows in (d, 1))
    states = inputs.q.new_empty(plan.chains, plan.kept if keep else 0, d + 1, d, **full)
    with _on_device_of(out):
        forward_kernel[(plan.chains,)](
            *(*inputs, out, w, b, states, *inputs.strides(), *plan.sizes()),
            **plan.constants(),
            EVERY=plan.every if keep else 0,
            num_warps=_warps(plan),
            num_stages=_STAGES,
        )
    return out, w, b, states


def _backward(
    inputs: _Inputs, plan: _Plan, states: Tensor, d_out: Tensor | None, d_w: Tensor | None, d_b: Tensor | None
) -> tuple[Tensor, ...]:
    """Return the gradients of the inputs, in their order."""
    d, rows, new = plan.d, plan.rows, inputs.q.new_empty
    full = {"dtype": torch.float32}
    d_out = torch.zeros_like(inputs.q) if d_out is None else _unit_stride(d_out)
    last_state = d_w is not None or d_b is not None
    d_w, d_b = (_gradient_of_state(x, states, plan, n) if last_state else states for x, n in ((d_w, d), (d_b, 1)))
    d_q, d_k, d_v = (_token_major(inputs.q, plan, d) for _ in range(3))
    d_lr = _token_major(inputs.lr, plan)
    d_w0, d_b0 = (new(*plan.lead, n, d, **full) for n in (d, 1))
    sums = new(*plan.lead, plan.tiles, 2 * d + 3 * rows, **full)
    scratch = new(plan.chains, plan.every if plan.every > 1 else 0, d + 1, d, **full)
    with _on_device_of(d_out):
        backward_kernel[(plan.chains,)](
            *(*inputs, states, scratch, d_out, d_w, d_b, d_q, d_k, d_v, d_lr, d_w0, d_b0, sums),
            *(*inputs.strides(), *d_out.stride()[:4], *plan.sizes()),
            **plan.constants(),
            EVERY=plan.every,
            LAST_STATE=last_state,
            num_warps=_warps(plan),
            num_stages=_STAGES,
        )
    d_weight, d_bias, by_row = torch.split(sums.sum((1, 3)), [d, d, 3 * rows], -1)
    d_scale = _gradient_of_scale(by_row.sum(1).unflatten(-1, (3, rows)), plan, inputs.token_scale)
    small = (d_scale, d_w0, d_b0, d_weight, d_bias)
    return d_q, d_k, d_v, d_lr, *(x.to(like.dtype) for x, like in zip(small, inputs[4:], strict=True))


def _plan(kind: torch.dtype, lead: tuple[int, int, int], token: int, d: int, *, mini_batch: int) -> _Plan:
    """Return a plan by a fixed rule, so that the same call always runs the same kernel."""
    mini_batch = min(mini_batch, token)
    if kind in _HALF:
        # 64 rows are what Hopper's tensor cores take at once, and S mini-batches in them move the state once, not S
        # times; but every round works on the whole tile, so tiny mini-batches take a smaller one
        rows = 64 if mini_batch > 8 else 32 if mini_batch > 4 else 16
    else:
        # no tensor cores for exact products: the fewest that hold a mini-batch
        rows = next(rows for rows in (16, 32, 64) if rows >= mini_batch)
    steps = min(rows // mini_batch, -(-token // mini_batch))
    rows = next(fewer for fewer in (16, 32, 64) if fewer >= steps * mini_batch)
    tiles = -(-token // (steps * mini_batch))
    every = min(max(_KEPT_TOKENS // (steps * mini_batch), 1), tiles)
    precision = "ieee" if kind in _HALF else _float32_precision()
    return _Plan(lead, token, d, (), 0, 0.0, mini_batch, steps, rows, every, precision)


_STAGES: Final = 2


def _warps(plan: _Plan) -> int:
    return 4 if plan.d <= 64 else 8


def _float32_precision() -> str:
    # reading the older switch raises where a program has set the newer one
    matmul = torch.backends.cuda.matmul
    tf32 = matmul.fp32_precision == "tf32" if hasattr(matmul, "fp32_precision") else matmul.allow_tf32
    return "tf32" if tf32 else "ieee"


def _of_one_kind(*tokens: Tensor) -> list[Tensor]:
    """Return queries, keys and values in one type that the kernels multiply, without a stride inside a token."""
    kind = tokens[0].dtype
    for x in tokens:
        kind = torch.promote_types(kind, x.dtype)
    kind = kind if kind in _HALF else torch.float32
    return [_unit_stride(x.to(kind)) for x in tokens]


def _unit_stride(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


def _token_major(like: Tensor, plan: _Plan, *tail: int) -> Tensor:
    """Return uninitialised tokens whose heads lie beside each other, so that joining them copies nothing."""
    directions, batch, head = plan.lead
    return like.new_empty(directions, batch, plan.token, head, *tail).transpose(2, 3)


def _gradient_of_state(given: Tensor | None, like: Tensor, plan: _Plan, rows: int) -> Tensor:
    return like.new_zeros(*plan.lead, rows, plan.d) if given is None else given.contiguous()


def _gradient_of_scale(by_row: Tensor, plan: _Plan, scale: Tensor) -> Tensor:
    """Return the gradient of `scale [directions, mini_batch]` from `sums` of `backward_kernel` `[directions, 3, rows]`."""
    own, last, last_rest = by_row.unbind(1)
    used = plan.steps * plan.mini_batch
    total = own[:, :used].unflatten(-1, (plan.steps, plan.mini_batch)).sum(1)
    total[:, -1] += last.sum(-1)
    total[:, (plan.token - 1) % plan.mini_batch] += last_rest.sum(-1)
    return F.pad(total, (0, scale.shape[-1] - plan.mini_batch))


def _on_device_of(x: Tensor) -> AbstractContextManager[object]:
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()
