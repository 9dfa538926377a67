"""The loops of the compiled selective scan: one state per block of channels, kept in cache, through time.

A chain is one direction, one batch entry and one block of channels; the channels lie in the lanes of vectors, so that a
step adds across lanes only for the gradients of B and C, which the channels share. Time is cut into segments of
`SEGMENT` tokens, for which the backward pass computes the states again from the one that the forward pass kept. Chains
write no memory in common, so any number of them may run at once with the same result. `README.md` derives the formulas.

In here t is a token, i a step within a segment, n a state number, c the first channel of a vector. `decay` is
exp(dt A), `share` what a step takes in of B u: dt (euler) or (exp(dt A) - 1) / A (zero-order hold).
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from auharness.ops.numba_math import LOG2E, Number, exp2, exp2_and_less_one, expm1, sigmoid, softplus
from auharness.ops.numba_vectors import WIDTH, chosen, compiled, load, spread, spread_from, store, total

__all__ = ["SEGMENT", "Gradients", "Scratch", "Sequences", "Weights", "backward", "forward"]

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

SEGMENT: Final = 32
"""Tokens between two states that are kept."""

_ZERO, _ONE = np.float32(0), np.float32(1)
# stands for rates nearer to zero: zero-order hold divides by the rate, and its results no longer change
_LEAST_RATE: Final = np.float32(1e-20)
# derivative of (exp(x) - 1) / x: 1/2! + 2 x/3! + 3 x^2/4! + ...; the next term is 1e-8 of it at 1/2
_SERIES_ENDS: Final = np.float32(0.5)
_S0, _S1, _S2, _S3, _S4, _S5, _S6, _S7 = (
    np.float32(x) for x in (1 / 2, 2 / 6, 3 / 24, 4 / 120, 5 / 720, 6 / 5040, 7 / 40320, 8 / 362880)
)


class Sequences(NamedTuple):
    """What is read per token: flat memory in which the channels of a token lie beside each other.

    Attributes:
        u: input.
        delta: step size before bias and softplus.
        B: weights into the state.
        C: weights out of the state.
        z: gate, or nothing.
        d_y: gradient of the output, or nothing.
        strides: distances between directions, batch entries and tokens, `[6, 3]` in this order.
        order: token read at each step `[directions, token]`.
    """

    u: Floats
    delta: Floats
    B: Floats
    C: Floats
    z: Floats
    d_y: Floats
    strides: Integers
    order: Integers


class Weights(NamedTuple):
    """What is read once per chain, contiguous.

    Attributes:
        A: decay rates `[directions, dim, state]`.
        D: weight of the input in the output `[directions, dim]`.
        delta_bias: `[directions, dim]`.
        initial_state: `[directions, batch, dim, state]`.
    """

    A: Floats
    D: Floats
    delta_bias: Floats
    initial_state: Floats


class Gradients(NamedTuple):
    """What the backward pass writes, contiguous; the first axis of a part is to be summed.

    Attributes:
        u: `[directions, batch, token, dim]`, flat.
        delta: likewise.
        z: likewise, or nothing.
        B: a part per block of channels, `[blocks, directions, batch, token, state]`.
        C: likewise.
        A: a part per batch entry, `[batch, directions, dim, state]`.
        D: a part per batch entry, `[batch, directions, dim]`.
        delta_bias: likewise.
        initial_state: `[directions, batch, dim, state]`.
    """

    u: Floats
    delta: Floats
    z: Floats
    B: Floats
    C: Floats
    A: Floats
    D: Floats
    delta_bias: Floats
    initial_state: Floats


class Scratch(NamedTuple):
    """Memory of one thread, flat; blocks are `[state, lanes]`.

    Attributes:
        lanes: channels of a chain, whole vectors.
        rows: values per step of a segment and channel `[8, SEGMENT, lanes]`.
        channels: values per channel `[4, lanes]`: bias of delta, D, and the gradients of both.
        rates: blocks of A, A log2(e), 1 / A, and the gradients of the state and of A.
        states: one block that is overwritten, or the state before each step of a segment and after the last.
        decays: one block, or one per step.
        shares: likewise, for zero-order hold.
        sums: vectors that add up to the gradients of B and C, `[2, state, WIDTH]`.
    """

    lanes: int
    rows: Floats
    channels: Floats
    rates: Floats
    states: Floats
    decays: Floats
    shares: Floats
    sums: Floats


class _Chain(NamedTuple):
    """Where a chain is: direction, batch entry, first channel, number of channels, number of the block."""

    g: int
    b: int
    first: int
    width: int
    block: int


# places in the scratch memory and in the strides
_U, _DT, _DTU, _Y, _Z, _D_Y, _D_U, _D_DT = range(8)
_BIAS, _SKIP, _D_BIAS, _D_SKIP = range(4)
_RATE, _RATE2, _INVERSE, _D_STATE, _D_RATE = range(5)
_OF_U, _OF_DELTA, _OF_B, _OF_C, _OF_Z, _OF_D_Y = range(6)


@compiled
def forward(
    start: int,
    stop: int,
    x: Sequences,
    w: Weights,
    soft: bool,
    zoh: bool,
    y: Floats,
    last: Floats,
    kept: Floats,
    scratch: Scratch,
) -> None:
    """Run chains `start` to `stop`: write `y [directions, batch, token, dim]`, flat, and the last state.

    `kept [chains, segments, state x lanes]` receives the state before each segment, unless it is empty.
    """
    lanes, token = scratch.lanes, x.order.shape[1]
    for number in range(start, stop):
        chain = _chain(number, last.shape, lanes)
        _load_weights(chain, w, scratch)
        _load_block(w.initial_state[chain.g, chain.b], chain, scratch.states, lanes)
        for t in range(0, token, SEGMENT):
            order = x.order[chain.g, t : t + SEGMENT]
            if kept.size > 0:
                _copy(scratch.states, kept[number, t // SEGMENT], kept.shape[2])
            _load_steps(chain, x, order, soft, scratch)
            _scan(chain, x, order, zoh, scratch)
            _answer(chain, x, order, scratch)
            _store_rows(scratch.rows[_Y * SEGMENT * lanes :], lanes, order, y, last.shape, token, chain)
        _store_block(scratch.states, lanes, last[chain.g, chain.b], chain)


@compiled
def backward(
    start: int,
    stop: int,
    x: Sequences,
    w: Weights,
    soft: bool,
    zoh: bool,
    d_last: Floats,
    kept: Floats,
    out: Gradients,
    scratch: Scratch,
) -> None:
    """Run chains `start` to `stop` from the last token to the first; write `out`."""
    lanes, size, token, rows, rates = scratch.lanes, kept.shape[2], x.order.shape[1], scratch.rows, scratch.rates
    kind = SEGMENT * lanes
    for number in range(start, stop):
        chain = _chain(number, d_last.shape, lanes)
        _load_weights(chain, w, scratch)
        _load_block(d_last[chain.g, chain.b], chain, rates[_D_STATE * size :], lanes)
        rates[_D_RATE * size :] = _ZERO
        scratch.channels[_D_BIAS * lanes :] = _ZERO
        to_b, to_c = out.B[chain.block, chain.g, chain.b], out.C[chain.block, chain.g, chain.b]
        for t in range((token - 1) // SEGMENT * SEGMENT, -1, -SEGMENT):
            order = x.order[chain.g, t : t + SEGMENT]
            _copy(kept[number, t // SEGMENT], scratch.states, size)
            _load_steps(chain, x, order, soft, scratch)
            _scan(chain, x, order, zoh, scratch)
            _load_rows(x.d_y, x.strides[_OF_D_Y], chain, order, rows[_D_Y * kind :], lanes)
            if x.z.size > 0:
                _gate_back(chain, x, order, scratch)
                _store_rows(rows[_Z * kind :], lanes, order, out.z, d_last.shape, token, chain)
            if zoh:
                _scan_back_zoh(chain, x, order, to_b, to_c, scratch)
            else:
                _scan_back(chain, x, order, to_b, to_c, scratch)
            _steps_back(len(order), soft, scratch)
            _store_rows(rows[_D_U * kind :], lanes, order, out.u, d_last.shape, token, chain)
            _store_rows(rows[_D_DT * kind :], lanes, order, out.delta, d_last.shape, token, chain)
        _store_block(rates[_D_STATE * size :], lanes, out.initial_state[chain.g, chain.b], chain)
        _store_block(rates[_D_RATE * size :], lanes, out.A[chain.b, chain.g], chain)
        for c in range(chain.width):
            out.D[chain.b, chain.g, chain.first + c] = scratch.channels[_D_SKIP * lanes + c]
            out.delta_bias[chain.b, chain.g, chain.first + c] = scratch.channels[_D_BIAS * lanes + c]


@compiled
def _chain(number: int, shape: tuple[int, ...], lanes: int) -> _Chain:
    """Return the chain of this number; `shape` is that of the state."""
    _, batch, dim, _ = shape
    blocks = (dim + lanes - 1) // lanes
    first = number % blocks * lanes
    return _Chain(number // blocks // batch, number // blocks % batch, first, min(lanes, dim - first), number % blocks)


@compiled
def _load_weights(chain: _Chain, w: Weights, scratch: Scratch) -> None:
    """Read what a chain needs of A, D and the bias of delta."""
    lanes, rates, channels = scratch.lanes, scratch.rates, scratch.channels
    size = w.A.shape[2] * lanes
    _load_block(w.A[chain.g], chain, rates[_RATE * size :], lanes)
    for at in range(0, size, WIDTH):
        rate = load(rates, _RATE * size + at)
        rate = chosen(chosen(rate, _ZERO, _ZERO - rate, rate), _LEAST_RATE, _LEAST_RATE, rate)
        store(rates, _RATE * size + at, rate)
        store(rates, _RATE2 * size + at, rate * LOG2E)
        store(rates, _INVERSE * size + at, _ONE / rate)
    channels[: 2 * lanes] = _ZERO
    for c in range(chain.width):
        channels[_BIAS * lanes + c] = w.delta_bias[chain.g, chain.first + c]
        channels[_SKIP * lanes + c] = w.D[chain.g, chain.first + c]


@compiled
def _load_steps(chain: _Chain, x: Sequences, order: Integers, soft: bool, scratch: Scratch) -> None:
    """Read the inputs and step sizes of a segment."""
    lanes, rows, kind = scratch.lanes, scratch.rows, SEGMENT * scratch.lanes
    _load_rows(x.u, x.strides[_OF_U], chain, order, rows[_U * kind :], lanes)
    _load_rows(x.delta, x.strides[_OF_DELTA], chain, order, rows[_DT * kind :], lanes)
    for i in range(len(order)):
        for c in range(0, lanes, WIDTH):
            row = i * lanes + c
            dt = load(rows, _DT * kind + row) + load(scratch.channels, _BIAS * lanes + c)
            if soft:
                dt = softplus(dt)
            store(rows, _DT * kind + row, dt)
            store(rows, _DTU * kind + row, dt * load(rows, _U * kind + row))


@compiled
def _scan(chain: _Chain, x: Sequences, order: Integers, zoh: bool, scratch: Scratch) -> None:
    """Take a segment's steps and write C . h to the rows of y."""
    lanes, rows, rates, states = scratch.lanes, scratch.rows, scratch.rates, scratch.states
    size, kind = rates.size // 5, SEGMENT * lanes
    hop = size if states.size > size else 0  # from one step's block to the next
    for i in range(len(order)):
        b_at, c_at = _at(chain, x.strides[_OF_B], order[i]), _at(chain, x.strides[_OF_C], order[i])
        for c in range(0, lanes, WIDTH):
            row = i * lanes + c
            dt, u, dtu = load(rows, _DT * kind + row), load(rows, _U * kind + row), load(rows, _DTU * kind + row)
            y = spread(_ZERO)
            if zoh:
                for n in range(size // lanes):
                    at = n * lanes + c
                    decay, grown = exp2_and_less_one(dt * load(rates, _RATE2 * size + at))
                    share = grown * load(rates, _INVERSE * size + at)
                    h = decay * load(states, i * hop + at) + share * u * spread_from(x.B, b_at + n)
                    store(scratch.decays, i * hop + at, decay)
                    store(scratch.shares, i * hop + at, share)
                    store(states, (i + 1) * hop + at, h)
                    y += h * spread_from(x.C, c_at + n)
            else:
                for n in range(size // lanes):
                    at = n * lanes + c
                    decay = exp2(dt * load(rates, _RATE2 * size + at))
                    h = decay * load(states, i * hop + at) + dtu * spread_from(x.B, b_at + n)
                    store(scratch.decays, i * hop + at, decay)
                    store(states, (i + 1) * hop + at, h)
                    y += h * spread_from(x.C, c_at + n)
            store(rows, _Y * kind + row, y)


@compiled
def _answer(chain: _Chain, x: Sequences, order: Integers, scratch: Scratch) -> None:
    """Add D u to the rows of y and gate them."""
    lanes, rows, kind, gated = scratch.lanes, scratch.rows, SEGMENT * scratch.lanes, x.z.size > 0
    if gated:
        _load_rows(x.z, x.strides[_OF_Z], chain, order, rows[_Z * kind :], lanes)
    for i in range(len(order)):
        for c in range(0, lanes, WIDTH):
            row = i * lanes + c
            y = load(rows, _Y * kind + row) + load(scratch.channels, _SKIP * lanes + c) * load(rows, _U * kind + row)
            if gated:
                z = load(rows, _Z * kind + row)
                y = y * z * sigmoid(z)
            store(rows, _Y * kind + row, y)


@compiled
def _gate_back(chain: _Chain, x: Sequences, order: Integers, scratch: Scratch) -> None:
    """Turn the gradient of the output into that of y before the gate, and z into its gradient."""
    lanes, rows, kind = scratch.lanes, scratch.rows, SEGMENT * scratch.lanes
    _load_rows(x.z, x.strides[_OF_Z], chain, order, rows[_Z * kind :], lanes)
    for i in range(len(order)):
        for c in range(0, lanes, WIDTH):
            row = i * lanes + c
            y = load(rows, _Y * kind + row) + load(scratch.channels, _SKIP * lanes + c) * load(rows, _U * kind + row)
            z, d_out = load(rows, _Z * kind + row), load(rows, _D_Y * kind + row)
            opened = sigmoid(z)
            gate = z * opened
            store(rows, _D_Y * kind + row, d_out * gate)
            store(rows, _Z * kind + row, d_out * y * (opened + gate * (_ONE - opened)))


@compiled
def _scan_back(chain: _Chain, x: Sequences, order: Integers, to_b: Floats, to_c: Floats, scratch: Scratch) -> None:
    """Take a segment's steps back; write the gradients of dt, and of u but for D u, to their rows."""
    lanes, rows, rates, states, sums = scratch.lanes, scratch.rows, scratch.rates, scratch.states, scratch.sums
    size, kind, state = rates.size // 5, SEGMENT * lanes, rates.size // 5 // lanes
    for i in range(len(order) - 1, -1, -1):
        b_at, c_at = _at(chain, x.strides[_OF_B], order[i]), _at(chain, x.strides[_OF_C], order[i])
        sums[:] = _ZERO
        for c in range(0, lanes, WIDTH):
            row = i * lanes + c
            dt, u, dtu = load(rows, _DT * kind + row), load(rows, _U * kind + row), load(rows, _DTU * kind + row)
            d_y = load(rows, _D_Y * kind + row)
            d_input, d_dt = spread(_ZERO), spread(_ZERO)  # of B . (dt u), and of dt through the decay
            for n in range(state):
                at, of_b, of_c = n * lanes + c, n * WIDTH, (state + n) * WIDTH
                d_h = load(rates, _D_STATE * size + at) + d_y * spread_from(x.C, c_at + n)
                store(sums, of_c, load(sums, of_c) + d_y * load(states, (i + 1) * size + at))
                store(sums, of_b, load(sums, of_b) + d_h * dtu)
                d_input += d_h * spread_from(x.B, b_at + n)
                d_before = d_h * load(scratch.decays, i * size + at)
                store(rates, _D_STATE * size + at, d_before)
                d_exponent = d_before * load(states, i * size + at)
                d_dt += d_exponent * load(rates, _RATE * size + at)
                store(rates, _D_RATE * size + at, load(rates, _D_RATE * size + at) + d_exponent * dt)
            store(rows, _D_U * kind + row, d_input * dt)
            store(rows, _D_DT * kind + row, d_dt + d_input * u)
        _add_up(sums, to_b[order[i]], to_c[order[i]])


@compiled
def _scan_back_zoh(chain: _Chain, x: Sequences, order: Integers, to_b: Floats, to_c: Floats, scratch: Scratch) -> None:
    """Do the same for zero-order hold."""
    lanes, rows, rates, states, sums = scratch.lanes, scratch.rows, scratch.rates, scratch.states, scratch.sums
    size, kind, state = rates.size // 5, SEGMENT * lanes, rates.size // 5 // lanes
    for i in range(len(order) - 1, -1, -1):
        b_at, c_at = _at(chain, x.strides[_OF_B], order[i]), _at(chain, x.strides[_OF_C], order[i])
        sums[:] = _ZERO
        for c in range(0, lanes, WIDTH):
            row = i * lanes + c
            dt, u, d_y = load(rows, _DT * kind + row), load(rows, _U * kind + row), load(rows, _D_Y * kind + row)
            d_u, d_dt = spread(_ZERO), spread(_ZERO)
            for n in range(state):
                at, of_b, of_c = n * lanes + c, n * WIDTH, (state + n) * WIDTH
                decay, share = load(scratch.decays, i * size + at), load(scratch.shares, i * size + at)
                rate, inverse = load(rates, _RATE * size + at), load(rates, _INVERSE * size + at)
                d_h = load(rates, _D_STATE * size + at) + d_y * spread_from(x.C, c_at + n)
                store(sums, of_c, load(sums, of_c) + d_y * load(states, (i + 1) * size + at))
                store(sums, of_b, load(sums, of_b) + d_h * share * u)
                d_taken = d_h * spread_from(x.B, b_at + n)
                d_u += d_taken * share
                d_before = d_h * decay
                store(rates, _D_STATE * size + at, d_before)
                d_exponent, d_share = d_before * load(states, i * size + at), d_taken * u
                d_dt += d_exponent * rate + d_share * decay  # d share / d dt = decay
                d_rate = d_exponent * dt + d_share * _share_by_rate(dt, rate, inverse, decay, share)
                store(rates, _D_RATE * size + at, load(rates, _D_RATE * size + at) + d_rate)
            store(rows, _D_U * kind + row, d_u)
            store(rows, _D_DT * kind + row, d_dt)
        _add_up(sums, to_b[order[i]], to_c[order[i]])


@compiled
def _share_by_rate(dt: Number, rate: Number, inverse: Number, decay: Number, share: Number) -> Number:
    """Return the derivative of (exp(dt A) - 1) / A by A."""
    x = dt * rate
    series = _S0 + x * (_S1 + x * (_S2 + x * (_S3 + x * (_S4 + x * (_S5 + x * (_S6 + x * _S7))))))
    return chosen(x * x, _SERIES_ENDS * _SERIES_ENDS, dt * dt * series, (dt * decay - share) * inverse)


@compiled
def _add_up(sums: Floats, to_b: Floats, to_c: Floats) -> None:
    """Write the gradients of one token's B and C."""
    for n in range(len(to_b)):
        to_b[n] = total(load(sums, n * WIDTH))
        to_c[n] = total(load(sums, (len(to_b) + n) * WIDTH))


@compiled
def _steps_back(steps: int, soft: bool, scratch: Scratch) -> None:
    """Finish the gradients of a segment's u and delta; add to those of D and of the bias."""
    lanes, rows, channels = scratch.lanes, scratch.rows, scratch.channels
    kind = SEGMENT * lanes
    for c in range(0, lanes, WIDTH):
        skip = load(channels, _SKIP * lanes + c)
        d_skip, d_bias = load(channels, _D_SKIP * lanes + c), load(channels, _D_BIAS * lanes + c)
        for row in range(c, steps * lanes, lanes):
            d_y, d_dt = load(rows, _D_Y * kind + row), load(rows, _D_DT * kind + row)
            if soft:
                # the derivative of softplus, 1 / (1 + exp(-x)), is 1 - exp(-softplus(x))
                d_dt = d_dt * (_ZERO - expm1(_ZERO - load(rows, _DT * kind + row)))
            store(rows, _D_DT * kind + row, d_dt)
            store(rows, _D_U * kind + row, load(rows, _D_U * kind + row) + d_y * skip)
            d_skip += d_y * load(rows, _U * kind + row)
            d_bias += d_dt
        store(channels, _D_SKIP * lanes + c, d_skip)
        store(channels, _D_BIAS * lanes + c, d_bias)


@compiled
def _at(chain: _Chain, strides: Integers, token: int) -> int:
    """Return where a token begins."""
    return chain.g * strides[0] + chain.b * strides[1] + token * strides[2]


@compiled
def _load_rows(source: Floats, strides: Integers, chain: _Chain, order: Integers, rows: Floats, lanes: int) -> None:
    """Read the tokens `order` of a chain's channels; lanes without a channel get zeros."""
    whole = chain.width // WIDTH * WIDTH
    for i in range(len(order)):
        at, to = _at(chain, strides, order[i]) + chain.first, i * lanes
        for c in range(0, whole, WIDTH):
            store(rows, to + c, load(source, at + c))
        for c in range(whole, lanes):
            rows[to + c] = source[at + c] if c < chain.width else _ZERO


@compiled
def _store_rows(
    rows: Floats, lanes: int, order: Integers, target: Floats, shape: tuple[int, ...], token: int, chain: _Chain
) -> None:
    """Write a chain's channels to the tokens `order` of the flat `[directions, batch, token, dim]`."""
    start, whole = (chain.g * shape[1] + chain.b) * token, chain.width // WIDTH * WIDTH
    for i in range(len(order)):
        at, to = i * lanes, (start + order[i]) * shape[2] + chain.first
        for c in range(0, whole, WIDTH):
            store(target, to + c, load(rows, at + c))
        for c in range(whole, chain.width):
            target[to + c] = rows[at + c]


@compiled
def _load_block(source: Floats, chain: _Chain, block: Floats, lanes: int) -> None:
    """Turn a chain's channels of `[dim, state]` to a block; lanes without a channel get zeros."""
    for n in range(source.shape[1]):
        for c in range(lanes):
            block[n * lanes + c] = source[chain.first + c, n] if c < chain.width else _ZERO


@compiled
def _store_block(block: Floats, lanes: int, target: Floats, chain: _Chain) -> None:
    """Turn it back."""
    for c in range(chain.width):
        for n in range(target.shape[1]):
            target[chain.first + c, n] = block[n * lanes + c]


@compiled
def _copy(source: Floats, target: Floats, size: int) -> None:
    """Copy whole vectors."""
    for at in range(0, size, WIDTH):
        store(target, at, load(source, at))
