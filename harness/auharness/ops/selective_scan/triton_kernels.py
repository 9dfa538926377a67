"""The kernels of the Triton backend: one program per direction, sequence, chunk of tokens and block of channels.

A state is a tile `[NP, BD]`, N padded to a power of two, with one channel per lane of a warp and its states in
registers, so that only the gradients of B and C need sums across lanes. Time runs in groups of tokens written out by
hand: the loads of a group come before its stores. Rates carry log2(e), so that a decay is one exp2. A token past the
end has step size 0 and changes nothing.
"""

# what a kernel takes and returns has no type in Python
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import math
from typing import Any

import triton
import triton.language as tl

__all__ = ["carry_states", "chunk_gradients", "chunk_states", "scan_backward", "scan_forward"]

_LOG2E = tl.constexpr(math.log2(math.e))
_LN2 = tl.constexpr(math.log(2))

# below it (e^x - 1) / x comes from its series, exact to float32; above it e^x - 1 loses less than two bits
_NEAR = tl.constexpr(0.35 * math.log2(math.e))
# series of (2^x - 1) / (x ln 2), and of ((x ln 2 - 1) 2^x + 1) / (x ln 2)^2, from the first power of x on
_M1, _M2, _M3, _M4, _M5, _M6 = (tl.constexpr(math.log(2) ** k / math.factorial(k + 1)) for k in range(1, 7))
_S1, _S2, _S3, _S4, _S5, _S6 = (tl.constexpr(math.log(2) ** k / (math.factorial(k) * (k + 2))) for k in range(1, 7))

_SIZES = ["tokens", "channels", "batch", "blocks", "chunks", "span", "every", "backwards", "suffix", "zero"]
_STRIDES = [f"{x}_{axis}" for x in ("u", "delta", "z", "b", "c", "dy") for axis in "gbt"]
_MORE_STRIDES = ["a_g", "skip_g", "bias_g", "first_g", "first_b", "d_last_g", "d_last_b"]


def _kernel(function: Any) -> Any:
    """Compile once for all shapes.

    `zero` is the number 0 and must not be known either: added to an address it hides that the address is aligned. The
    compiler then sees channels that are neighbours, which puts them into the lanes of a warp, but nothing that invites
    it to load several of them into one lane; the layout that this gives the state needs no exchange between lanes.
    """
    return triton.jit(function, do_not_specialize=[*_SIZES, *_STRIDES, *_MORE_STRIDES])


