"""TTT-MLP in torch with a hand-written backward: one pass each way, in blocks that stay in cache.

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
from auharness.ops.ttt_mlp.gelu import gelu, gelu_curve, gelu_slope

__all__ = ["ttt_mlp_torch"]


class _Inputs(NamedTuple):
    """The arguments of the operator, in its order."""

    q: Tensor
    k: Tensor
    v: Tensor
    lr: Tensor
    token_scale: Tensor
    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor
    ln_weight: Tensor
    ln_bias: Tensor


class _Trace(NamedTuple):
    """What one step of the forward pass leaves for the backward pass."""

    score1: Tensor  # queries times keys [chains, rows, rows]
    score2: Tensor  # the same of what the first layer makes of them
    read1: Tensor  # queries through the first layer as each of them sees it [chains, rows, f]
    z1: Tensor  # keys through the first layer [chains, rows, f]
    u: Tensor  # gradient of the reconstruction loss by gelu(z1) [chains, rows, f]
    z2: Tensor  # keys through both layers [chains, rows, d]
    z2_scale: Tensor  # [chains, rows, 1]
    g2: Tensor  # gradient of the reconstruction loss by z2 [chains, rows, d]
    read2: Tensor  # queries through both layers as each of them sees it [chains, rows, d]
    read2_scale: Tensor  # [chains, rows, 1]


class _State:
    """Both layers, each as its matrix above its bias; the rows of the second have mean zero."""

    def __init__(self, first: Tensor, second: Tensor) -> None:
        self.first, self.second = first, second  # [chains, d + 1, f], [chains, f + 1, d]
        self.w1_t, self.w2_t = first[:, :-1].mT, second[:, :-1].mT


class _Hidden:
    """What the first layer makes of queries and keys, in memory that the next step of the same size overwrites."""

    def __init__(self, like: Tensor, rows: int, width: int) -> None:
        chains = like.shape[0]
        # queries above keys, each with a column of ones that carries the bias, above what the weight alone receives
        self.x = like.new_ones(chains, 3 * rows, width + 1)
        self.queries, self.keys, weight_only = self.x.chunk(3, 1)
        weight_only[..., -1] = 0
        self.q, self.k, self.d_u = (x[..., :-1] for x in (self.queries, self.keys, weight_only))
        self.gate, self.slope, self.g1, self.spare = like.new_empty(4, chains, rows, width).unbind(0)

    def load_keys(self, z1: Tensor) -> None:
        """Read the keys, and find the slope of GELU there."""
        gelu(z1, gate=self.gate, out=self.k)
        gelu_slope(z1, self.gate, spare=self.spare, out=self.slope)

    def load_queries(self, read1: Tensor) -> None:
        """Read the queries."""
        gelu(read1, gate=self.gate, out=self.q)


def ttt_mlp_torch(
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
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Compute what `ttt_mlp_reference` computes, from the same arguments; once differentiable in every tensor."""
    directions, batch, head, token, d = q.shape
    layout = Layout((directions, batch, head), token, d, min(mini_batch, token), tuple(reverse), suffix)
    inputs = _Inputs(q, k, v, lr, token_scale, w1, b1, w2, b2, ln_weight, ln_bias)
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        return _TTTMLP.apply(layout, eps, *inputs)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    out, state = _forward(inputs, layout, eps)
    return out, *_last_state(inputs, layout, state)


class _TTTMLP(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, layout: Layout, eps: float, *tensors: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        inputs, traces = _Inputs(*tensors), list[_Trace]()
        out, state = _forward(inputs, layout, eps, traces)
        ctx.layout = layout
        ctx.save_for_backward(*tensors, state.first, state.second, *chain.from_iterable(traces))
        return out, *_last_state(inputs, layout, state)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor, *d_last: Tensor) -> tuple[Tensor | None, ...]:
        saved = iter(ctx.saved_tensors)
        inputs = _Inputs(*islice(saved, len(_Inputs._fields)))
        # the backward pass takes its steps back in place
        state = _State(next(saved).clone(), next(saved).clone())
        traces = [_Trace(*fields) for fields in zip(*[saved] * len(_Trace._fields), strict=True)]
        with full_precision(d_out.device):  # the caller may be inside of autocast
            return None, None, *_backward(inputs, traces, ctx.layout, d_out, state, _joined(*d_last))


