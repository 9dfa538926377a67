"""Triton kernels of TTT-Linear: one launch each way, one program per chain (direction x batch x head).

A program walks over tiles of `ROWS` tokens that hold `STEPS` whole mini-batches of `K`; rows left over, and tokens behind
the end, are padding. `README.md` beside this file derives the formulas and explains the tile; its names are used here.
Shapes: tiles of tokens `[ROWS, D]`, states `[D, D]` and `[D]`, both without the mean of each row.
"""

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
    """Return the first state without the mean of each row, and those means."""
    i = tl.arange(0, D)
    w = tl.load(w0 + i[:, None] * w0_row + i[None, :] * w0_column).to(tl.float32)
    b = tl.load(b0 + i * b0_column).to(tl.float32)
    w_mean = tl.sum(w, 1) / D
    b_mean = tl.sum(b, 0) / D
    return w - w_mean[:, None], b - b_mean, w_mean, b_mean


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
def _scores(x, k, PRECISION: tl.constexpr):
    """Return `[x, 1] [k, 1]^T`."""
    return tl.dot(x, tl.trans(k), input_precision=PRECISION) + 1.0


@triton.jit
def _earlier(scores, scale, K: tl.constexpr, ROWS: tl.constexpr):
    """Keep what keys of earlier mini-batches of the tile say to each row, times `scale`."""
    row = tl.arange(0, ROWS)
    return tl.where(row[None, :] < (row - row % K)[:, None], scores * scale, 0.0)


@triton.jit
def _seen(scores, scale, tau, K: tl.constexpr, ROWS: tl.constexpr):
    """Weigh what each query sees of the keys: `scale` in earlier mini-batches, `tau` of the query in its own."""
    row = tl.arange(0, ROWS)
    own = tl.where(row[None, :] <= row[:, None], scores * tau[:, None], 0.0)
    return tl.where(row[None, :] < (row - row % K)[:, None], scores * scale, own)


@triton.jit
def _gradient(z, c, c_mean, square, inside, eps, D: tl.constexpr):
    """Return g, the scale r of the normalisation of z, and mean(a n); a = square n + c.

    The sums need one another nowhere, so that they are one wait and not four.
    """
    r = tl.where(inside, tl.rsqrt(tl.sum(z * z, 1) / D + eps), 0.0)
    a_mean = r * (tl.sum(square * z, 1) / D) + c_mean
    along = r * (r * (tl.sum(square * z * z, 1) / D) + tl.sum(c * z, 1) / D)
    n = z * r[:, None]
    return r[:, None] * (square * n + c - a_mean[:, None] - n * along[:, None]), r, along


