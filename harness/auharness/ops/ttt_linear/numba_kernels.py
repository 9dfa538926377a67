"""The compiled kernels of TTT-Linear: each walks a range of chains, and the state of one chain stays in cache.

`README.md` derives the formulas, with the names used here; `numba_blocks.py` says what a block of working memory is.
"""

import math
from itertools import accumulate
from typing import Any, Final, NamedTuple

import numpy as np

from auharness.ops.numba_vectors import WIDTH, compiled, load, spread, store, total
from auharness.ops.ttt_linear.numba_blocks import (
    TALL,
    add_lower,
    add_lower_turned,
    address,
    copy,
    fetch,
    fill,
    first,
    padded,
    pour,
    product,
    turn,
)

__all__ = [
    "SEGMENT",
    "Arguments",
    "Blocks",
    "Gradients",
    "Results",
    "Rows",
    "Sizes",
    "Sums",
    "backward",
    "blocks",
    "forward",
]

# numbers of Python are float64 to the compiler
_ZERO, _ONE, _MINUS = (np.float32(x) for x in (0, 1, -1))

SEGMENT: Final = 16
"""Mini-batches between two states that the forward pass keeps; the backward pass computes those between them again."""

_LINE: Final = 16
"""Numbers of a cache line."""

_FAR: Final = 2**20
"""Numbers of a result from which on whoever reads it will not find it in a cache of the second level anyway."""

Rows = tuple[int, int, int, int, int]
"""Address of float32 numbers, and how many of them lie between directions, batch, heads and rows."""

_Place = tuple[int, int, int]  # direction, batch, head


class Sizes(NamedTuple):
    """What is scanned."""

    batch: int
    head: int
    token: int
    d: int
    mini_batch: int
    suffix: int  # tokens at the end that are read last in either direction
    reverse: int  # bit g says whether direction g is read backwards


class Arguments(NamedTuple):
    """Rows of the operator's arguments; a row of lr and token_scale is one number."""

    q: Rows
    k: Rows
    v: Rows
    lr: Rows
    token_scale: Rows
    w0: Rows
    b0: Rows
    ln_weight: Rows
    ln_bias: Rows


class Results(NamedTuple):
    """Rows of the operator's results, or of their gradients."""

    out: Rows
    w: Rows
    b: Rows


class Gradients(NamedTuple):
    """Rows of the gradients of the arguments that belong to one chain each."""

    q: Rows
    k: Rows
    v: Rows
    lr: Rows
    w0: Rows
    b0: Rows


class Sums(NamedTuple):
    """Addresses of what each chain adds to the gradients of the arguments that chains share."""

    token_scale: int  # [chain, columns]
    ln_weight: int  # [chain, width]
    ln_bias: int  # [chain, width]


class Blocks(NamedTuple):
    """Distances between rows, and the index of each block of working memory; n stands for mini_batch."""

    width: int  # d, padded
    row: int  # d + 1, padded
    columns: int  # n, padded
    x: int  # queries above keys [2 n, row], with a column of ones that carries the bias
    y: int  # x through the state, then the gradient of that [2 n, width]
    g: int  # gradient of the reconstruction loss by z [n, width]
    move: int  # g times its step size [n, width]
    target: int  # v - k [n, width]
    score: int  # queries times keys [n, columns]
    turned: int  # keys or g, transposed [row, columns]
    state: int  # W above b, the mean of each row removed [d + 1, width]
    means: int  # those means [d + 1]
    weight: int  # of the inner LayerNorm [width]
    bias: int
    scales: int  # token_scale [n]
    rates: int  # learning rates [n]
    scale: int  # what normalises each row [n]
    mean: int  # of each row, like the next [n]
    along: int  # mean(a n) [n]
    forward_end: int  # what follows is for the backward pass
    mix: int  # -score eta [n, columns]
    d_score: int
    d_x: int  # gradients of queries and keys [2 n, width]
    d_g: int  # gradient of g, then that of k - v [n, width]
    d_out: int
    state_turned: int  # W transposed [width, width]
    d_state: int
    d_state_turned: int
    d_weight: int
    d_bias: int
    d_scale: int
    d_rates: int
    felt: int  # what the gradient of the state says about each step size [n]
    z_scale: int  # what normalises z [n]
    z_along: int  # its mean(a n) [n]
    along_g: int  # mean of the gradient of g, times g [n]
    states: int  # before each mini-batch of a segment [SEGMENT, width + 1, width]
    z: int  # keys through them [SEGMENT, n, width]
    end: int