def _forward(inputs: _Inputs, layout: Layout, eps: float, traces: list[_Trace] | None = None) -> tuple[Tensor, _State]:
    """Return the output and the last centred state; append to `traces` what is read again."""
    out = layout.empty(inputs.q, layout.d)
    weight, bias = layout.per_chain(inputs.ln_weight), layout.per_chain(inputs.ln_bias)
    state, epsilon = _first_state(inputs), inputs.q.new_tensor(eps)
    memory = {rows: _Hidden(state.first, rows, state.first.shape[-1]) for rows in set(layout.rows)}
    for now, arguments, (answer,) in walk(*inputs[:5], layout, out):
        now.load(*arguments)
        hidden = memory[now.eta.shape[-1]]
        z1, read1 = torch.bmm(now.keys, state.first), torch.bmm(now.queries, state.first)
        hidden.load_keys(z1)
        z2 = torch.bmm(hidden.keys, state.second)
        z2_scale = row_scale(z2, epsilon)
        g2 = reconstruction_gradient(z2, z2_scale, now.target, weight, bias, now.zero)
        u = torch.bmm(g2, state.w2_t)
        g1 = torch.mul(u, hidden.slope, out=hidden.g1)
        score1 = torch.bmm(now.queries, now.keys.mT)
        read1.baddbmm_(score1 * now.eta, g1, alpha=-1)
        hidden.load_queries(read1)
        score2, read2 = torch.bmm(hidden.queries, hidden.keys.mT), torch.bmm(hidden.queries, state.second)
        read2.baddbmm_(score2 * now.eta, g2, alpha=-1)
        state.first.baddbmm_(now.keys.mT, g1.mul_(now.move), alpha=-1)
        state.second.baddbmm_(hidden.keys.mT, now.move * g2, alpha=-1)
        read2_scale = row_scale(read2, epsilon)
        store(layout.directions(torch.addcmul(bias, read2 * read2_scale, weight).add_(now.q)), answer)
        if traces is not None:
            traces.append(_Trace(score1, score2, read1, z1, u, z2, z2_scale, g2, read2, read2_scale))
    return out, state


def _backward(
    inputs: _Inputs, traces: list[_Trace], layout: Layout, d_out: Tensor, state: _State, d_state: _State
) -> tuple[Tensor, ...]:
    """Return the gradients of the inputs, in their order; overwrites the last state and its gradient."""
    d_q, d_k, d_v = (layout.empty(d_out, layout.d) for _ in range(3))
    d_lr, d_scale = layout.empty(d_out), torch.zeros_like(inputs.token_scale)
    steps = list(walk(*inputs[:5], layout, d_out, d_q, d_k, d_v, d_lr))
    back = _BackwardPass(inputs, layout, state, d_state)
    for i in reversed(range(len(traces))):
        now, arguments, (to_out, *gradients) = steps[i]
        now.load(*arguments)
        if i == 0:
            back.state = _first_state(inputs)  # known exactly, and often the smallest of all
        for x, pieces in zip(back.step(now, traces[i], to_out, undo=i > 0), gradients, strict=True):
            store(layout.directions(x), pieces)
    for rows, total in back.totals.items():
        d_scale[:, :rows] += layout.split(total.d_eta.tril_()).sum((1, 2, 4))
    d_weight = torch.stack([layout.split(total.d_weight).sum((1, 3)) for total in back.totals.values()]).sum(0)
    d_bias = d_out.sum((1, 3)) - d_v.sum((1, 3))
    # centring needs no gradient: whatever was added to the second layer has row means of zero already
    return d_q, d_k, d_v, d_lr, d_scale, *_apart(layout, d_state), d_weight, d_bias


