"""TTT-Linear in torch with a hand-written backward: one pass each way, in blocks that stay in cache.

The forward pass keeps one state and overwrites it; the backward pass takes each step back instead of storing the
states. `README.md` beside this file derives the formulas, with the names used here.
"""

from collections.abc import Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from auharness.ops.backends import full_precision
from auharness.ops.ttt.centred import reconstruction_gradient, row_scale, through_norm, through_reconstruction
from auharness.ops.ttt.layout import Layout, Pieces, load, store
from auharness.ops.ttt.mini_batch import MiniBatch, walk

__all__ = ["ttt_linear_torch"]


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


class _Trace(NamedTuple):
    """What one step of the forward pass leaves for the backward pass."""

    score: Tensor  # queries times keys [chains, rows, rows]
    z: Tensor  # keys through the state [chains, rows, d]
    z_scale: Tensor  # [chains, rows, 1]
    g: Tensor  # gradient of the reconstruction loss by z [chains, rows, d]
    read: Tensor  # queries through the state as each of them sees it [chains, rows, d]
    read_scale: Tensor  # [chains, rows, 1]


def ttt_linear_torch(
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
    """Compute what `ttt_linear_reference` computes, from the same arguments; once differentiable in every tensor."""
    directions, batch, head, token, d = q.shape
    layout = Layout((directions, batch, head), token, d, min(mini_batch, token), tuple(reverse), suffix)
    inputs = _Inputs(q, k, v, lr, token_scale, w0, b0, ln_weight, ln_bias)
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        return _TTTLinear.apply(layout, eps, *inputs)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    out, state = _forward(inputs, layout, eps)
    return out, *_last_state(inputs, layout, state)


class _TTTLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, layout: Layout, eps: float, *tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        inputs, traces = _Inputs(*tensors), list[_Trace]()
        out, state = _forward(inputs, layout, eps, traces)
        ctx.layout = layout
        ctx.save_for_backward(*tensors, state, *chain.from_iterable(traces))
        return out, *_last_state(inputs, layout, state)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor, d_w: Tensor, d_b: Tensor) -> tuple[Tensor | None, ...]:
        saved = iter(ctx.saved_tensors)
        inputs = _Inputs(*islice(saved, len(_Inputs._fields)))
        state = next(saved).clone()  # the backward pass takes its steps back in place
        traces = [_Trace(*fields) for fields in zip(*[saved] * len(_Trace._fields), strict=True)]
        d_state = torch.cat((d_w, d_b), -2).flatten(0, 2)
        with full_precision(d_out.device):  # the caller may be inside of autocast
            return None, None, *_backward(inputs, traces, ctx.layout, d_out, state, d_state)


def _forward(inputs: _Inputs, layout: Layout, eps: float, traces: list[_Trace] | None = None) -> tuple[Tensor, Tensor]:
    """Return the output and the last centred state `[chains, d + 1, d]`; append to `traces` what is read again."""
    out = layout.empty(inputs.q, layout.d)
    weight, bias = layout.per_chain(inputs.ln_weight), layout.per_chain(inputs.ln_bias)
    state, epsilon = _first_state(inputs), inputs.q.new_tensor(eps)
    for now, arguments, (answer,) in walk(*inputs[:5], layout, out):
        now.load(*arguments)
        score, z, read = torch.bmm(now.queries, now.keys.mT), torch.bmm(now.keys, state), torch.bmm(now.queries, state)
        z_scale = row_scale(z, epsilon)
        g = reconstruction_gradient(z, z_scale, now.target, weight, bias, now.zero)
        read.baddbmm_(score * now.eta, g, alpha=-1)
        state.baddbmm_(now.keys.mT, now.move * g, alpha=-1)
        read_scale = row_scale(read, epsilon)
        store(layout.directions(torch.addcmul(bias, read * read_scale, weight).add_(now.q)), answer)
        if traces is not None:
            traces.append(_Trace(score, z, z_scale, g, read, read_scale))
    return out, state


def _backward(
    inputs: _Inputs, traces: list[_Trace], layout: Layout, d_out: Tensor, state: Tensor, d_state: Tensor
) -> tuple[Tensor, ...]:
    """Return the gradients of the inputs, in their order; overwrites the last state and its gradient."""
    d_q, d_k, d_v = (layout.empty(d_out, layout.d) for _ in range(3))
    d_lr, d_scale = layout.empty(d_out), torch.zeros_like(inputs.token_scale)
    steps = list(walk(*inputs[:5], layout, d_out, d_q, d_k, d_v, d_lr))
    back = _BackwardPass(inputs, layout, state, d_state)
    for i in reversed(range(len(traces))):
        now, arguments, (to_out, *gradients) = steps[i]
        now.load(*arguments)
        if i:
            back.undo(now, traces[i])
        else:
            state.copy_(_first_state(inputs))  # known exactly, and often the smallest of all
        for x, pieces in zip(back.step(now, traces[i], to_out), gradients, strict=True):
            store(layout.directions(x), pieces)
    for rows, total in back.totals.items():
        d_scale[:, :rows] += layout.split(total.d_eta.tril_()).sum((1, 2, 4))
    d_weight = torch.stack([layout.split(total.d_weight).sum((1, 3)) for total in back.totals.values()]).sum(0)
    d_bias = d_out.sum((1, 3)) - d_v.sum((1, 3))
    # centring needs no gradient: whatever was added to `d_state` has row means of zero already
    d_w0, d_b0 = torch.split(layout.split(d_state), [layout.d, 1], -2)
    return d_q, d_k, d_v, d_lr, d_scale, d_w0, d_b0, d_weight, d_bias