@triton.jit
def _learn(
    k, v, lr, w, b, ln_weight, ln_bias, last, inside, eps,
    K: tl.constexpr, STEPS: tl.constexpr, ROWS: tl.constexpr, D: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return g, z, the scale r of z, and mean(a n) of every key of a tile, each at the state of its mini-batch.

    Every round computes all mini-batches from the gradients of the round before; the first is right at once, the next
    after one more round, and so on.
    """
    weight, bias = tl.load(ln_weight).to(tl.float32), tl.load(ln_bias).to(tl.float32)
    square = (weight * weight)[None, :]
    c = weight[None, :] * (bias[None, :] - (v.to(tl.float32) - k.to(tl.float32)))
    c_mean = tl.sum(c, 1) / D
    z_first = tl.dot(k, w.to(k.dtype), input_precision=PRECISION) + b[None, :]
    z = z_first
    g, r, along = _gradient(z, c, c_mean, square, inside, eps, D)
    if STEPS > 1:
        link = _earlier(_scores(k, k, PRECISION), -last, K, ROWS).to(k.dtype)
        for _ in range(STEPS - 1):
            z = tl.dot(link, (lr[:, None] * g).to(k.dtype), acc=z_first, input_precision=PRECISION)
            g, r, along = _gradient(z, c, c_mean, square, inside, eps, D)
    return g, z, r, along


@triton.jit
def _move(w, b, k, h, last, last_rest, whole, PRECISION: tl.constexpr):
    """Return the state after a tile; h = lr g."""
    h = tl.where(whole, last, last_rest)[:, None] * h
    w = tl.dot(tl.trans(k), (-h).to(k.dtype), acc=w, input_precision=PRECISION)
    return w, b - tl.sum(h, 0)


@triton.jit
def _read(
    q, k, h, w, b, last, tau,
    K: tl.constexpr, ROWS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return what the queries of a tile read, before its normalisation, and the scores."""
    scores = _scores(q, k, PRECISION)
    read = tl.dot(q, w.to(q.dtype), input_precision=PRECISION) + b[None, :]
    seen = _seen(scores, -last, -tau, K, ROWS).to(q.dtype)
    return tl.dot(seen, h.to(q.dtype), acc=read, input_precision=PRECISION), scores


@triton.jit(do_not_specialize=["batch", "token", "suffix"])
def forward_kernel(
    q, k, v, lr, token_scale, w0, b0, ln_weight, ln_bias, out, w_last, b_last, states,
    q_direction, q_batch, q_head, q_token, k_direction, k_batch, k_head, k_token,
    v_direction, v_batch, v_head, v_token, lr_direction, lr_batch, lr_head, lr_token,
    scale_direction, scale_position, w0_direction, w0_batch, w0_head, w0_row, w0_column,
    b0_direction, b0_batch, b0_head, b0_column, weight_direction, weight_head, weight_column,
    bias_direction, bias_head, bias_column, batch, head, token, suffix, eps,
    DIRECTIONS: tl.constexpr, REVERSE: tl.constexpr, K: tl.constexpr, STEPS: tl.constexpr, ROWS: tl.constexpr,
    D: tl.constexpr, EVERY: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write the output, the last state, and unless `EVERY` is 0 the state before every `EVERY`-th tile but the first."""
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
    w, b_state, w_mean, b_mean = _load_first_state(w0, b0, w0_row, w0_column, b0_column, D)

    for tile in range(tiles):
        if EVERY:
            wanted = (tile > 0) & (tile % EVERY == 0)
            _store_state(states + (tile // EVERY - 1) * ((D + 1) * D), w, b_state, wanted, D)
        place, inside, whole = _places(tile, token, suffix, backwards, K, STEPS, ROWS)
        keys = _load_tokens(k, place, k_token, inside, D)
        values = _load_tokens(v, place, v_token, inside, D)
        queries = _load_tokens(q, place, q_token, inside, D)
        rate = tl.load(lr + place * lr_token, mask=inside, other=0.0).to(tl.float32)
        gradient, _, _, _ = _learn(
            keys, values, rate, w, b_state, ln_weight, ln_bias, last, inside, eps, K, STEPS, ROWS, D, PRECISION
        )
        step = rate[:, None] * gradient
        read, _ = _read(queries, keys, step, w, b_state, last, tau, K, ROWS, PRECISION)
        w, b_state = _move(w, b_state, keys, step, last, last_rest, whole, PRECISION)
        r = tl.rsqrt(tl.sum(read * read, 1) / D + eps)
        weight, bias = tl.load(ln_weight).to(tl.float32), tl.load(ln_bias).to(tl.float32)
        answer = queries.to(tl.float32) + weight[None, :] * (read * r[:, None]) + bias[None, :]
        _store_tokens(out, answer, place, head * D, inside, D)

    tl.store(w_last + chain * D * D + i[:, None] * D + i[None, :], w + w_mean[:, None])
    tl.store(b_last + chain * D + i, b_state + b_mean)


@triton.jit
def _through_norm(x, n, r, D: tl.constexpr):
    """Return the derivative of normalisation applied to x; it is symmetric."""
    return r[:, None] * (x - (tl.sum(x, 1) / D)[:, None] - n * (tl.sum(x * n, 1) / D)[:, None])


@triton.jit
def _through_gradient(d_g, g, n, r, along, square, square_mean, square_n, square_nn, D: tl.constexpr):
    """Return the gradients of z and of a, given that of g; as in `_gradient`, no sum waits for another."""
    mean = tl.sum(d_g, 1) / D
    on_n = tl.sum(d_g * n, 1) / D
    on_g = tl.sum(d_g * g, 1) / D
    on_square = r * (tl.sum(square * d_g, 1) / D - mean * square_mean - on_n * square_n)
    on_square_n = r * (tl.sum(square * n * d_g, 1) / D - mean * square_n - on_n * square_nn)
    d_a = r[:, None] * (d_g - mean[:, None] - n * on_n[:, None])
    d_z = (square - along[:, None]) * d_a - on_n[:, None] * g - n * (on_square_n + on_g)[:, None] - on_square[:, None]
    return r[:, None] * d_z, d_a


@triton.jit
def _unlearn(
    base, k, g, z, r, along, lr, ln_weight, last,
    K: tl.constexpr, STEPS: tl.constexpr, ROWS: tl.constexpr, D: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return the gradients of h = lr g, of z and of a, given what reaches h otherwise than through later z of the tile.

    The rounds of `_learn` backwards: the last mini-batch is right at once, the one before it after one more round.
    """
    weight = tl.load(ln_weight).to(tl.float32)
    square = (weight * weight)[None, :]
    n = z * r[:, None]
    square_mean = tl.sum(weight * weight, 0) / D
    square_n = tl.sum(square * n, 1) / D
    square_nn = tl.sum(square * n * n, 1) / D
    d_h = base
    d_z, d_a = _through_gradient(lr[:, None] * d_h, g, n, r, along, square, square_mean, square_n, square_nn, D)
    if STEPS > 1:
        link = tl.trans(_earlier(_scores(k, k, PRECISION), -last, K, ROWS).to(k.dtype))
        for _ in range(STEPS - 1):
            d_h = tl.dot(link, d_z.to(k.dtype), acc=base, input_precision=PRECISION)
            d_z, d_a = _through_gradient(lr[:, None] * d_h, g, n, r, along, square, square_mean, square_n, square_nn, D)
    return d_h, d_z, d_a


@triton.jit(do_not_specialize=["batch", "token", "suffix"])
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
    """Write the gradients of q, k, v, lr and the first state; per tile, sums for those of what tiles share.

    `sums [chains, tiles, 2 D + 3 ROWS]`: gradients of the weight and bias of the normalisation, then by row those of the
    scale of the row's own position, of the last position, and of the last position of a shorter mini-batch.
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
    segments = tl.cdiv(tiles, EVERY)
    states += chain * (segments - 1) * ((D + 1) * D)
    scratch += chain * EVERY * ((D + 1) * D)
    sums += chain * tiles * (2 * D + 3 * ROWS)

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

    for done in range(segments):
        segment = segments - 1 - done
        if segment == 0:
            w, b_state, w_mean, b_mean = _load_first_state(w0, b0, w0_row, w0_column, b0_column, D)
        else:
            w, b_state = _load_state(states + (segment - 1) * ((D + 1) * D), D)
        start = segment * EVERY
        inner = tl.minimum(EVERY, tiles - start)
        if EVERY > 1:
            # the states before the tiles of this segment, once more
            tl.debug_barrier()
            _store_state(scratch, w, b_state, True, D)
            for j in range(inner - 1):
                place, inside, whole = _places(start + j, token, suffix, backwards, K, STEPS, ROWS)
                keys = _load_tokens(k, place, k_token, inside, D)
                values = _load_tokens(v, place, v_token, inside, D)
                rate = tl.load(lr + place * lr_token, mask=inside, other=0.0).to(tl.float32)
                gradient, _, _, _ = _learn(
                    keys, values, rate, w, b_state, ln_weight, ln_bias, last, inside, eps, K, STEPS, ROWS, D, PRECISION
                )
                w, b_state = _move(w, b_state, keys, rate[:, None] * gradient, last, last_rest, whole, PRECISION)
                _store_state(scratch + (j + 1) * ((D + 1) * D), w, b_state, True, D)
            tl.debug_barrier()
        for j in range(inner):
            tile = start + inner - 1 - j
            if EVERY > 1:
                w, b_state = _load_state(scratch + (inner - 1 - j) * ((D + 1) * D), D)
            place, inside, whole = _places(tile, token, suffix, backwards, K, STEPS, ROWS)
            keys = _load_tokens(k, place, k_token, inside, D)
            values = _load_tokens(v, place, v_token, inside, D)
            queries = _load_tokens(q, place, q_token, inside, D)
            d_answer = _load_tokens(d_out, place, out_token, inside, D).to(tl.float32)
            rate = tl.load(lr + place * lr_token, mask=inside, other=0.0).to(tl.float32)

            # 1. the forward pass of the tile
            gradient, z, r, along = _learn(
                keys, values, rate, w, b_state, ln_weight, ln_bias, last, inside, eps, K, STEPS, ROWS, D, PRECISION
            )
            step = rate[:, None] * gradient
            read, scores = _read(queries, keys, step, w, b_state, last, tau, K, ROWS, PRECISION)

            # 2. through the normalisation of the output
            weight = tl.load(ln_weight).to(tl.float32)
            r_read = tl.where(inside, tl.rsqrt(tl.sum(read * read, 1) / D + eps), 0.0)
            n_read = read * r_read[:, None]
            d_weight = tl.sum(d_answer * n_read, 0)
            d_bias = tl.sum(d_answer, 0)
            d_read = _through_norm(weight[None, :] * d_answer, n_read, r_read, D).to(keys.dtype)

            # 3. to the scores, to the scales, and to the steps h = lr g, as far as queries and the last state felt them
            felt = -tl.dot(d_read, tl.trans(step.to(keys.dtype)), input_precision=PRECISION)
            d_scores = _seen(felt, last, tau, K, ROWS).to(keys.dtype)
            felt *= scores
            d_last = tl.sum(_earlier(felt, 1.0, K, ROWS), 1)
            d_tau = tl.sum(_seen(felt, 0.0, tl.full([ROWS], 1.0, tl.float32), K, ROWS), 1)
            seen = tl.trans(_seen(scores, last, tau, K, ROWS).to(keys.dtype))
            moved = tl.dot(keys, d_w.to(keys.dtype), input_precision=PRECISION) + d_b[None, :]
            d_move = -tl.sum(moved * step, 1)
            scale = tl.where(whole, last, last_rest)
            d_step = -tl.dot(seen, d_read, acc=scale[:, None] * moved, input_precision=PRECISION)

            # 4. the chain, backwards
            d_step, d_z, d_a = _unlearn(
                d_step, keys, gradient, z, r, along, rate, ln_weight, last, K, STEPS, ROWS, D, PRECISION
            )
            tl.store(d_lr + place * head, tl.sum(d_step * gradient, 1).to(d_lr.dtype.element_ty), mask=inside)
            weight, bias = tl.load(ln_weight).to(tl.float32), tl.load(ln_bias).to(tl.float32)
            error = bias[None, :] - (values.to(tl.float32) - keys.to(tl.float32))
            d_weight += tl.sum(d_a * (2 * weight[None, :] * (z * r[:, None]) + error), 0)
            d_error = weight[None, :] * d_a
            d_bias += tl.sum(d_error, 0)
            _store_tokens(d_v, -d_error, place, head * D, inside, D)
            d_z_sum = tl.sum(d_z, 0)
            d_z = d_z.to(keys.dtype)

            # 5. to queries and keys
            w_t = tl.trans(w.to(keys.dtype))
            d_queries = tl.dot(d_read, w_t, acc=d_answer, input_precision=PRECISION)
            d_queries = tl.dot(d_scores, keys, acc=d_queries, input_precision=PRECISION)
            _store_tokens(d_q, d_queries, place, head * D, inside, D)
            d_keys = tl.dot(d_z, w_t, acc=d_error, input_precision=PRECISION)
            d_keys = tl.dot(tl.trans(d_scores), queries, acc=d_keys, input_precision=PRECISION)
            h_state = (-scale[:, None] * step).to(keys.dtype)
            d_keys = tl.dot(h_state, tl.trans(d_w.to(keys.dtype)), acc=d_keys, input_precision=PRECISION)
            if STEPS > 1:
                felt = -tl.dot(d_z, tl.trans(step.to(keys.dtype)), input_precision=PRECISION)
                d_last += tl.sum(_earlier(felt * _scores(keys, keys, PRECISION), 1.0, K, ROWS), 1)
                d_link = _earlier(felt, last, K, ROWS).to(keys.dtype)
                d_keys = tl.dot(d_link, keys, acc=d_keys, input_precision=PRECISION)
                d_keys = tl.dot(tl.trans(d_link), keys, acc=d_keys, input_precision=PRECISION)
            _store_tokens(d_k, d_keys, place, head * D, inside, D)

            # 6. to the state before the tile
            d_w = tl.dot(tl.trans(queries), d_read, acc=d_w, input_precision=PRECISION)
            d_w = tl.dot(tl.trans(keys), d_z, acc=d_w, input_precision=PRECISION)
            d_b += tl.sum(d_read.to(tl.float32), 0) + d_z_sum

            total = sums + tile * (2 * D + 3 * ROWS)
            tl.store(total + i, d_weight)
            tl.store(total + D + i, d_bias)
            tl.store(total + 2 * D + row, d_tau)
            tl.store(total + 2 * D + ROWS + row, d_last + tl.where(whole, d_move, 0.0))
            tl.store(total + 2 * D + 2 * ROWS + row, tl.where(whole, 0.0, d_move))

    tl.store(d_w0 + chain * D * D + i[:, None] * D + i[None, :], d_w)
    tl.store(d_b0 + chain * D + i, d_b)