@triton.jit
def _program(blocks, chunks, batch):
    """Return this program's block of channels, chunk of tokens, sequence and direction."""
    pid = tl.program_id(0)
    outer = pid // (blocks * chunks)
    return pid % blocks, (pid // blocks) % chunks, (outer % batch).to(tl.int64), (outer // batch).to(tl.int64)


@triton.jit
def _axes(block, channels, N: tl.constexpr, NP: tl.constexpr, BD: tl.constexpr):
    """Return the channels `[BD]` and states `[NP, 1]` of a block, and which of them exist."""
    channel = block * BD + tl.arange(0, BD)
    state = tl.arange(0, NP)[:, None]
    return channel, channel < channels, state, state < N


@triton.jit
def _pivot(backwards, way, tokens, suffix):
    """Return how many tokens are read backwards before the others follow in order."""
    return tl.where(((backwards >> way.to(tl.int32)) & 1) == 1, tokens - suffix, 0)


@triton.jit
def _token(step, pivot, WIDE: tl.constexpr):
    token = tl.where(step < pivot, pivot - 1 - step, step)
    if WIDE:
        token = token.to(tl.int64)
    return token


@triton.jit
def _row(at, token, stride, mask):
    return tl.load(at + token * stride, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def _four_rows(at, stride, step, tokens, pivot, mask, WIDE: tl.constexpr):
    """Return the rows of four steps, zero past the end."""
    return (
        _row(at, _token(step, pivot, WIDE), stride, mask & (step < tokens)),
        _row(at, _token(step + 1, pivot, WIDE), stride, mask & (step + 1 < tokens)),
        _row(at, _token(step + 2, pivot, WIDE), stride, mask & (step + 2 < tokens)),
        _row(at, _token(step + 3, pivot, WIDE), stride, mask & (step + 3 < tokens)),
    )


@triton.jit
def _three_rows(at, stride, step, tokens, pivot, mask, WIDE: tl.constexpr):
    """Return the rows of three steps, zero past the end."""
    return (
        _row(at, _token(step, pivot, WIDE), stride, mask & (step < tokens)),
        _row(at, _token(step + 1, pivot, WIDE), stride, mask & (step + 1 < tokens)),
        _row(at, _token(step + 2, pivot, WIDE), stride, mask & (step + 2 < tokens)),
    )


@triton.jit
def _put_three_rows(at, stride, step, tokens, pivot, mask, x0, x1, x2, WIDE: tl.constexpr):
    tl.store(at + _token(step, pivot, WIDE) * stride, x0, mask=mask)
    tl.store(at + _token(step + 1, pivot, WIDE) * stride, x1, mask=mask & (step + 1 < tokens))
    tl.store(at + _token(step + 2, pivot, WIDE) * stride, x2, mask=mask & (step + 2 < tokens))


@triton.jit
def _softplus(x):
    """Return log(1 + e^x) with full relative precision, and its derivative."""
    small = tl.exp2(-tl.abs(x) * _LOG2E)
    # log(1 + e) = 2 atanh(e / (2 + e)), an argument of at most a third
    ratio = small / (2.0 + small)
    q = ratio * ratio
    series = 1.0 / 13 + q * (1.0 / 15)
    series = 1.0 / 9 + q * (1.0 / 11 + q * series)
    series = 1.0 / 5 + q * (1.0 / 7 + q * series)
    series = 1.0 + q * (1.0 / 3 + q * series)
    share = 1.0 / (1.0 + small)
    return tl.maximum(x, 0.0) + 2.0 * ratio * series, tl.where(x >= 0, share, small * share)


@triton.jit
def _sigmoid(x):
    return 1.0 / (1.0 + tl.exp2(-x * _LOG2E))


@triton.jit
def _step_size(delta, bias, live, SOFTPLUS: tl.constexpr):
    """Return the step sizes of a token and their derivative by delta, both 0 where there is no token."""
    size = delta + bias
    slope = tl.full(size.shape, 1.0, tl.float32)
    if SOFTPLUS:
        size, slope = _softplus(size)
    return tl.where(live, size, 0.0), tl.where(live, slope, 0.0)


@triton.jit
def _held(exponent, decay, size, inverse):
    """Return (e^(s A) - 1) / A, given s A log2(e), e^(s A), s and 1 / A."""
    series = _M4 + exponent * (_M5 + exponent * _M6)
    series = 1.0 + exponent * (_M1 + exponent * (_M2 + exponent * (_M3 + exponent * series)))
    return tl.where(tl.abs(exponent) < _NEAR, size * series, (decay - 1.0) * inverse)


@triton.jit
def _held_by_rate(exponent, decay, size, inverse, held):
    """Return the derivative of `_held` by A."""
    series = _S4 + exponent * (_S5 + exponent * _S6)
    series = 0.5 + exponent * (_S1 + exponent * (_S2 + exponent * (_S3 + exponent * series)))
    return tl.where(tl.abs(exponent) < _NEAR, size * size * series, (size * decay - held) * inverse)


@triton.jit
def _advance(h, size, u, b, rate, inverse, ZOH: tl.constexpr):
    """Return the state after a token, and the decay that took it there."""
    size_, u_ = size[None, :], u[None, :]
    exponent = size_ * rate
    decay = tl.exp2(exponent)
    taken_in = _held(exponent, decay, size_, inverse) * (b * u_) if ZOH else b * (size_ * u_)
    return decay * h + taken_in, decay


@triton.jit
def _answer(h, u, c, z, skips, HAS_Z: tl.constexpr):
    """Return y of a token."""
    y = tl.sum(h * c, 0) + skips * u
    if HAS_Z:
        y *= z * _sigmoid(z)
    return y


@triton.jit
def _tile(x, channels, channel, live, state, live_n):
    """Load `x [N, channel]`, zero in lanes that stand for nothing."""
    at = x + state * channels + channel[None, :]
    return tl.load(at, mask=live[None, :] & live_n, other=0.0).to(tl.float32)


@triton.jit
def _rates(a, channels, channel, live, state, live_n):
    """Return A log2(e), and 1 / A where A is not 0."""
    rate = _tile(a, channels, channel, live, state, live_n)
    return rate * _LOG2E, tl.where(rate == 0, 0.0, 1.0 / tl.where(rate == 0, 1.0, rate))


@triton.jit
def _per_channel(x, x_g, way, channel, live, HAS: tl.constexpr):
    if HAS:
        value = tl.load(x + way * x_g + channel, mask=live, other=0.0).to(tl.float32)
    else:
        value = tl.zeros(channel.shape, tl.float32)
    return value


@triton.jit
def _kept(block, state, zero, N: tl.constexpr, BD: tl.constexpr):
    """Return where a tile lies in a kept state `[block, N, BD]`."""
    return block * (N * BD) + zero + state * BD + tl.arange(0, BD)[None, :]


@_kernel
def scan_forward(
    u, delta, a, b, c, skip, z, bias, first, carried, starts, y, last,
    tokens, channels, batch, blocks, chunks, span, every, backwards, suffix, zero,
    u_g, u_b, u_t, delta_g, delta_b, delta_t, a_g, b_g, b_b, b_t, c_g, c_b, c_t, skip_g, z_g, z_b, z_t, bias_g,
    first_g, first_b,
    N: tl.constexpr, NP: tl.constexpr, BD: tl.constexpr, ALIGN: tl.constexpr, WIDE: tl.constexpr,
    SOFTPLUS: tl.constexpr, ZOH: tl.constexpr, HAS_SKIP: tl.constexpr, HAS_Z: tl.constexpr, HAS_BIAS: tl.constexpr,
    HAS_FIRST: tl.constexpr, CARRIED: tl.constexpr, SAVE: tl.constexpr,
):  # fmt: skip
    """Write y, the last state, and with SAVE the state before every `every` tokens.

    A chunk of `span` tokens starts from `carried [chain, chunk, kept]` if CARRIED, else from `first` or zeros.
    """
    block, chunk, seq, way = _program(blocks, chunks, batch)
    channel, live, state, live_n = _axes(block, channels, N, NP, BD)
    tile = live[None, :] & live_n
    chain = way * batch + seq
    pivot = _pivot(backwards, way, tokens, suffix)

    rate, inverse = _rates(a + way * a_g, channels, channel, live, state, live_n)
    skips = _per_channel(skip, skip_g, way, channel, live, HAS_SKIP)
    biases = _per_channel(bias, bias_g, way, channel, live, HAS_BIAS)
    u += way * u_g + seq * u_b + channel
    delta += way * delta_g + seq * delta_b + channel
    # strides of B and C come divided by ALIGN, which tells the compiler how wide their loads may be
    b += (way * b_g + seq * b_b) * ALIGN + state
    c += (way * c_g + seq * c_b) * ALIGN + state
    if HAS_Z:
        z += way * z_g + seq * z_b + channel
    y += chain * tokens * channels + channel
    kept_size = blocks * (N * BD)
    if SAVE:
        starts += chain * tl.cdiv(tokens, every) * kept_size + _kept(block, state, zero, N, BD)

    h = tl.zeros([NP, BD], tl.float32)
    if CARRIED:
        at = carried + (chain * chunks + chunk) * kept_size + _kept(block, state, zero, N, BD)
        h = tl.load(at, mask=tile, other=0.0)
    elif HAS_FIRST:
        h = _tile(first + way * first_g + seq * first_b, channels, channel, live, state, live_n)

    # u, delta and z come from far: their rows are one group ahead
    step = chunk * span
    u0, u1, u2, u3 = _four_rows(u, u_t, step, tokens, pivot, live, WIDE)
    s0, s1, s2, s3 = _four_rows(delta, delta_t, step, tokens, pivot, live, WIDE)
    z0, z1, z2, z3 = u0, u1, u2, u3
    if HAS_Z:
        z0, z1, z2, z3 = _four_rows(z, z_t, step, tokens, pivot, live, WIDE)
    for step in range(chunk * span, tl.minimum(chunk * span + span, tokens), 4):
        if SAVE:  # noqa: SIM102  # decided when compiling, the other when running
            if step % every == 0:
                tl.store(starts + (step // every).to(tl.int64) * kept_size, h, mask=tile)
        b0, b1, b2, b3 = _four_rows(b, b_t * ALIGN, step, tokens, pivot, live_n, WIDE)
        c0, c1, c2, c3 = _four_rows(c, c_t * ALIGN, step, tokens, pivot, live_n, WIDE)
        v0, v1, v2, v3 = _four_rows(u, u_t, step + 4, tokens, pivot, live, WIDE)
        r0, r1, r2, r3 = _four_rows(delta, delta_t, step + 4, tokens, pivot, live, WIDE)
        w0, w1, w2, w3 = v0, v1, v2, v3
        if HAS_Z:
            w0, w1, w2, w3 = _four_rows(z, z_t, step + 4, tokens, pivot, live, WIDE)
        s0, _ = _step_size(s0, biases, step < tokens, SOFTPLUS)
        s1, _ = _step_size(s1, biases, step + 1 < tokens, SOFTPLUS)
        s2, _ = _step_size(s2, biases, step + 2 < tokens, SOFTPLUS)
        s3, _ = _step_size(s3, biases, step + 3 < tokens, SOFTPLUS)
        h, _ = _advance(h, s0, u0, b0, rate, inverse, ZOH)
        y0 = _answer(h, u0, c0, z0, skips, HAS_Z)
        h, _ = _advance(h, s1, u1, b1, rate, inverse, ZOH)
        y1 = _answer(h, u1, c1, z1, skips, HAS_Z)
        h, _ = _advance(h, s2, u2, b2, rate, inverse, ZOH)
        y2 = _answer(h, u2, c2, z2, skips, HAS_Z)
        h, _ = _advance(h, s3, u3, b3, rate, inverse, ZOH)
        y3 = _answer(h, u3, c3, z3, skips, HAS_Z)
        _put_three_rows(y, channels, step, tokens, pivot, live, y0, y1, y2, WIDE)
        tl.store(y + _token(step + 3, pivot, WIDE) * channels, y3, mask=live & (step + 3 < tokens))
        u0, u1, u2, u3 = v0, v1, v2, v3
        s0, s1, s2, s3 = r0, r1, r2, r3
        z0, z1, z2, z3 = w0, w1, w2, w3

    if chunk == chunks - 1:
        tl.store(last + (chain * N + state) * channels + channel[None, :], h, mask=tile)


@triton.jit
def _retreat(g, before, after, decay, size, slope, u, b, c, dy, z, skips, rate, inverse, d_rate,
             HAS_Z: tl.constexpr, ZOH: tl.constexpr):  # fmt: skip
    """Take the gradient `g` of the state after a token back to the state before it.

    Returns that gradient, the sum for A, and the token's gradients of u, delta, z, B, C and of y before its gate.
    """
    dz = dy
    if HAS_Z:
        gate = _sigmoid(z)
        dz = dy * (tl.sum(after * c, 0) + skips * u) * gate * (1.0 + z * (1.0 - gate))
        dy = dy * z * gate
    dy_, u_, size_ = dy[None, :], u[None, :], size[None, :]
    g = g + c * dy_
    dc = tl.sum(after * dy_, 1)[:, None]
    earlier = g * decay
    by_exponent = earlier * before
    d_size = tl.sum(by_exponent * rate, 0) * _LN2
    if ZOH:
        exponent = size_ * rate
        held = _held(exponent, decay, size_, inverse)
        taken = g * held
        du = tl.sum(taken * b, 0)
        db = tl.sum(taken * u_, 1)[:, None]
        d_size += u * tl.sum(earlier * b, 0)
        d_rate += by_exponent * size_ + g * (b * u_) * _held_by_rate(exponent, decay, size_, inverse, held)
    else:
        taken = tl.sum(g * b, 0)
        du = size * taken
        db = tl.sum(g * (size_ * u_), 1)[:, None]
        d_size += u * taken
        d_rate += by_exponent * size_
    return earlier, d_rate, du + skips * dy, d_size * slope, dz, db, dc, dy


@_kernel
def scan_backward(
    u, delta, a, b, c, skip, z, bias, starts, dy, d_last, carried, scratch,
    d_u, d_delta, d_z, d_b, d_c, d_a, d_skip, d_bias, d_first,
    tokens, channels, batch, blocks, chunks, span, every, backwards, suffix, zero,
    u_g, u_b, u_t, delta_g, delta_b, delta_t, a_g, b_g, b_b, b_t, c_g, c_b, c_t, skip_g, z_g, z_b, z_t, bias_g,
    dy_g, dy_b, dy_t, d_last_g, d_last_b,
    N: tl.constexpr, NP: tl.constexpr, BD: tl.constexpr, ALIGN: tl.constexpr, WIDE: tl.constexpr,
    SOFTPLUS: tl.constexpr, ZOH: tl.constexpr, HAS_SKIP: tl.constexpr, HAS_Z: tl.constexpr, HAS_BIAS: tl.constexpr,
    HAS_LAST: tl.constexpr, CARRIED: tl.constexpr,
):  # fmt: skip
    """Write the gradients: per token those of u, delta and z, in parts those of the rest.

    d_b and d_c are `[block, chain, token, N]`; d_a, d_skip and d_bias `[chain, chunk, channel, ...]`. The gradient of
    the state after a chunk comes from `carried [chain, chunk, kept]` if CARRIED, else from `d_last` or is zero.
    """
    block, chunk, seq, way = _program(blocks, chunks, batch)
    channel, live, state, live_n = _axes(block, channels, N, NP, BD)
    tile = live[None, :] & live_n
    chain = way * batch + seq
    pivot = _pivot(backwards, way, tokens, suffix)

    rate, inverse = _rates(a + way * a_g, channels, channel, live, state, live_n)
    skips = _per_channel(skip, skip_g, way, channel, live, HAS_SKIP)
    biases = _per_channel(bias, bias_g, way, channel, live, HAS_BIAS)
    u += way * u_g + seq * u_b + channel
    delta += way * delta_g + seq * delta_b + channel
    b += (way * b_g + seq * b_b) * ALIGN + state
    c += (way * c_g + seq * c_b) * ALIGN + state
    dy += way * dy_g + seq * dy_b + channel
    d_u += chain * tokens * channels + channel
    d_delta += chain * tokens * channels + channel
    if HAS_Z:
        z += way * z_g + seq * z_b + channel
        d_z += chain * tokens * channels + channel
    part = (block * (tl.num_programs(0) // (blocks * chunks)) + chain) * tokens * N
    d_b += part + state
    d_c += part + state
    kept_size = blocks * (N * BD)
    starts += chain * tl.cdiv(tokens, every) * kept_size + _kept(block, state, zero, N, BD)
    # this program's own memory, one tile per group of three steps
    scratch += tl.program_id(0).to(tl.int64) * (every // 3) * (NP * BD) + zero
    scratch += state * BD + tl.arange(0, BD)[None, :]

    g = tl.zeros([NP, BD], tl.float32)
    if CARRIED:
        at = carried + (chain * chunks + chunk) * kept_size + _kept(block, state, zero, N, BD)
        g = tl.load(at, mask=tile, other=0.0)
    elif HAS_LAST:
        g = _tile(d_last + way * d_last_g + seq * d_last_b, channels, channel, live, state, live_n)
    d_rate = tl.zeros([NP, BD], tl.float32)
    d_skips = tl.zeros([BD], tl.float32)
    d_biases = tl.zeros([BD], tl.float32)

    stop = tl.minimum(chunk * span + span, tokens)
    pieces = tl.cdiv(stop - chunk * span, every)
    for piece in range(pieces):
        start = chunk * span + (pieces - 1 - piece) * every
        groups = tl.cdiv(tl.minimum(every, stop - start), 3)
        # 1. forward again, to the state before each group
        h = tl.load(starts + (start // every).to(tl.int64) * kept_size, mask=tile, other=0.0)
        # other threads may still read what the piece before has left
        tl.debug_barrier()
        tl.store(scratch, h)
        for group in range(1, groups):
            step = start + 3 * group - 3
            u0, u1, u2 = _three_rows(u, u_t, step, tokens, pivot, live, WIDE)
            s0, s1, s2 = _three_rows(delta, delta_t, step, tokens, pivot, live, WIDE)
            b0, b1, b2 = _three_rows(b, b_t * ALIGN, step, tokens, pivot, live_n, WIDE)
            # all of its tokens exist: another group follows
            s0, _ = _step_size(s0, biases, step < tokens, SOFTPLUS)
            s1, _ = _step_size(s1, biases, step < tokens, SOFTPLUS)
            s2, _ = _step_size(s2, biases, step < tokens, SOFTPLUS)
            h, _ = _advance(h, s0, u0, b0, rate, inverse, ZOH)
            h, _ = _advance(h, s1, u1, b1, rate, inverse, ZOH)
            h, _ = _advance(h, s2, u2, b2, rate, inverse, ZOH)
            tl.store(scratch + group * (NP * BD), h)
        tl.debug_barrier()
        # 2. each group once more, its states now in registers, and back
        for left in range(groups):
            group = groups - 1 - left
            step = start + 3 * group
            h0 = tl.load(scratch + group * (NP * BD))
            u0, u1, u2 = _three_rows(u, u_t, step, tokens, pivot, live, WIDE)
            s0, s1, s2 = _three_rows(delta, delta_t, step, tokens, pivot, live, WIDE)
            dy0, dy1, dy2 = _three_rows(dy, dy_t, step, tokens, pivot, live, WIDE)
            z0, z1, z2 = u0, u1, u2
            if HAS_Z:
                z0, z1, z2 = _three_rows(z, z_t, step, tokens, pivot, live, WIDE)
            b0, b1, b2 = _three_rows(b, b_t * ALIGN, step, tokens, pivot, live_n, WIDE)
            s0, k0 = _step_size(s0, biases, step < tokens, SOFTPLUS)
            s1, k1 = _step_size(s1, biases, step + 1 < tokens, SOFTPLUS)
            s2, k2 = _step_size(s2, biases, step + 2 < tokens, SOFTPLUS)
            h1, a0 = _advance(h0, s0, u0, b0, rate, inverse, ZOH)
            h2, a1 = _advance(h1, s1, u1, b1, rate, inverse, ZOH)
            h3, a2 = _advance(h2, s2, u2, b2, rate, inverse, ZOH)
            c0, c1, c2 = _three_rows(c, c_t * ALIGN, step, tokens, pivot, live_n, WIDE)
            g, d_rate, du2, ds2, dz2, db2, dc2, dy2 = _retreat(
                g, h2, h3, a2, s2, k2, u2, b2, c2, dy2, z2, skips, rate, inverse, d_rate, HAS_Z, ZOH
            )
            g, d_rate, du1, ds1, dz1, db1, dc1, dy1 = _retreat(
                g, h1, h2, a1, s1, k1, u1, b1, c1, dy1, z1, skips, rate, inverse, d_rate, HAS_Z, ZOH
            )
            g, d_rate, du0, ds0, dz0, db0, dc0, dy0 = _retreat(
                g, h0, h1, a0, s0, k0, u0, b0, c0, dy0, z0, skips, rate, inverse, d_rate, HAS_Z, ZOH
            )
            d_skips += dy0 * u0 + dy1 * u1 + dy2 * u2
            d_biases += ds0 + ds1 + ds2
            _put_three_rows(d_u, channels, step, tokens, pivot, live, du0, du1, du2, WIDE)
            _put_three_rows(d_delta, channels, step, tokens, pivot, live, ds0, ds1, ds2, WIDE)
            _put_three_rows(d_b, N, step, tokens, pivot, live_n, db0, db1, db2, WIDE)
            _put_three_rows(d_c, N, step, tokens, pivot, live_n, dc0, dc1, dc2, WIDE)
            if HAS_Z:
                _put_three_rows(d_z, channels, step, tokens, pivot, live, dz0, dz1, dz2, WIDE)

    part = chain * chunks + chunk
    tl.store(d_a + (part * N + state) * channels + channel[None, :], d_rate, mask=tile)
    part = part * channels + channel
    if HAS_SKIP:
        tl.store(d_skip + part, d_skips, mask=live)
    if HAS_BIAS:
        tl.store(d_bias + part, d_biases, mask=live)
    if chunk == 0:
        tl.store(d_first + (chain * N + state) * channels + channel[None, :], g, mask=tile)


@_kernel
def chunk_states(
    u, delta, a, b, bias, local, total,
    tokens, channels, batch, blocks, chunks, span, backwards, suffix, zero,
    u_g, u_b, u_t, delta_g, delta_b, delta_t, a_g, b_g, b_b, b_t, bias_g,
    N: tl.constexpr, NP: tl.constexpr, BD: tl.constexpr, ALIGN: tl.constexpr, WIDE: tl.constexpr,
    SOFTPLUS: tl.constexpr, ZOH: tl.constexpr, HAS_BIAS: tl.constexpr,
):  # fmt: skip
    """Write the state after each chunk had it started from zero, and the sum of its step sizes.

    `local [chain, chunk, kept]`, `total [chain, chunk, channel]`.
    """
    block, chunk, seq, way = _program(blocks, chunks, batch)
    channel, live, state, live_n = _axes(block, channels, N, NP, BD)
    chain = way * batch + seq
    pivot = _pivot(backwards, way, tokens, suffix)
    rate, inverse = _rates(a + way * a_g, channels, channel, live, state, live_n)
    biases = _per_channel(bias, bias_g, way, channel, live, HAS_BIAS)
    u += way * u_g + seq * u_b + channel
    delta += way * delta_g + seq * delta_b + channel
    b += (way * b_g + seq * b_b) * ALIGN + state

    h = tl.zeros([NP, BD], tl.float32)
    sizes = tl.zeros([BD], tl.float32)
    for step in range(chunk * span, tl.minimum(chunk * span + span, tokens), 4):
        u0, u1, u2, u3 = _four_rows(u, u_t, step, tokens, pivot, live, WIDE)
        s0, s1, s2, s3 = _four_rows(delta, delta_t, step, tokens, pivot, live, WIDE)
        b0, b1, b2, b3 = _four_rows(b, b_t * ALIGN, step, tokens, pivot, live_n, WIDE)
        s0, _ = _step_size(s0, biases, step < tokens, SOFTPLUS)
        s1, _ = _step_size(s1, biases, step + 1 < tokens, SOFTPLUS)
        s2, _ = _step_size(s2, biases, step + 2 < tokens, SOFTPLUS)
        s3, _ = _step_size(s3, biases, step + 3 < tokens, SOFTPLUS)
        h, _ = _advance(h, s0, u0, b0, rate, inverse, ZOH)
        h, _ = _advance(h, s1, u1, b1, rate, inverse, ZOH)
        h, _ = _advance(h, s2, u2, b2, rate, inverse, ZOH)
        h, _ = _advance(h, s3, u3, b3, rate, inverse, ZOH)
        sizes += (s0 + s1) + (s2 + s3)

    row = chain * chunks + chunk
    at = local + row * (blocks * (N * BD)) + _kept(block, state, zero, N, BD)
    tl.store(at, h, mask=live[None, :] & live_n)
    tl.store(total + row * channels + channel, sizes, mask=live)


@triton.jit
def _give_back(g, size, c, dy, z, rate, HAS_Z: tl.constexpr):
    """Return the gradient of the state before a token, given that of the state after it."""
    if HAS_Z:
        dy = dy * z * _sigmoid(z)
    return (g + c * dy[None, :]) * tl.exp2(size[None, :] * rate)


@_kernel
def chunk_gradients(
    delta, a, c, z, bias, dy, local, total,
    tokens, channels, batch, blocks, chunks, span, backwards, suffix, zero,
    delta_g, delta_b, delta_t, a_g, c_g, c_b, c_t, z_g, z_b, z_t, bias_g, dy_g, dy_b, dy_t,
    N: tl.constexpr, NP: tl.constexpr, BD: tl.constexpr, ALIGN: tl.constexpr, WIDE: tl.constexpr,
    SOFTPLUS: tl.constexpr, HAS_Z: tl.constexpr, HAS_BIAS: tl.constexpr,
):  # fmt: skip
    """Write what each chunk's outputs give to the gradient of the state before it, and the sum of its step sizes.

    `local [chain, chunk, kept]`, `total [chain, chunk, channel]`.
    """
    block, chunk, seq, way = _program(blocks, chunks, batch)
    channel, live, state, live_n = _axes(block, channels, N, NP, BD)
    chain = way * batch + seq
    pivot = _pivot(backwards, way, tokens, suffix)
    rate, _inverse = _rates(a + way * a_g, channels, channel, live, state, live_n)
    biases = _per_channel(bias, bias_g, way, channel, live, HAS_BIAS)
    delta += way * delta_g + seq * delta_b + channel
    c += (way * c_g + seq * c_b) * ALIGN + state
    dy += way * dy_g + seq * dy_b + channel
    if HAS_Z:
        z += way * z_g + seq * z_b + channel

    g = tl.zeros([NP, BD], tl.float32)
    sizes = tl.zeros([BD], tl.float32)
    groups = tl.cdiv(tl.minimum(span, tokens - chunk * span), 4)
    for left in range(groups):
        step = chunk * span + (groups - 1 - left) * 4
        s0, s1, s2, s3 = _four_rows(delta, delta_t, step, tokens, pivot, live, WIDE)
        dy0, dy1, dy2, dy3 = _four_rows(dy, dy_t, step, tokens, pivot, live, WIDE)
        z0, z1, z2, z3 = dy0, dy1, dy2, dy3
        if HAS_Z:
            z0, z1, z2, z3 = _four_rows(z, z_t, step, tokens, pivot, live, WIDE)
        c0, c1, c2, c3 = _four_rows(c, c_t * ALIGN, step, tokens, pivot, live_n, WIDE)
        s0, _ = _step_size(s0, biases, step < tokens, SOFTPLUS)
        s1, _ = _step_size(s1, biases, step + 1 < tokens, SOFTPLUS)
        s2, _ = _step_size(s2, biases, step + 2 < tokens, SOFTPLUS)
        s3, _ = _step_size(s3, biases, step + 3 < tokens, SOFTPLUS)
        g = _give_back(g, s3, c3, dy3, z3, rate, HAS_Z)
        g = _give_back(g, s2, c2, dy2, z2, rate, HAS_Z)
        g = _give_back(g, s1, c1, dy1, z1, rate, HAS_Z)
        g = _give_back(g, s0, c0, dy0, z0, rate, HAS_Z)
        sizes += (s0 + s1) + (s2 + s3)

    row = chain * chunks + chunk
    at = local + row * (blocks * (N * BD)) + _kept(block, state, zero, N, BD)
    tl.store(at, g, mask=live[None, :] & live_n)
    tl.store(total + row * channels + channel, sizes, mask=live)


@_kernel
def carry_states(
    a, first, local, total, channels, batch, blocks, chunks, zero, a_g, first_g, first_b,
    N: tl.constexpr, NP: tl.constexpr, BD: tl.constexpr,
    HAS_FIRST: tl.constexpr, BACK: tl.constexpr,
):  # fmt: skip
    """Turn what each chunk does from zero into what it starts from, in place; BACK runs from the last chunk.

    `local [chain, chunk, kept]`, `total [chain, chunk, channel]`, `first [directions, batch, channel, N]`.
    """
    block, _, seq, way = _program(blocks, 1, batch)
    channel, live, state, live_n = _axes(block, channels, N, NP, BD)
    tile = live[None, :] & live_n
    chain = way * batch + seq
    rate, _inverse = _rates(a + way * a_g, channels, channel, live, state, live_n)
    kept_size = blocks * (N * BD)
    local += _kept(block, state, zero, N, BD)
    total += channel

    h = tl.zeros([NP, BD], tl.float32)
    if HAS_FIRST:
        h = _tile(first + way * first_g + seq * first_b, channels, channel, live, state, live_n)
    for i in range(chunks):
        row = chain * chunks + (chunks - 1 - i if BACK else i)
        own = tl.load(local + row * kept_size, mask=tile, other=0.0)
        size = tl.load(total + row * channels, mask=live, other=0.0)
        tl.store(local + row * kept_size, h, mask=tile)
        h = tl.exp2(size[None, :] * rate) * h + own
