"""SSD in torch with a hand-written backward: chunks of tokens as matrix products, one state from chunk to chunk.

Only decays from an earlier to a later token are formed, so no exponent is positive. `README.md` beside this file
derives the formulas, with the names used here.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from auharness.ops.backends import full_precision
from auharness.ops.scan import in_scan_order

__all__ = ["ssd_torch"]

_CHUNK: Final = 64  # tokens; work inside a chunk grows with its length, work between chunks shrinks


class _Inputs(NamedTuple):
    """The arguments with directions and batch as one axis of rows, and the heads in groups that share B and C."""

    x: Tensor  # [row, token, group, head, P]
    dt: Tensor  # [row, token, group, head, 1]
    log_decay: Tensor  # dt A, shaped like dt
    B: Tensor  # [row, token, group, 1, N]
    C: Tensor  # [row, token, group, 1, N]


def ssd_torch(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    initial_state: Tensor | None,
    *,
    reverse: Sequence[bool],
    suffix: int,
) -> tuple[Tensor, Tensor]:
    """Compute what `ssd_reference` computes, from the same arguments; once differentiable in every tensor."""
    directions, batch, _, heads, width = x.shape
    groups, size = B.shape[3:]
    split = (groups, heads // groups)
    dt = dt[..., None]
    x, dt, log_decay, B, C = (
        in_scan_order(tokens, reverse, suffix=suffix, dim=-3).flatten(0, 1)
        for tokens in (x, dt, dt * A[:, None, None, :, None], B, C)
    )
    x, dt, log_decay = (torch.unflatten(tokens, 2, split) for tokens in (x, dt, log_decay))
    inputs = _Inputs(x, dt, log_decay, B[..., None, :], C[..., None, :])
    if initial_state is None:
        state = x.new_zeros(directions * batch, groups, size, heads // groups, width)
    else:
        state = torch.unflatten(initial_state.flatten(0, 1), 1, split).movedim(-1, 2)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (state, *inputs)):
        y, state = _SSD.apply(state, *inputs)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    else:
        y, states = _forward(inputs, state)
        state = states[-1].clone()
    y, state = (
        torch.unflatten(tensor, 0, (directions, batch))
        for tensor in (y.flatten(2, 3), state.movedim(2, -1).flatten(1, 2))
    )
    return in_scan_order(y, reverse, suffix=suffix, dim=-3), state


class _SSD(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, state: Tensor, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        y, states = _forward(_Inputs(*tensors), state)
        ctx.save_for_backward(states, *tensors)
        # a copy: whoever changes the state must not change what the backward pass reads
        return y, states[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor, d_state: Tensor) -> tuple[Tensor, ...]:
        states, *tensors = ctx.saved_tensors
        with full_precision(d_y.device):
            return _backward(_Inputs(*tensors), states, d_y, d_state)


class _Span(NamedTuple):
    """Chunks of equal length that lie side by side."""

    first: int  # number of the first chunk
    chunks: int
    rows: int  # tokens in each

    def cut(self, tokens: Tensor) -> Tensor:
        """View `[row, token, group, head, ...]` as `[chunk, row, group, head, token in the chunk, ...]`."""
        part = tokens.narrow(1, self.first * _CHUNK, self.chunks * self.rows)
        return torch.unflatten(part, 1, (self.chunks, self.rows)).movedim((1, 2), (0, 4))


def _spans(token: int) -> list[_Span]:
    full, rest = divmod(token, _CHUNK)
    return [_Span(0, full, _CHUNK)] * (full > 0) + [_Span(full, 1, rest)] * (rest > 0)


class _Chunks:
    """What both passes need of a span; by head is `[chunk, row, group, head, token, ...]`."""

    def __init__(self, inputs: _Inputs, span: _Span) -> None:
        self.x, self.dt = span.cut(inputs.x), span.cut(inputs.dt)
        # double: the difference of two long sums must be as good as the sum of the few terms between them
        total = span.cut(inputs.log_decay).double().cumsum(4)
        # decays: from the start of the chunk to a token, from a token to the end, over the chunk, from token to token
        since, until = total.exp(), (total[..., -1:, :] - total).exp()
        self.since, self.until = since.to(self.x.dtype), until.to(self.x.dtype)
        self.whole = self.since[..., -1:, :].transpose(3, 4)  # [chunk, row, group, 1, head, 1]
        self.decay = self.x.new_empty(*total.shape[:-1], span.rows)
        torch.sub(total, total.mT, out=self.decay).tril_().exp_()  # 1 above the diagonal, where it is not used
        self.B, self.C = (span.cut(tokens).squeeze(3).contiguous() for tokens in (inputs.B, inputs.C))
        self.score = (self.C @ self.B.mT).tril_().unsqueeze(3)
        self.seen = self.decay * self.score  # how much of token j query i sees, lower triangular
        self.taken_in = _product(self.x, self.dt)
        self.ending = _by_group(self.taken_in, self.until)


def _forward(inputs: _Inputs, state: Tensor) -> tuple[Tensor, Tensor]:
    """Return the output, shaped like `x`, and the states `[chunk + 1, row, group, N, head, P]` between the chunks."""
    spans = _spans(inputs.x.shape[1])
    y = torch.empty_like(inputs.x, memory_format=torch.contiguous_format)
    states = state.new_empty(sum(span.chunks for span in spans) + 1, *state.shape)
    states[0] = state
    for span in spans:
        now, here = _Chunks(inputs, span), states[span.first : span.first + span.chunks + 1]
        added = (now.B.mT @ now.ending).view_as(here[1:])
        for i in range(span.chunks):
            torch.addcmul(added[i], now.whole[i], here[i], out=here[i + 1])
        out = span.cut(y)
        torch.mul(_by_head(now.C @ here[:-1].flatten(-2), out), now.since, out=out)
        out += now.seen @ now.taken_in
    return y, states


def _backward(inputs: _Inputs, states: Tensor, d_y: Tensor, d_state: Tensor) -> tuple[Tensor, ...]:
    """Return the gradients of the first state and of the inputs, in their order."""
    gradients = _Inputs(*(torch.empty_like(tokens, memory_format=torch.contiguous_format) for tokens in inputs))
    for span in reversed(_spans(inputs.x.shape[1])):
        now, before = _Chunks(inputs, span), states[span.first : span.first + span.chunks]
        d_out = span.cut(d_y)
        d_read = _by_group(d_out, now.since)
        felt = (now.C.mT @ d_read).view_as(before)
        d_after = torch.empty_like(felt)
        for i in reversed(range(span.chunks)):
            d_after[i] = d_state
            d_state = torch.addcmul(felt[i], now.whole[i], d_state)
        found = _gradients(now, d_out, d_read, before, d_after)
        for gradient, value in zip(gradients, found, strict=True):
            span.cut(gradient).copy_(value)
    return d_state, *gradients


def _gradients(now: _Chunks, d_out: Tensor, d_read: Tensor, before: Tensor, d_after: Tensor) -> _Inputs:
    """Return the gradients of one span by head, given those of its output and of the state after each chunk."""
    d_out = d_out.contiguous()
    state, d_state = before.flatten(-2), d_after.flatten(-2)
    kept = _by_head(now.B @ d_state, d_out)  # gradient of what a token is at the end of its chunk
    d_taken_in = (now.seen.mT @ d_out).addcmul_(kept, now.until)
    d_seen = d_out @ now.taken_in.mT

    # every pair of an earlier and a later token, state before and state after, passes the decays between them
    crossing = (d_seen * now.seen).cumsum_(-1).tril_(-1).sum(-2)[..., :-1]
    from_before = _dot(_by_head(d_read, d_out), _by_head(now.C @ state, d_out))
    to_after = _dot(_by_head(now.ending, d_out), kept)
    past = (d_after * before).sum((-3, -1))[..., None] * now.whole[..., 0, :, :]
    d_log_decay = past + from_before.flip(-1).cumsum_(-1).flip(-1)
    d_log_decay[..., 1:] += crossing + to_after.cumsum_(-1)[..., :-1]

    d_score = d_seen.mul_(now.decay).sum(3).tril_()
    return _Inputs(
        x=d_taken_in * now.dt,
        dt=_dot(d_taken_in, now.x)[..., None],
        log_decay=d_log_decay[..., None],
        B=(d_score.mT @ now.C + now.ending @ d_state.mT)[:, :, :, None],
        C=(d_score @ now.B + d_read @ state.mT)[:, :, :, None],
    )


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Return `a * b` in the order of its axes, as a matrix product wants it."""
    return torch.mul(a, b, out=torch.empty_like(a, memory_format=torch.contiguous_format))


def _by_group(a: Tensor, b: Tensor) -> Tensor:
    """Return the product of two tensors by head with the heads side by side, `[chunk, row, group, token, head * P]`."""
    return _product(a.transpose(3, 4), b.transpose(3, 4)).flatten(-2)


def _by_head(side_by_side: Tensor, like: Tensor) -> Tensor:
    """View `[chunk, row, group, token, head * P]` by head, as `like` is."""
    return torch.unflatten(side_by_side, -1, (like.shape[3], like.shape[5])).transpose(3, 4)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1)