class _Totals:
    """What the backward pass adds up over the steps of one size, and memory that they share."""

    def __init__(self, now: MiniBatch, layout: Layout, width: int) -> None:
        chains, rows, new = layout.chains, now.eta.shape[-1], now.target.new_empty
        self.d_weight = torch.zeros_like(now.target)
        self.d_eta = torch.zeros_like(now.eta)  # times lr_j
        self.d_out = torch.empty_like(now.target)
        self.d_out_blocks = layout.directions(self.d_out)
        self.hidden = _Hidden(now.target, rows, width)
        self.d_x1, self.d_x2 = new(chains, 2 * rows, width), new(chains, 3 * rows, layout.d)
        self.d_read1, self.d_z1 = self.d_x1.chunk(2, 1)
        self.d_read2, self.d_z2, self.g2 = self.d_x2.chunk(3, 1)
        # fresh memory of this size costs more than what is computed in it
        self.step1, self.d_g1, self.d_hidden, self.curve, self.slope = new(5, chains, rows, width).unbind(0)
        self.d_g2 = new(chains, rows, layout.d)


class _BackwardPass:
    """The chain of gradients of the state, from the last mini-batch to the first."""

    def __init__(self, inputs: _Inputs, layout: Layout, state: _State, d_state: _State) -> None:
        self.layout, self.state, self.d_state = layout, state, d_state
        self.weight, self.bias = layout.per_chain(inputs.ln_weight), layout.per_chain(inputs.ln_bias)
        self.totals: dict[int, _Totals] = {}

    def step(self, now: MiniBatch, trace: _Trace, d_out: Pieces, *, undo: bool) -> tuple[Tensor, ...]:
        """Return the gradients of this step's q, k, v and lr; with `undo`, first turn the state into that before it."""
        rows = now.eta.shape[-1]
        if rows not in self.totals:
            self.totals[rows] = _Totals(now, self.layout, trace.z1.shape[-1])
        total = self.totals[rows]
        load(d_out, total.d_out_blocks)
        step2 = self._recall(now, trace, total)
        if undo:
            self.state.first.baddbmm_(now.keys.mT, total.step1)
            self.state.second.baddbmm_(total.hidden.keys.mT, step2)
        self._through_output(now, trace, total)
        d_score2, d_eta = self._to_g2(now, trace, total)
        d_score1, d_eta1 = self._to_g1(now, trace, total)
        total.d_eta.addcmul_(d_eta.add_(d_eta1), now.lr_row)
        d_error = self._through_gradients(now, trace, total)
        self._to_z1(trace, total, d_score2, step2)
        d_q, d_k = torch.bmm(total.d_x1, self.state.w1_t).chunk(2, 1)
        d_q = torch.baddbmm(d_q, d_score1, now.k).add_(total.d_out)
        d_k = torch.baddbmm(d_k, d_score1.mT, now.q).add_(d_error)
        d_k.baddbmm_(total.step1, self.d_state.w1_t, alpha=-1)
        self.d_state.first.baddbmm_(now.x.mT, total.d_x1)
        self.d_state.second.baddbmm_(total.hidden.x.mT, total.d_x2)
        return d_q, d_k, d_error.neg_(), (d_eta * now.scale).sum(-2)

    def _recall(self, now: MiniBatch, trace: _Trace, total: _Totals) -> Tensor:
        """Find again what the forward pass did not keep; return the step of the second layer beside `step1`."""
        hidden = total.hidden
        hidden.load_keys(trace.z1)
        gelu_curve(trace.z1, hidden.gate, spare=hidden.spare, out=total.curve)
        hidden.load_queries(trace.read1)
        gelu_slope(trace.read1, hidden.gate, spare=hidden.spare, out=total.slope)
        torch.mul(trace.u, hidden.slope, out=hidden.g1)
        torch.mul(hidden.g1, now.move, out=total.step1)
        total.g2.copy_(trace.g2)
        return now.move * trace.g2

    def _through_output(self, now: MiniBatch, trace: _Trace, total: _Totals) -> None:
        """Find the gradient of what the queries read: `out = q + LN(read2)`."""
        total.d_read2.copy_(through_norm(total.d_out * self.weight, trace.read2, now.zero, trace.read2_scale))
        total.d_weight.addcmul_(trace.read2 * trace.read2_scale, total.d_out)

    def _to_g2(self, now: MiniBatch, trace: _Trace, total: _Totals) -> tuple[Tensor, Tensor]:
        """Return the gradients of the second score and of eta; find those of g2, so far, and of `read1`."""
        hidden = total.hidden
        torch.bmm(hidden.keys, self.d_state.second, out=total.d_g2)
        d_score, d_eta = _to_g(now, trace.score2, trace.g2, total.d_read2, total.d_g2)
        torch.bmm(total.d_read2, self.state.w2_t, out=total.d_hidden).baddbmm_(d_score, hidden.k)
        torch.mul(total.d_hidden, total.slope, out=total.d_read1)
        return d_score, d_eta

    def _to_g1(self, now: MiniBatch, trace: _Trace, total: _Totals) -> tuple[Tensor, Tensor]:
        """Return the gradients of the first score and of eta; find that of g1."""
        torch.bmm(now.keys, self.d_state.first, out=total.d_g1)
        return _to_g(now, trace.score1, total.hidden.g1, total.d_read1, total.d_g1)

    def _through_gradients(self, now: MiniBatch, trace: _Trace, total: _Totals) -> Tensor:
        """Return the gradient of k - v and find that of z2: `g1 = (g2 W2^T) slope`, then g2 by z2."""
        torch.mul(total.d_g1, total.hidden.slope, out=total.hidden.d_u)
        total.d_g2.baddbmm_(total.hidden.d_u, self.state.w2_t.mT)
        return through_reconstruction(
            *(total.d_g2, trace.g2, trace.z2, trace.z2_scale, now.target, self.weight, self.bias, now.zero),
            d_z=total.d_z2,
            d_weight=total.d_weight,
        )

    def _to_z1(self, trace: _Trace, total: _Totals, d_score2: Tensor, step2: Tensor) -> None:
        """Find the gradient of z1: through what the keys become, and through the slope in g1."""
        d_hidden = torch.bmm(total.d_z2, self.state.w2_t, out=total.d_hidden).baddbmm_(d_score2.mT, total.hidden.q)
        d_hidden.baddbmm_(step2, self.d_state.w2_t, alpha=-1).mul_(total.hidden.slope)
        torch.addcmul(d_hidden, total.d_g1.mul_(trace.u), total.curve, out=total.d_z1)