class _Totals:
    """What the backward pass adds up over the steps of one size, and memory that they share."""

    def __init__(self, now: MiniBatch, layout: Layout) -> None:
        self.d_weight = torch.zeros_like(now.target)
        self.d_eta = torch.zeros_like(now.eta)  # times lr_j
        self.d_out = torch.empty_like(now.target)
        self.d_out_blocks = layout.directions(self.d_out)
        self.d_x = torch.empty_like(now.x[..., : layout.d])
        self.d_read, self.d_z = self.d_x.chunk(2, 1)


class _BackwardPass:
    """The chain of gradients of the state, from the last mini-batch to the first."""

    def __init__(self, inputs: _Inputs, layout: Layout, state: Tensor, d_state: Tensor) -> None:
        self.layout, self.state, self.d_state = layout, state, d_state
        self.w_t, self.d_w_t = state[:, : layout.d].mT, d_state[:, : layout.d].mT
        self.weight, self.bias = layout.per_chain(inputs.ln_weight), layout.per_chain(inputs.ln_bias)
        self.totals: dict[int, _Totals] = {}

    def undo(self, now: MiniBatch, trace: _Trace) -> None:
        """Turn the state after a mini-batch into the state before it."""
        self.state.baddbmm_(now.keys.mT, now.move * trace.g)

    def step(self, now: MiniBatch, trace: _Trace, d_out: Pieces) -> tuple[Tensor, ...]:
        """Return the gradients of this step's q, k, v and lr; `state` is the state before it."""
        rows = now.eta.shape[-1]
        if rows not in self.totals:
            self.totals[rows] = _Totals(now, self.layout)
        total = self.totals[rows]
        load(d_out, total.d_out_blocks)
        self._through_output(now, trace, total)
        d_g, d_score, d_eta = self._to_g(now, trace, total)
        d_error = through_reconstruction(
            *(d_g, trace.g, trace.z, trace.z_scale, now.target, self.weight, self.bias, now.zero),
            d_z=total.d_z,
            d_weight=total.d_weight,
        )
        d_q, d_k = torch.bmm(total.d_x, self.w_t).chunk(2, 1)
        d_q = torch.baddbmm(d_q, d_score, now.k).add_(total.d_out)
        d_k = torch.baddbmm(d_k, d_score.mT, now.q).add_(d_error)
        d_k.baddbmm_(now.move * trace.g, self.d_w_t, alpha=-1)
        self.d_state.baddbmm_(now.x.mT, total.d_x)
        return d_q, d_k, d_error.neg_(), (d_eta * now.scale).sum(-2)

    def _through_output(self, now: MiniBatch, trace: _Trace, total: _Totals) -> None:
        """Find the gradient of what the queries read: `out = q + LN(read)`."""
        total.d_read.copy_(through_norm(total.d_out * self.weight, trace.read, now.zero, trace.read_scale))
        total.d_weight.addcmul_(trace.read * trace.read_scale, total.d_out)

    def _to_g(self, now: MiniBatch, trace: _Trace, total: _Totals) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of g, from the queries that saw it and the state that it moved, of score and of eta."""
        felt = torch.bmm(now.keys, self.d_state)
        d_g = (felt * now.move).baddbmm_((trace.score * now.eta).mT, total.d_read).neg_()
        d_eta = torch.bmm(total.d_read, trace.g.mT).neg_()
        d_score = d_eta * now.eta
        d_eta.mul_(trace.score)
        d_eta[:, -1] -= (felt * trace.g).sum(-1)
        total.d_eta.addcmul_(d_eta, now.lr_row)
        return d_g, d_score, d_eta


def _first_state(inputs: _Inputs) -> Tensor:
    """Return W above b with the mean of each row removed, `[chains, d + 1, d]`: normalisation never sees the mean."""
    state = torch.cat((inputs.w0, inputs.b0), -2).flatten(0, 2)
    return state.sub_(state.mean(-1, keepdim=True))


def _last_state(inputs: _Inputs, layout: Layout, state: Tensor) -> tuple[Tensor, Tensor]:
    """Return `W [directions, batch, head, d, d]` and `b [..., 1, d]`: the centred state, the initial means added."""
    w, b = torch.split(layout.split(state), [layout.d, 1], -2)
    return w + inputs.w0.mean(-1, keepdim=True), b + inputs.b0.mean(-1, keepdim=True)