def blocks(sizes: Sizes) -> Blocks:
    """Return where the working memory for these sizes has its blocks."""
    d, mini_batch, segment = sizes.d, sizes.mini_batch, min(SEGMENT, -(-sizes.token // sizes.mini_batch))
    n, width, row, columns = mini_batch, padded(d), padded(d + 1), padded(mini_batch)
    # transposing reads whole squares, narrow products write whole tiles
    scores, square = (n + TALL) * columns, (width + 1) * width
    counts = [(2 * n + WIDTH) * row, 2 * n * width, (n + WIDTH) * width, n * width, n * width, scores, row * columns]
    counts += [square, row, width, width, *[columns] * 5]
    starts = list(accumulate(counts, initial=0))
    counts = [scores, scores, 2 * n * width, n * width, n * width, square, square, square]
    counts += [width, width, *[columns] * 6, segment * square, segment * n * width]
    return Blocks(width, row, columns, *starts, *accumulate(counts, initial=starts[-1]))


@compiled
def _row(rows: Rows, place: _Place, row: int) -> Any:
    """Return the numbers of one row of a chain."""
    return address(rows[0], place[0] * rows[1] + place[1] * rows[2] + place[2] * rows[3] + row * rows[4])


@compiled
def _place_of(chain: int, sizes: Sizes) -> _Place:
    """Return the direction, batch and head that the chain is, counted in this order."""
    return chain // (sizes.batch * sizes.head), chain // sizes.head % sizes.batch, chain % sizes.head


@compiled
def _token(position: int, sizes: Sizes, place: _Place) -> int:
    """Return which token is read at this position."""
    last = sizes.token - sizes.suffix - 1
    return last - position if position <= last and sizes.reverse >> place[0] & 1 else position


@compiled
def _prepare(m: Any, at: Blocks, sizes: Sizes, end: int) -> None:
    """Make the paddings zero, and the column of ones."""
    fill(m, 0, end, _ZERO)
    for i in range(2 * sizes.mini_batch):
        m[at.x + i * at.row + sizes.d] = _ONE


@compiled
def _read_shared(m: Any, at: Blocks, sizes: Sizes, place: _Place, given: Arguments) -> None:
    """Read the token scales and the LayerNorm of a chain."""
    for i in range(sizes.mini_batch):
        m[at.scales + i] = _row(given.token_scale, place, i)[0]
    copy(m, at.weight, _row(given.ln_weight, place, 0), 0, sizes.d)
    copy(m, at.bias, _row(given.ln_bias, place, 0), 0, sizes.d)


@compiled
def _kept(states: int, chain: int, segment: int, sizes: Sizes, at: Blocks) -> Any:
    """Return the state before a segment, [d + 1, width]; that of the first is not kept."""
    segments = -(-sizes.token // (sizes.mini_batch * SEGMENT))
    return address(states, (chain * (segments - 1) + segment - 1) * (sizes.d + 1) * at.width)


@compiled
def _read_rows(m: Any, start: int, at: Blocks, sizes: Sizes, place: _Place, w: Rows, b: Rows) -> None:
    """Read W and, below it, b."""
    for i in range(sizes.d):
        copy(m, start + i * at.width, _row(w, place, i), 0, sizes.d)
    copy(m, start + sizes.d * at.width, _row(b, place, 0), 0, sizes.d)


@compiled
def _write_rows(m: Any, start: int, at: Blocks, sizes: Sizes, place: _Place, w: Rows, b: Rows) -> None:
    for i in range(sizes.d):
        copy(_row(w, place, i), 0, m, start + i * at.width, sizes.d)
    copy(_row(b, place, 0), 0, m, start + sizes.d * at.width, sizes.d)


@compiled
def _read_state(m: Any, at: Blocks, state: int, sizes: Sizes, place: _Place, given: Arguments) -> None:
    """Read the first state and remove the mean of each row: normalisation never sees it."""
    _read_rows(m, state, at, sizes, place, given.w0, given.b0)
    for i in range(sizes.d + 1):
        start, numbers = state + i * at.width, spread(_ZERO)
        for j in range(start, start + at.width, WIDTH):
            numbers += load(m, j)
        mean = total(numbers) / np.float32(sizes.d)
        for j in range(0, at.width, WIDTH):
            store(m, start + j, first(load(m, start + j) - mean, sizes.d - j))
        m[at.means + i] = mean


@compiled
def _read_tokens(m: Any, at: Blocks, sizes: Sizes, place: _Place, given: Arguments, begin: int, count: int) -> None:
    """Read queries, keys, `v - k` and learning rates of one mini-batch."""
    for i in range(count):
        t = _token(begin + i, sizes, place)
        keys, target = at.x + (count + i) * at.row, at.target + i * at.width
        copy(m, at.x + i * at.row, _row(given.q, place, t), 0, sizes.d)
        copy(m, keys, _row(given.k, place, t), 0, sizes.d)
        copy(m, target, _row(given.v, place, t), 0, sizes.d)
        for j in range(0, at.width, WIDTH):
            store(m, target + j, first(load(m, target + j) - load(m, keys + j), sizes.d - j))
        m[at.rates + i] = _row(given.lr, place, t)[0]


@compiled
def _fetch(rows: Rows, place: _Place, sizes: Sizes, begin: int, count: int) -> None:
    """Ask for the rows of one mini-batch before they are read."""
    for i in range(begin, min(begin + count, sizes.token)):
        row = _row(rows, place, _token(i, sizes, place))
        for j in range(0, sizes.d, _LINE):
            fetch(row, j)


@compiled
def _write_far(to: Any, m: Any, index: int, sizes: Sizes) -> None:
    """Write one row of a result that has a row per token."""
    if sizes.batch * sizes.head * sizes.token * sizes.d < _FAR:
        copy(to, 0, m, index, sizes.d)
    else:
        pour(to, m, index, sizes.d)


@compiled
def _unit_scales(m: Any, at: Blocks, sizes: Sizes, eps: Any, z: int, count: int) -> None:
    """Write the factor that gives each row of `z`, whose mean is zero, the variance 1.

    This and all that follows goes over all rows before it takes the next step with any: a sum across a row takes long,
    and the processor then has the other rows to work on.
    """
    for i in range(count):
        squares = spread(_ZERO)
        for j in range(z + i * at.width, z + (i + 1) * at.width, WIDTH):
            squares += load(m, j) * load(m, j)
        m[at.scale + i] = total(squares) / np.float32(sizes.d)
    for i in range(at.scale, at.scale + count):
        m[i] = _ONE / math.sqrt(m[i] + eps)


@compiled
def _loss_gradients(m: Any, at: Blocks, sizes: Sizes, eps: Any, z: int, count: int, sign: Any) -> None:
    """Write `g`, coming from `z`, `sign` times its moves, and what normalises `z`, and `mean(a n)`."""
    share, last = _ONE / np.float32(sizes.d), m[at.scales + count - 1] * sign
    _unit_scales(m, at, sizes, eps, z, count)
    for i in range(count):
        scale, row, sum_a, sum_an = m[at.scale + i], i * at.width, spread(_ZERO), spread(_ZERO)
        for j in range(0, at.width, WIDTH):
            normal, weight = load(m, z + row + j) * scale, load(m, at.weight + j)
            a = (weight * normal + load(m, at.bias + j) - load(m, at.target + row + j)) * weight
            sum_a += a
            sum_an += a * normal
            store(m, at.g + row + j, a)
        m[at.mean + i], m[at.along + i] = total(sum_a) * share, total(sum_an) * share
    for i in range(count):
        scale, row, step = m[at.scale + i], i * at.width, last * m[at.rates + i]
        mean, along = m[at.mean + i], m[at.along + i] * scale
        for j in range(0, at.width, WIDTH):
            g = first((load(m, at.g + row + j) - mean - load(m, z + row + j) * along) * scale, sizes.d - j)
            store(m, at.g + row + j, g)
            store(m, at.move + row + j, g * step)


@compiled
def _scores(m: Any, at: Blocks, sizes: Sizes, count: int) -> None:
    """Write queries times keys, of use only where the key is not later than the query."""
    turn(m, at.turned, at.columns, at.x + count * at.row, at.row, count, at.row)
    for i in range(0, count, TALL):
        to, queries = at.score + i * at.columns, at.x + i * at.row
        product(
            m, to, at.columns, queries, at.row, 1, at.turned, at.columns, TALL, sizes.d + 1, padded(i + TALL), False
        )


@compiled
def _mix(m: Any, at: Blocks, to: int, count: int) -> None:
    """Write `-score eta`, zero where the key is later than the query."""
    for i in range(count):
        for j in range(0, i + 1, WIDTH):
            row, eta = i * at.columns + j, load(m, at.rates + j) * m[at.scales + i]
            store(m, to + row, first(load(m, at.score + row) * eta * _MINUS, i + 1 - j))


@compiled
def _answers(m: Any, at: Blocks, sizes: Sizes, eps: Any, count: int) -> None:
    """Write `q + LN(read)` over the targets."""
    _unit_scales(m, at, sizes, eps, at.y, count)
    for i in range(count):
        scale, row, query = m[at.scale + i], i * at.width, at.x + i * at.row
        for j in range(0, at.width, WIDTH):
            normal = load(m, at.y + row + j) * scale
            answer = load(m, at.weight + j) * normal + load(m, at.bias + j) + load(m, query + j)
            store(m, at.target + row + j, answer)


@compiled
def _forward_step(m: Any, at: Blocks, sizes: Sizes, eps: Any, count: int) -> None:
    """Move the state on by one mini-batch; leave the output in target."""
    width, keys, z = at.width, at.x + count * at.row, at.y + count * at.width
    product(m, at.y, width, at.x, at.row, 1, at.state, width, 2 * count, sizes.d + 1, width, False)
    _loss_gradients(m, at, sizes, eps, z, count, _MINUS)
    _scores(m, at, sizes, count)
    _mix(m, at, at.score, count)
    add_lower(m, at.y, width, at.score, at.columns, at.g, width, count, width)
    product(m, at.state, width, keys, 1, at.row, at.move, width, sizes.d + 1, count, width, True)
    _answers(m, at, sizes, eps, count)


@compiled
def forward(
    start: int,
    stop: int,
    sizes: Sizes,
    at: Blocks,
    eps: Any,
    memory: int,
    given: Arguments,
    results: Results,
    kept: int,
) -> None:
    """Scan the chains from `start` to `stop`.

    Args:
        start: first chain; chains are counted over directions, batch and heads.
        stop: chain behind the last.
        sizes: what is scanned.
        at: blocks of the working memory.
        eps: added to the variance, float32.
        memory: address of working memory of this call's own, `at.forward_end` numbers.
        given: arguments of the operator.
        results: where the results go.
        kept: address of the states that `backward` reads, [chain, segments - 1, d + 1, width], centred; 0 for none.
    """
    m, width, d = address(memory, 0), at.width, sizes.d
    _prepare(m, at, sizes, at.forward_end)
    for chain in range(start, stop):
        place = _place_of(chain, sizes)
        _read_shared(m, at, sizes, place, given)
        _read_state(m, at, at.state, sizes, place, given)
        for begin in range(0, sizes.token, sizes.mini_batch):
            count = min(sizes.mini_batch, sizes.token - begin)
            if kept and begin and begin % (sizes.mini_batch * SEGMENT) == 0:
                segment = begin // (sizes.mini_batch * SEGMENT)
                copy(_kept(kept, chain, segment, sizes, at), 0, m, at.state, (d + 1) * width)
            _read_tokens(m, at, sizes, place, given, begin, count)
            for rows in (given.q, given.k, given.v):
                _fetch(rows, place, sizes, begin + sizes.mini_batch, sizes.mini_batch)
            _forward_step(m, at, sizes, eps, count)
            for i in range(count):
                t = _token(begin + i, sizes, place)
                _write_far(_row(results.out, place, t), m, at.target + i * width, sizes)
        for i in range(d + 1):
            for j in range(0, width, WIDTH):
                row = at.state + i * width + j
                store(m, row, first(load(m, row) + m[at.means + i], d - j))
        _write_rows(m, at.state, at, sizes, place, results.w, results.b)


@compiled
def _through_read(m: Any, at: Blocks, sizes: Sizes, eps: Any, count: int) -> None:
    """Turn what the queries read into its gradient: `out = q + LN(read)`."""
    share = _ONE / np.float32(sizes.d)
    _unit_scales(m, at, sizes, eps, at.y, count)
    for i in range(count):
        scale, row, sum_a, sum_an = m[at.scale + i], i * at.width, spread(_ZERO), spread(_ZERO)
        for j in range(0, at.width, WIDTH):
            normal, given = load(m, at.y + row + j) * scale, load(m, at.d_out + row + j)
            a = load(m, at.weight + j) * given
            sum_a += a
            sum_an += a * normal
            store(m, at.d_weight + j, load(m, at.d_weight + j) + given * normal)
            store(m, at.d_bias + j, load(m, at.d_bias + j) + given)
        m[at.mean + i], m[at.along + i] = total(sum_a) * share, total(sum_an) * share
    for i in range(count):
        scale, row = m[at.scale + i], i * at.width
        mean, along = m[at.mean + i], m[at.along + i] * scale
        for j in range(0, at.width, WIDTH):
            a = load(m, at.weight + j) * load(m, at.d_out + row + j) - mean - load(m, at.y + row + j) * along
            store(m, at.y + row + j, first(a * scale, sizes.d - j))


@compiled
def _through_move(m: Any, at: Blocks, sizes: Sizes, count: int) -> None:
    """Write the gradient of `g` that comes from the state it moved; give the moves their sign in that."""
    keys = at.x + count * at.row
    product(m, at.d_g, at.width, keys, at.row, 1, at.d_state, at.width, count, sizes.d + 1, at.width, False)
    for i in range(count):
        step, felt = -m[at.scales + count - 1] * m[at.rates + i], spread(_ZERO)
        for j in range(i * at.width, (i + 1) * at.width, WIDTH):
            x, g = load(m, at.d_g + j), load(m, at.g + j)
            felt += x * g
            store(m, at.d_g + j, x * step)
            store(m, at.move + j, g * step)
        m[at.felt + i] = total(felt)


@compiled
def _through_scores(m: Any, at: Blocks, sizes: Sizes, count: int) -> None:
    """Write the gradients of the scores and the learning rates, add those of the token scales."""
    turn(m, at.turned, at.columns, at.g, at.width, count, at.width)
    for i in range(0, count, TALL):
        to, reads = at.d_score + i * at.columns, at.y + i * at.width
        product(m, to, at.columns, reads, at.width, 1, at.turned, at.columns, TALL, sizes.d, padded(i + TALL), False)
    for j in range(0, count, WIDTH):
        store(m, at.d_rates + j, spread(_ZERO))
    for i in range(count):
        scale, sums = m[at.scales + i], spread(_ZERO)
        for j in range(0, i + 1, WIDTH):
            row, rates = i * at.columns + j, load(m, at.rates + j)
            # behind the diagonal and behind the last token lies what was there before
            d_mix = first(load(m, at.d_score + row), i + 1 - j) * _MINUS
            d_eta = d_mix * first(load(m, at.score + row), i + 1 - j)
            if i == count - 1:
                d_eta = d_eta - first(load(m, at.felt + j), count - j)
            sums += d_eta * first(rates, i + 1 - j)
            store(m, at.d_rates + j, load(m, at.d_rates + j) + d_eta * scale)
            store(m, at.d_score + row, d_mix * first(rates * scale, i + 1 - j))
        m[at.d_scale + i] += total(sums)


@compiled
def _through_loss(m: Any, at: Blocks, sizes: Sizes, z: int, count: int) -> None:
    """Turn `z` into its gradient, and that of `g` into that of `k - v`; uses the block d_x."""
    share = _ONE / np.float32(sizes.d)
    for i in range(count):
        row, sum_x, sum_xn, sum_xg = i * at.width, spread(_ZERO), spread(_ZERO), spread(_ZERO)
        for j in range(row, row + at.width, WIDTH):
            x = load(m, at.d_g + j)
            sum_x += x
            sum_xn += x * load(m, z + j)
            sum_xg += x * load(m, at.g + j)
        m[at.mean + i], m[at.along_g + i] = total(sum_x) * share, total(sum_xg) * share
        m[at.along + i] = total(sum_xn) * share * m[at.z_scale + i]
    for i in range(count):
        scale, row, sum_x, sum_xn = m[at.z_scale + i], i * at.width, spread(_ZERO), spread(_ZERO)
        mean, along = m[at.mean + i], m[at.along + i]
        for j in range(0, at.width, WIDTH):
            normal, weight = load(m, z + row + j) * scale, load(m, at.weight + j)
            a = first((load(m, at.d_g + row + j) - mean - normal * along) * scale, sizes.d - j)
            error = a * weight
            x = error * weight
            sum_x += x
            sum_xn += x * normal
            seen = weight * normal + weight * normal + load(m, at.bias + j) - load(m, at.target + row + j)
            store(m, at.d_weight + j, load(m, at.d_weight + j) + a * seen)
            store(m, at.d_bias + j, load(m, at.d_bias + j) + error)
            store(m, at.d_g + row + j, error)
            store(m, at.d_x + row + j, x - a * m[at.z_along + i] - load(m, at.g + row + j) * along)
        m[at.mean + i] = total(sum_x) * share
        m[at.along_g + i] = (m[at.along_g + i] + total(sum_xn) * share) * scale
    for i in range(count):
        scale, row, mean, along = m[at.z_scale + i], i * at.width, m[at.mean + i], m[at.along_g + i]
        for j in range(0, at.width, WIDTH):
            x = load(m, at.d_x + row + j) - mean - load(m, z + row + j) * along
            store(m, z + row + j, first(x * scale, sizes.d - j))


@compiled
def _to_tokens(m: Any, at: Blocks, sizes: Sizes, state: int, count: int) -> None:
    """Write the gradients of queries, keys and, over that of `k - v`, values; move the gradient of the state back."""
    width, keys, d_keys = at.width, at.x + count * at.row, at.d_x + count * at.width
    turn(m, at.state_turned, width, state, width, width, width)
    product(m, at.d_x, width, at.y, width, 1, at.state_turned, width, 2 * count, sizes.d, width, False)
    add_lower(m, at.d_x, width, at.d_score, at.columns, keys, at.row, count, width)
    add_lower_turned(m, d_keys, width, at.d_score, at.columns, at.x, at.row, count, width)
    turn(m, at.d_state_turned, width, at.d_state, width, width, width)
    product(m, d_keys, width, at.move, width, 1, at.d_state_turned, width, count, sizes.d, width, True)
    product(m, at.d_state, width, at.x, 1, at.row, at.y, width, sizes.d + 1, 2 * count, width, True)
    for j in range(0, count * width, WIDTH):
        error = load(m, at.d_g + j)
        store(m, at.d_x + j, load(m, at.d_x + j) + load(m, at.d_out + j))
        store(m, d_keys + j, load(m, d_keys + j) + error)
        store(m, at.d_g + j, error * _MINUS)


@compiled
def _again(m: Any, at: Blocks, sizes: Sizes, eps: Any, place: _Place, given: Arguments, begin: int, steps: int) -> None:
    """Compute the states of a segment from its first, as the forward pass did, and the z of each mini-batch."""
    width, square, n = at.width, (at.width + 1) * at.width, sizes.mini_batch
    for step in range(steps):
        first_token = begin + step * n
        count, state, z = min(n, sizes.token - first_token), at.states + step * square, at.z + step * n * width
        keys = at.x + count * at.row
        _read_tokens(m, at, sizes, place, given, first_token, count)
        product(m, z, width, keys, at.row, 1, state, width, count, sizes.d + 1, width, False)
        if step + 1 < steps:
            _loss_gradients(m, at, sizes, eps, z, count, _MINUS)
            copy(m, state + square, m, state, (sizes.d + 1) * width)
            product(m, state + square, width, keys, 1, at.row, at.move, width, sizes.d + 1, count, width, True)


@compiled
def _backward_step(m: Any, at: Blocks, sizes: Sizes, eps: Any, state: int, z: int, count: int) -> None:
    """Move the gradient of the state back by one mini-batch, and leave the gradients of its tokens."""
    width = at.width
    _loss_gradients(m, at, sizes, eps, z, count, _ONE)
    copy(m, at.z_scale, m, at.scale, count)
    copy(m, at.z_along, m, at.along, count)
    _scores(m, at, sizes, count)
    _mix(m, at, at.mix, count)
    product(m, at.y, width, at.x, at.row, 1, state, width, count, sizes.d + 1, width, False)
    add_lower(m, at.y, width, at.mix, at.columns, at.g, width, count, width)
    _through_read(m, at, sizes, eps, count)
    _through_move(m, at, sizes, count)
    _through_scores(m, at, sizes, count)
    add_lower_turned(m, at.d_g, width, at.mix, at.columns, at.y, width, count, width)
    copy(m, at.y + count * width, m, z, count * width)
    _through_loss(m, at, sizes, at.y + count * width, count)
    _to_tokens(m, at, sizes, state, count)


@compiled
def backward(
    start: int,
    stop: int,
    sizes: Sizes,
    at: Blocks,
    eps: Any,
    memory: int,
    given: Arguments,
    kept: int,
    felt: Results,
    d: Gradients,
    sums: Sums,
) -> None:
    """Find the gradients of the chains from `start` to `stop`.

    Args:
        start: first chain; chains are counted over directions, batch and heads.
        stop: chain behind the last.
        sizes: what was scanned.
        at: blocks of the working memory.
        eps: added to the variance, float32.
        memory: address of working memory of this call's own, `at.end` numbers.
        given: arguments of the operator.
        kept: address of the states that `forward` kept.
        felt: gradients of the results.
        d: where the gradients of the arguments go.
        sums: where their parts go that are still to be added up.
    """
    m, width = address(memory, 0), at.width
    square, n, whole = (width + 1) * width, sizes.mini_batch, sizes.mini_batch * SEGMENT
    _prepare(m, at, sizes, at.states + square)  # the other states are copies
    for chain in range(start, stop):
        place = _place_of(chain, sizes)
        _read_shared(m, at, sizes, place, given)
        _read_rows(m, at.d_state, at, sizes, place, felt.w, felt.b)
        for start_of_sum in (at.d_weight, at.d_bias):
            fill(m, start_of_sum, width, _ZERO)
        fill(m, at.d_scale, at.columns, _ZERO)
        for segment in range((sizes.token - 1) // whole, -1, -1):
            begin = segment * whole
            steps = min(SEGMENT, -(-(sizes.token - begin) // n))
            if segment:
                copy(m, at.states, _kept(kept, chain, segment, sizes, at), 0, (sizes.d + 1) * width)
            else:
                _read_state(m, at, at.states, sizes, place, given)
            _again(m, at, sizes, eps, place, given, begin, steps)
            for step in range(steps - 1, -1, -1):
                first_token = begin + step * n
                count = min(n, sizes.token - first_token)
                if step + 1 < steps:  # those of the last are still there
                    _read_tokens(m, at, sizes, place, given, first_token, count)
                for i in range(count):
                    t = _token(first_token + i, sizes, place)
                    copy(m, at.d_out + i * width, _row(felt.out, place, t), 0, sizes.d)
                if step:
                    _fetch(felt.out, place, sizes, first_token - n, n)
                elif segment:
                    _fetch(felt.out, place, sizes, begin - n, n)
                if segment:
                    for rows in (given.q, given.k, given.v):
                        _fetch(rows, place, sizes, first_token - whole, n)
                _backward_step(m, at, sizes, eps, at.states + step * square, at.z + step * n * width, count)
                for i in range(count):
                    t = _token(first_token + i, sizes, place)
                    _write_far(_row(d.q, place, t), m, at.d_x + i * width, sizes)
                    _write_far(_row(d.k, place, t), m, at.d_x + (count + i) * width, sizes)
                    _write_far(_row(d.v, place, t), m, at.d_g + i * width, sizes)
                    _row(d.lr, place, t)[0] = m[at.d_rates + i]
        # centring needs no gradient: the means of the rows are still those that the gradient came with
        _write_rows(m, at.d_state, at, sizes, place, d.w0, d.b0)
        copy(address(sums.token_scale, chain * at.columns), 0, m, at.d_scale, at.columns)
        copy(address(sums.ln_weight, chain * width), 0, m, at.d_weight, width)
        copy(address(sums.ln_bias, chain * width), 0, m, at.d_bias, width)