def _to_g(now: MiniBatch, score: Tensor, g: Tensor, d_read: Tensor, felt: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of score and of eta; turn `felt`, the keys through that of the state, into that of g."""
    d_eta = torch.bmm(d_read, g.mT).neg_()
    d_score = d_eta * now.eta
    d_eta.mul_(score)
    d_eta[:, -1] -= (felt * g).sum(-1)
    felt.mul_(now.move).baddbmm_((score * now.eta).mT, d_read).neg_()
    return d_score, d_eta


def _joined(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> _State:
    """Return new memory with each layer's matrix above its bias, chains in front."""
    return _State(*(torch.cat(pair, -2).flatten(0, 2) for pair in ((w1, b1), (w2, b2))))


def _first_state(inputs: _Inputs) -> _State:
    """Return the state with the mean of each row of the second layer removed: normalisation never sees the mean."""
    state = _joined(inputs.w1, inputs.b1, inputs.w2, inputs.b2)
    state.second.sub_(state.second.mean(-1, keepdim=True))
    return state


def _apart(layout: Layout, state: _State) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return views of w1, b1, w2 and b2 with the axes of the arguments."""
    first, second = layout.split(state.first), layout.split(state.second)
    return first[..., :-1, :], first[..., -1:, :], second[..., :-1, :], second[..., -1:, :]


def _last_state(inputs: _Inputs, layout: Layout, state: _State) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return copies of w1, b1, w2 and b2 with the axes of the arguments, the initial means added to the second."""
    w1, b1, w2, b2 = _apart(layout, state)
    return w1.clone(), b1.clone(), w2 + inputs.w2.mean(-1, keepdim=True), b2 + inputs.b2.mean(-1, keepdim=True)
