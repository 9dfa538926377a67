"""Triton kernels of TTT-Linear: one launch each way, one program per chain (direction x batch x head).

A program walks over tiles of `ROWS` rows that hold `STEPS` whole mini-batches of `K` tokens; rows left over, and those
behind the last token, are padding. `README.md` beside this file derives the formulas and the tile; its names are used
here. Tiles of tokens are `[ROWS, D]`, states `[D, D]` and `[D]`, both without the mean of each row.
"""

# what a kernel takes and returns has no type in Python
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import triton
import triton.language as tl

__all__ = ["backward_kernel", "forward_kernel"]


@triton.jit
def _chain(batch, head, DIRECTIONS: tl.constexpr, REVERSE: tl.constexpr):
    """Return direction, batch and head of this program, its number, and whether it reads backwards."""
    # the directions of one head run side by side: they read the same tokens
    program = tl.program_id(0)
    g = program % DIRECTIONS
    h = (program // DIRECTIONS) % head
    b = program // (DIRECTIONS * head)
    number = (g * batch + b) * head + h
    return g.to(tl.int64), b.to(tl.int64), h.to(tl.int64), number.to(tl.int64), (REVERSE >> g) & 1 == 1


@triton.jit
def _places(tile, token, suffix, backwards, K: tl.constexpr, STEPS: tl.constexpr, ROWS: tl.constexpr):
    """Return the token that each row of a tile holds, whether it holds one, and whether its mini-batch is whole."""
    row = tl.arange(0, ROWS)
    position = tile * (STEPS * K) + row
    inside = (row < STEPS * K) & (position < token)
    whole = position - row % K + K <= token
    body = token - suffix
    place = tl.where((position < body) & backwards, body - 1 - position, position)
    return place.to(tl.int64), inside, whole


@triton.jit
def _load_tokens(pointer, place, stride, inside, D: tl.constexpr):
    return tl.load(pointer + place[:, None] * stride + tl.arange(0, D)[None, :], mask=inside[:, None], other=0.0)


@triton.jit
def _store_tokens(pointer, value, place, stride, inside, D: tl.constexpr):
    columns = tl.arange(0, D)[None, :]
    tl.store(pointer + place[:, None] * stride + columns, value.to(pointer.dtype.element_ty), mask=inside[:, None])


@triton.jit
def _load_first_state(w0, b0, w0_row, w0_column, b0_column, D: tl.constexpr):
    i = tl.arange(0, D)
    w = tl.load(w0 + i[:, None] * w0_row + i[None, :] * w0_column).to(tl.float32)
    return w, tl.load(b0 + i * b0_column).to(tl.float32)


@triton.jit
def _means(w, b, D: tl.constexpr):
    return tl.sum(w, 1) / D, tl.sum(b, 0) / D


@triton.jit
def _centred(w, b, D: tl.constexpr):
    w_mean, b_mean = _means(w, b, D)
    return w - w_mean[:, None], b - b_mean


@triton.jit
def _load_state(pointer, D: tl.constexpr):
    i = tl.arange(0, D)
    return tl.load(pointer + i[:, None] * D + i[None, :]), tl.load(pointer + D * D + i)


@triton.jit
def _store_state(pointer, w, b, wanted, D: tl.constexpr):
    i = tl.arange(0, D)
    tl.store(pointer + i[:, None] * D + i[None, :], w, mask=(i[:, None] < D) & wanted)
    tl.store(pointer + D * D + i, b, mask=(i < D) & wanted)


@triton.jit
def _scores(x, y, PRECISION: tl.constexpr):
    """Return `[x, 1] [y, 1]^T`."""
    return tl.dot(x, tl.trans(y), input_precision=PRECISION) + 1.0


@triton.jit
def _earlier(key, query, K: tl.constexpr):
    """Return whether a key is in an earlier mini-batch than a query, given their rows in the tile."""
    return key < query - query % K


@triton.jit
def _own(key, query, K: tl.constexpr):
    """Return whether a key is in the mini-batch of a query and not behind it, given their rows in the tile."""
    return (key <= query) & (key >= query - query % K)


@triton.jit
def _seen(scores, key, query, tau, last, K: tl.constexpr):
    """Scale what queries see of the steps of keys: `tau` of the query in its mini-batch, `last` in earlier ones."""
    return tl.where(_own(key, query, K), scores * tau, tl.where(_earlier(key, query, K), scores * last, 0.0))


@triton.jit
def _link(k, key, query, scale, K: tl.constexpr, PRECISION: tl.constexpr):
    """Return what moves the z of a key (here `query`) per step h of a key of an earlier mini-batch of the tile."""
    return tl.where(_earlier(key, query, K), _scores(k, k, PRECISION) * scale, 0.0).to(k.dtype)


@triton.jit
def _load_norm(ln_weight, ln_bias):
    return tl.load(ln_weight).to(tl.float32), tl.load(ln_bias).to(tl.float32)


@triton.jit
def _moments(z, c, c_mean, square, inside, eps, D: tl.constexpr):
    """Return r, mean(a) and mean(a n) of every row, where a = square n + c.

    No sum needs another, so that they are one wait and not four.
    """
    r = tl.where(inside, tl.rsqrt(tl.sum(z * z, 1) / D + eps), 0.0)
    a_mean = r * (tl.sum(square * z, 1) / D) + c_mean
    along = r * (r * (tl.sum(square * (z * z), 1) / D) + tl.sum(c * z, 1) / D)
    return r, a_mean, along


@triton.jit
def _gradient(z, c, square, scale, r, a_mean, along):
    """Return `scale g`, g = r (a - mean(a) - n mean(a n)), in three multiply-adds per element."""
    of_z = square * (scale * r * r)[:, None] - (scale * r * r * along)[:, None]
    return z * of_z + (c * (scale * r)[:, None] - (scale * r * a_mean)[:, None])


@triton.jit
def _round(z_first, link, h, lr, c, c_mean, square, inside, eps, D: tl.constexpr, PRECISION: tl.constexpr):
    """Return h, z and the moments of z, given the steps h of earlier mini-batches."""
    z = tl.dot(link, h.to(link.dtype), acc=z_first, input_precision=PRECISION)
    r, a_mean, along = _moments(z, c, c_mean, square, inside, eps, D)
    return _gradient(z, c, square, lr, r, a_mean, along), z, r, a_mean, along


@triton.jit
def _learn(
    k, v, lr, w, b, ln_weight, ln_bias, last, inside, eps,
    K: tl.constexpr, STEPS: tl.constexpr, ROWS: tl.constexpr, D: tl.constexpr, PRECISION: tl.constexpr,
    UNROLL: tl.constexpr,
):  # fmt: skip
    """Return h = lr g of every key of a tile, each at the state of its mini-batch, and z, c and the moments behind it.

    Every round computes all mini-batches from the steps of the round before; the first is right at once, the next after
    one more round, and so on.
    """
    weight, bias = _load_norm(ln_weight, ln_bias)
    square = (weight * weight)[None, :]
    c = weight[None, :] * (bias[None, :] - (v.to(tl.float32) - k.to(tl.float32)))
    c_mean = tl.sum(c, 1) / D
    z_first = tl.dot(k, w.to(k.dtype), input_precision=PRECISION) + b[None, :]
    z = z_first
    r, a_mean, along = _moments(z, c, c_mean, square, inside, eps, D)
    h = _gradient(z, c, square, lr, r, a_mean, along)
    if STEPS > 1:
        row = tl.arange(0, ROWS)
        link = _link(k, row[None, :], row[:, None], -last, K, PRECISION)
        if UNROLL:
            for _ in tl.static_range(STEPS - 1):
                h, z, r, a_mean, along = _round(z_first, link, h, lr, c, c_mean, square, inside, eps, D, PRECISION)
        else:
            for _ in range(STEPS - 1):
                h, z, r, a_mean, along = _round(z_first, link, h, lr, c, c_mean, square, inside, eps, D, PRECISION)
    return h, z, c, r, a_mean, along


@triton.jit
def _move(w, b, k, h, last, last_rest, whole, PRECISION: tl.constexpr):
    """Return the state after a tile."""
    h = tl.where(whole, last, last_rest)[:, None] * h
    w = tl.dot(tl.trans(k), (-h).to(k.dtype), acc=w, input_precision=PRECISION)
    return w, b - tl.sum(h, 0)


@triton.jit
def _read(
    q, k, h, w, b, last, tau,
    K: tl.constexpr, ROWS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return what the queries of a tile read, before its normalisation."""
    row = tl.arange(0, ROWS)
    seen = _seen(_scores(q, k, PRECISION), row[None, :], row[:, None], -tau[:, None], -last, K)
    read = tl.dot(q, w.to(q.dtype), input_precision=PRECISION) + b[None, :]
    return tl.dot(seen.to(q.dtype), h.to(q.dtype), acc=read, input_precision=PRECISION)


@triton.jit(do_not_specialize=["batch", "head", "token", "suffix"])
def forward_kernel(
    q, k, v, lr, token_scale, w0, b0, ln_weight, ln_bias, out, w_last, b_last, states,
    q_direction, q_batch, q_head, q_token, k_direction, k_batch, k_head, k_token,
    v_direction, v_batch, v_head, v_token, lr_direction, lr_batch, lr_head, lr_token,
    scale_direction, scale_position, w0_direction, w0_batch, w0_head, w0_row, w0_column,
    b0_direction, b0_batch, b0_head, b0_column, weight_direction, weight_head, weight_column,
    bias_direction, bias_head, bias_column, batch, head, token, suffix, eps,
    DIRECTIONS: tl.constexpr, REVERSE: tl.constexpr, K: tl.constexpr, STEPS: tl.constexpr, ROWS: tl.constexpr,
    D: tl.constexpr, EVERY: tl.constexpr, PRECISION: tl.constexpr, UNROLL: tl.constexpr,
):  # fmt: skip
    """Write the output and the last state; with `EVERY`, also the state before each such tile but the first."""
    g, b, h, chain, backwards = _chain(batch, head, DIRECTIONS, REVERSE)
    q += g * q_direction + b * q_batch + h * q_head
    k += g * k_direction + b * k_batch + h * k_head
    v += g * v_direction + b * v_batch + h * v_head
    lr += g * lr_direction + b * lr_batch + h * lr_head
    out += ((g * batch + b) * token * head + h) * D
    tiles = tl.cdiv(token, STEPS * K)
    kept = tl.cdiv(tiles, EVERY) - 1 if EVERY else 0
    states += chain * kept * ((D + 1) * D)

    i, row = tl.arange(0, D), tl.arange(0, ROWS)
    ln_weight += g * weight_direction + h * weight_head + i * weight_column
    ln_bias += g * bias_direction + h * bias_head + i * bias_column
    token_scale += g * scale_direction
    tau = tl.load(token_scale + row % K * scale_position).to(tl.float32)
    last = tl.load(token_scale + (K - 1) * scale_position).to(tl.float32)
    last_rest = tl.load(token_scale + (token - 1) % K * scale_position).to(tl.float32)
    w0 += g * w0_direction + b * w0_batch + h * w0_head
    b0 += g * b0_direction + b * b0_batch + h * b0_head
    w, b_state = _load_first_state(w0, b0, w0_row, w0_column, b0_column, D)
    w_mean, b_mean = _means(w, b_state, D)
    w, b_state = _centred(w, b_state, D)

    for tile in range(tiles):
        if EVERY:
            wanted = (tile > 0) & (tile % EVERY == 0)
            _store_state(states + (tile // EVERY - 1) * ((D + 1) * D), w, b_state, wanted, D)
        place, inside, whole = _places(tile, token, suffix, backwards, K, STEPS, ROWS)
        keys = _load_tokens(k, place, k_token, inside, D)
        values = _load_tokens(v, place, v_token, inside, D)
        queries = _load_tokens(q, place, q_token, inside, D)
        rate = tl.load(lr + place * lr_token, mask=inside, other=0.0).to(tl.float32)
        step, _, _, _, _, _ = _learn(
            keys, values, rate, w, b_state, ln_weight, ln_bias, last, inside, eps, K, STEPS, ROWS, D, PRECISION, UNROLL
        )
        read = _read(queries, keys, step, w, b_state, last, tau, K, ROWS, PRECISION)
        w, b_state = _move(w, b_state, keys, step, last, last_rest, whole, PRECISION)
        r = tl.rsqrt(tl.sum(read * read, 1) / D + eps)
        weight, bias = _load_norm(ln_weight, ln_bias)
        answer = queries.to(tl.float32) + weight[None, :] * (read * r[:, None]) + bias[None, :]
        _store_tokens(out, answer, place, head * D, inside, D)

    tl.store(w_last + chain * D * D + i[:, None] * D + i[None, :], w + w_mean[:, None])
    tl.store(b_last + chain * D + i, b_state + b_mean)


@triton.jit
def _through_norm(x, n, r, D: tl.constexpr):
    """Return the derivative of normalisation applied to x; it is symmetric."""
    return r[:, None] * (x - (tl.sum(x, 1) / D)[:, None] - n * (tl.sum(x * n, 1) / D)[:, None])


@triton.jit
def _through_gradient(d_h, lr, g, z, r, along, square, square_mean, square_n, square_nn, D: tl.constexpr):
    """Return the gradient of z given that of h = lr g; as in `_moments`, no sum waits for another."""
    mean = lr * (tl.sum(d_h, 1) / D)
    on_n = lr * r * (tl.sum(d_h * z, 1) / D)
    on_g = lr * (tl.sum(d_h * g, 1) / D)
    on_square = r * (lr * (tl.sum(square * d_h, 1) / D) - mean * square_mean - on_n * square_n)
    on_square_n = r * (lr * r * (tl.sum(square * (d_h * z), 1) / D) - mean * square_n - on_n * square_nn)
    d_a = d_h * (lr * r * r)[:, None] - (z * (on_n * r * r * r)[:, None] + (mean * r * r)[:, None])
    rest = g * (on_n * r)[:, None] + (z * ((on_square_n + on_g) * r * r)[:, None] + (on_square * r)[:, None])
    return (square - along[:, None]) * d_a - rest


@triton.jit
def _unlearn(
    base, k, lr, g, z, r, along, ln_weight, last,
    K: tl.constexpr, STEPS: tl.constexpr, ROWS: tl.constexpr, D: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return the gradients of h and of z, given what reaches h otherwise than through later z of the tile.

    The rounds of `_learn` backwards: the last mini-batch is right at once, the one before it after one more round.
    """
    weight = tl.load(ln_weight).to(tl.float32)
    square = (weight * weight)[None, :]
    square_mean = tl.sum(weight * weight, 0) / D
    square_n = r * (tl.sum(square * z, 1) / D)
    square_nn = r * r * (tl.sum(square * (z * z), 1) / D)
    d_h = base
    d_z = _through_gradient(d_h, lr, g, z, r, along, square, square_mean, square_n, square_nn, D)
    if STEPS > 1:
        row = tl.arange(0, ROWS)
        link = _link(k, row[:, None], row[None, :], -last, K, PRECISION)
        for _ in range(STEPS - 1):
            d_h = tl.dot(link, d_z.to(k.dtype), acc=base, input_precision=PRECISION)
            d_z = _through_gradient(d_h, lr, g, z, r, along, square, square_mean, square_n, square_nn, D)
    return d_h, d_z


@triton.jit
def _replay(
    k, v, lr, w0, b0, states, scratch, ln_weight, ln_bias, k_token, v_token, lr_token,
    w0_row, w0_column, b0_column, last, last_rest, tile, token, suffix, backwards, eps,
    K: tl.constexpr, STEPS: tl.constexpr, ROWS: tl.constexpr, D: tl.constexpr, EVERY: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Write the states before the tiles from the kept one up to `tile`, which is the last one that needs it."""
    segment = tile // EVERY
    if segment == 0:
        w, b = _load_first_state(w0, b0, w0_row, w0_column, b0_column, D)
        w, b = _centred(w, b, D)
    else:
        w, b = _load_state(states + (segment - 1) * ((D + 1) * D), D)
    # other threads may still read the states of the segment behind
    tl.debug_barrier()
    _store_state(scratch, w, b, True, D)
    for j in range(tile % EVERY):
        place, inside, whole = _places(segment * EVERY + j, token, suffix, backwards, K, STEPS, ROWS)
        keys = _load_tokens(k, place, k_token, inside, D)
        values = _load_tokens(v, place, v_token, inside, D)
        rate = tl.load(lr + place * lr_token, mask=inside, other=0.0).to(tl.float32)
        h, _, _, _, _, _ = _learn(
            keys, values, rate, w, b, ln_weight, ln_bias, last, inside, eps, K, STEPS, ROWS, D, PRECISION, False
        )
        w, b = _move(w, b, keys, h, last, last_rest, whole, PRECISION)
        _store_state(scratch + (j + 1) * ((D + 1) * D), w, b, True, D)
    tl.debug_barrier()


@triton.jit(do_not_specialize=["batch", "head", "token", "suffix"])
def backward_kernel(
    q, k, v, lr, token_scale, w0, b0, ln_weight, ln_bias, states, scratch, d_out, d_w_last, d_b_last,
    d_q, d_k, d_v, d_lr, d_w0, d_b0, sums,
    q_direction, q_batch, q_head, q_token, k_direction, k_batch, k_head, k_token,
    v_direction, v_batch, v_head, v_token, lr_direction, lr_batch, lr_head, lr_token,
    scale_direction, scale_position, w0_direction, w0_batch, w0_head, w0_row, w0_column,
    b0_direction, b0_batch, b0_head, b0_column, weight_direction, weight_head, weight_column,
    bias_direction, bias_head, bias_column, out_direction, out_batch, out_head, out_token,
    batch, head, token, suffix, eps,
    DIRECTIONS: tl.constexpr, REVERSE: tl.constexpr, K: tl.constexpr, STEPS: tl.constexpr, ROWS: tl.constexpr,
    D: tl.constexpr, EVERY: tl.constexpr, LAST_STATE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write the gradients of q, k, v, lr and the first state, and `sums` from which the others are added up.

    `sums [chains, tiles, 4 D + 3 ROWS]`: gradients of the weight and bias of the normalisation, in the output, then in
    the loss; then by row the gradients of three scales: of the position of the row, of the last position of a
    mini-batch, and of the last position of a shorter mini-batch.
    """
    g, b, h, chain, backwards = _chain(batch, head, DIRECTIONS, REVERSE)
    q += g * q_direction + b * q_batch + h * q_head
    k += g * k_direction + b * k_batch + h * k_head
    v += g * v_direction + b * v_batch + h * v_head
    lr += g * lr_direction + b * lr_batch + h * lr_head
    d_out += g * out_direction + b * out_batch + h * out_head
    first = (g * batch + b) * token * head + h
    d_q += first * D
    d_k += first * D
    d_v += first * D
    d_lr += first
    tiles = tl.cdiv(token, STEPS * K)
    states += chain * (tl.cdiv(tiles, EVERY) - 1) * ((D + 1) * D)
    scratch += chain * EVERY * ((D + 1) * D)
    sums += chain * tiles * (4 * D + 3 * ROWS)

    i, row = tl.arange(0, D), tl.arange(0, ROWS)
    ln_weight += g * weight_direction + h * weight_head + i * weight_column
    ln_bias += g * bias_direction + h * bias_head + i * bias_column
    token_scale += g * scale_direction
    tau = tl.load(token_scale + row % K * scale_position).to(tl.float32)
    last = tl.load(token_scale + (K - 1) * scale_position).to(tl.float32)
    last_rest = tl.load(token_scale + (token - 1) % K * scale_position).to(tl.float32)
    w0 += g * w0_direction + b * w0_batch + h * w0_head
    b0 += g * b0_direction + b * b0_batch + h * b0_head
    if LAST_STATE:
        d_w = tl.load(d_w_last + chain * D * D + i[:, None] * D + i[None, :]).to(tl.float32)
        d_b = tl.load(d_b_last + chain * D + i).to(tl.float32)
    else:
        d_w, d_b = tl.zeros([D, D], tl.float32), tl.zeros([D], tl.float32)

    for done in range(tiles):
        tile = tiles - 1 - done
        if EVERY == 1:
            if tile == 0:
                w, b_state = _load_first_state(w0, b0, w0_row, w0_column, b0_column, D)
                w, b_state = _centred(w, b_state, D)
            else:
                w, b_state = _load_state(states + (tile - 1) * ((D + 1) * D), D)
        else:
            if (done == 0) | (tile % EVERY == EVERY - 1):
                _replay(
                    k, v, lr, w0, b0, states, scratch, ln_weight, ln_bias, k_token, v_token, lr_token,
                    w0_row, w0_column, b0_column, last, last_rest, tile, token, suffix, backwards, eps,
                    K, STEPS, ROWS, D, EVERY, PRECISION,
                )  # fmt: skip
            w, b_state = _load_state(scratch + tile % EVERY * ((D + 1) * D), D)
        place, inside, whole = _places(tile, token, suffix, backwards, K, STEPS, ROWS)
        keys = _load_tokens(k, place, k_token, inside, D)
        values = _load_tokens(v, place, v_token, inside, D)
        queries = _load_tokens(q, place, q_token, inside, D)
        rate = tl.load(lr + place * lr_token, mask=inside, other=0.0).to(tl.float32)

        # 1. the forward pass of the tile
        step, z, c, r, a_mean, along = _learn(
            keys, values, rate, w, b_state, ln_weight, ln_bias, last, inside, eps, K, STEPS, ROWS, D, PRECISION, False
        )
        weight, bias = _load_norm(ln_weight, ln_bias)
        gradient = _gradient(z, c, (weight * weight)[None, :], tl.full([ROWS], 1.0, tl.float32), r, a_mean, along)
        read = _read(queries, keys, step, w, b_state, last, tau, K, ROWS, PRECISION)

        # 2. through the normalisation of the output
        total = sums + tile * (4 * D + 3 * ROWS)
        r_read = tl.where(inside, tl.rsqrt(tl.sum(read * read, 1) / D + eps), 0.0)
        n_read = read * r_read[:, None]
        d_answer = _load_tokens(d_out, place, out_token, inside, D).to(tl.float32)
        tl.store(total + i, tl.sum(d_answer * n_read, 0))
        tl.store(total + D + i, tl.sum(d_answer, 0))
        d_read = _through_norm(weight[None, :] * d_answer, n_read, r_read, D).to(keys.dtype)

        # 3. to the steps h, from the queries and the last state that they moved
        down, across = row[:, None], row[None, :]
        seen = _seen(_scores(keys, queries, PRECISION), down, across, -tau[None, :], -last, K).to(keys.dtype)
        scale = tl.where(whole, last, last_rest)
        moved = tl.dot(keys, d_w.to(keys.dtype), input_precision=PRECISION) + d_b[None, :]
        d_move = -rate * tl.sum(moved * gradient, 1)
        base = tl.dot(seen, d_read, acc=-scale[:, None] * moved, input_precision=PRECISION)

        # 4. the chain, backwards
        d_step, d_z = _unlearn(base, keys, rate, gradient, z, r, along, ln_weight, last, K, STEPS, ROWS, D, PRECISION)
        tl.store(d_lr + place * head, tl.sum(d_step * gradient, 1).to(d_lr.dtype.element_ty), mask=inside)
        values = _load_tokens(v, place, v_token, inside, D)
        weight, bias = _load_norm(ln_weight, ln_bias)
        n = z * r[:, None]
        d_a = _through_norm(rate[:, None] * d_step, n, r, D)
        error = bias[None, :] - (values.to(tl.float32) - keys.to(tl.float32))
        tl.store(total + 2 * D + i, tl.sum(d_a * (2 * weight[None, :] * n + error), 0))
        d_error = weight[None, :] * d_a
        tl.store(total + 3 * D + i, tl.sum(d_error, 0))
        _store_tokens(d_v, -d_error, place, head * D, inside, D)
        d_b += tl.sum(d_z, 0) + tl.sum(d_read.to(tl.float32), 0)
        d_z = d_z.to(keys.dtype)

        # 5. to queries and keys, and through the scores to the scales
        taken = step.to(keys.dtype)
        w_t = tl.trans(w.to(keys.dtype))
        d_keys = tl.dot(d_z, w_t, acc=d_error, input_precision=PRECISION)
        d_keys -= scale[:, None] * tl.dot(taken, tl.trans(d_w.to(keys.dtype)), input_precision=PRECISION)
        d_w = tl.dot(tl.trans(queries), d_read, acc=d_w, input_precision=PRECISION)
        d_w = tl.dot(tl.trans(keys), d_z, acc=d_w, input_precision=PRECISION)

        felt = -tl.dot(d_read, tl.trans(taken), input_precision=PRECISION)
        own = tl.where(_own(across, down, K), felt, 0.0)
        through = tl.dot(own.to(keys.dtype), keys, input_precision=PRECISION)
        d_tau = tl.sum(own, 1) + tl.sum(through * queries.to(tl.float32), 1)
        d_answer = _load_tokens(d_out, place, out_token, inside, D).to(tl.float32)
        d_queries = d_answer + tau[:, None] * through
        d_queries = tl.dot(d_read, w_t, acc=d_queries, input_precision=PRECISION)
        d_last = tl.where(whole, d_move, 0.0)
        if STEPS > 1:
            earlier = tl.where(_earlier(across, down, K), felt, 0.0)
            through = tl.dot(earlier.to(keys.dtype), keys, input_precision=PRECISION)
            d_last += tl.sum(earlier, 1) + tl.sum(through * queries.to(tl.float32), 1)
            d_queries += last * through
        _store_tokens(d_q, d_queries, place, head * D, inside, D)
        felt = tl.dot(taken, tl.trans(d_read), input_precision=PRECISION)
        d_scores = _seen(felt, down, across, -tau[None, :], -last, K)
        d_keys = tl.dot(d_scores.to(keys.dtype), queries, acc=d_keys, input_precision=PRECISION)
        if STEPS > 1:
            felt = -tl.dot(d_z, tl.trans(taken), input_precision=PRECISION)
            earlier = tl.where(_earlier(across, down, K), felt, 0.0)
            through = tl.dot(earlier.to(keys.dtype), keys, input_precision=PRECISION)
            d_last += tl.sum(earlier, 1) + tl.sum(through * keys.to(tl.float32), 1)
            d_keys += last * through
            felt = -tl.dot(taken, tl.trans(d_z), input_precision=PRECISION)
            d_scores = tl.where(_earlier(down, across, K), felt * last, 0.0)
            d_keys = tl.dot(d_scores.to(keys.dtype), keys, acc=d_keys, input_precision=PRECISION)
        _store_tokens(d_k, d_keys, place, head * D, inside, D)
        tl.store(total + 4 * D + row, d_tau)
        tl.store(total + 4 * D + ROWS + row, d_last)
        tl.store(total + 4 * D + 2 * ROWS + row, tl.where(whole, 0.0, d_move))

    tl.store(d_w0 + chain * D * D + i[:, None] * D + i[None, :], d_w)
    tl.store(d_b0 + chain * D + i, d_b)
