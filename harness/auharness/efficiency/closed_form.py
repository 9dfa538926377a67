"""MACs and FLOPs of the mixer operators by formula, for any size: what their references compute, states returned.

`README.md` beside this file gives the rules. A formula counts the reference as it is written: nothing is folded, every
step of a scan moves the state, causal masks halve nothing. Tests compare it with the reference, product by product.
"""

from dataclasses import dataclass

__all__ = [
    "LITERATURE_SCAN_STEP",
    "Work",
    "attention_work",
    "fla_ttt_work",
    "selective_scan_work",
    "ssd_work",
    "ttt_linear_work",
    "ttt_mlp_work",
]

LITERATURE_SCAN_STEP = 9
"""FLOPs per (batch, token, channel, state) of a selective scan in most published tables."""
_SOFTMAX = 5  # maximum, subtract, exp, sum, divide
_NORM = 5  # mean, subtract, square and sum (2), scale
_GELU = 8  # tanh form: 5 for the tanh, 3 around it
_GELU_SLOPE = 12
_TTT_GRADIENT = 1 + _NORM + 4 + 7  # v - k, LN, its error times the weight, the derivative of LN
_TTT_ANSWER = _NORM + 3  # LN, weight, bias, + q
_TTT_ROW = 2 * 2  # variance + eps and its root, in both normalisations


@dataclass(frozen=True)
class Work:
    """What some computation costs.

    Attributes:
        macs: multiply-accumulates of matrix products and convolutions.
        flops: 2 per MAC and the rest by the rules.
        convention: `flops` as the literature counts it; differs for the selective scan only.
    """

    macs: int = 0
    flops: int = 0
    convention: int = 0

    def __add__(self, other: "Work") -> "Work":
        """Return the work of both."""
        return Work(self.macs + other.macs, self.flops + other.flops, self.convention + other.convention)


def attention_work(
    *, sequences: int, queries: int, keys: int, d: int, value_d: int | None = None, causal: bool = False
) -> Work:
    """Return the work of `softmax(q k^T / sqrt(d)) v`.

    Args:
        sequences: batch x heads.
        queries: tokens that ask.
        keys: tokens that answer.
        d: width of queries and keys.
        value_d: width of the values; None is `d`.
        causal: masked, which costs one operation per score and saves none.

    >>> attention_work(sequences=1, queries=2, keys=3, d=4).macs
    48
    """
    scores = sequences * queries * keys
    macs = scores * (d + (d if value_d is None else value_d))
    return _work(macs, scores * (1 + causal + _SOFTMAX))


def ttt_linear_work(*, chains: int, tokens: int, d: int, mini_batch: int) -> Work:
    """Return the work of TTT-Linear (`ttt_linear_reference`), inner gradient and state update included.

    Per token and head, with K the tokens of its mini-batch: 6 d^2 + 6 K d FLOPs of products and 32 d + 2 K + 4 others;
    per mini-batch d^2 + d more. Published counts fold the bias into the state, which makes 4 K d of 6 K d.

    Args:
        chains: directions x batch x heads.
        tokens: of the sequence; what remains after whole mini-batches is one shorter mini-batch.
        d: width of a head.
        mini_batch: tokens per gradient step.

    >>> ttt_linear_work(chains=1, tokens=16, d=64, mini_batch=16).macs == 16 * (3 * 64**2 + 3 * 16 * 64)
    True
    """
    total = Work()
    for steps, rows in _mini_batches(tokens, mini_batch):
        # k W, q W, k^T g; q k^T, (A eta) g, tril(eta) g
        macs = 3 * rows * d * d + 3 * rows * rows * d
        # + b; the gradient; what the steps so far add to q W; the answer; the steps times k and g, and their sum
        per_channel = 1 + _TTT_GRADIENT + 3 + _TTT_ANSWER + 3
        # eta, and its product with q k^T
        per_pair = 2
        others = rows * (per_channel * d + per_pair * rows + _TTT_ROW) + d * d + d
        total += _work(chains * steps * macs, chains * steps * others)
    return total


def ttt_mlp_work(*, chains: int, tokens: int, d: int, hidden: int, mini_batch: int) -> Work:
    """Return the work of TTT-MLP (`ttt_mlp_reference`), inner gradient and state updates included.

    Per token and head, with K the tokens of its mini-batch and f the hidden width: 14 d f + 6 K (d + f) FLOPs of
    products and 32 d + 36 f + 3 K + 4 others; per mini-batch 2 d f + d + f more. GELU is written out: 8 for its value
    and 12 for its slope, which the queries do not need.

    Args:
        chains: directions x batch x heads.
        tokens: of the sequence; what remains after whole mini-batches is one shorter mini-batch.
        d: width of a head.
        hidden: f, width of the inner model's hidden layer.
        mini_batch: tokens per gradient step.

    >>> ttt_mlp_work(chains=1, tokens=1, d=8, hidden=32, mini_batch=1).macs == 7 * 8 * 32 + 3 * (8 + 32)
    True
    """
    total = Work()
    for steps, rows in _mini_batches(tokens, mini_batch):
        # k W1, x W2, g2 W2^T, q W1, y W2 and two updates; per layer the scores and two products with g
        macs = 7 * rows * d * hidden + 3 * rows * rows * (d + hidden)
        # + b2, the gradient, what the steps add, the answer; the steps times k and g2, and a sum
        per_channel = 1 + _TTT_GRADIENT + 3 + _TTT_ANSWER + 3
        # + b1, GELU and slope of k, times slope, what the steps add, GELU of q; the steps times x and g1, and a sum
        per_hidden = 1 + (_GELU + _GELU_SLOPE) + 1 + 3 + _GELU + 3
        # eta, and its product with the scores of both layers
        per_pair = 3
        others = rows * (per_channel * d + per_hidden * hidden + per_pair * rows + _TTT_ROW)
        others += 2 * d * hidden + d + hidden
        total += _work(chains * steps * macs, chains * steps * others)
    return total


def fla_ttt_work(*, chains: int, tokens: int, d: int, mini_batch: int) -> Work:
    """Return the work of fla's TTT (`fla_ttt_reference`); the products are those of TTT-Linear.

    Args:
        chains: batch x heads.
        tokens: of the sequence.
        d: width of a head.
        mini_batch: tokens per gradient step.
    """
    total = Work()
    for steps, rows in _mini_batches(tokens, mini_batch):
        macs = 3 * rows * d * d + 3 * rows * rows * d
        # + b; the gradient, its error times the weight once more; the read value: 4; the answer; the state: 3
        per_channel = 1 + _TTT_GRADIENT + 4 + _TTT_ANSWER + 3
        others = rows * (per_channel * d + rows + _TTT_ROW // 2) + d * d + d
        total += _work(chains * steps * macs, chains * steps * others)
    return total


def _mini_batches(tokens: int, mini_batch: int) -> list[tuple[int, int]]:
    """Return how many mini-batches there are of how many tokens."""
    full, rest = divmod(tokens, mini_batch)
    return [(full, mini_batch), (1 if rest else 0, rest)]


def selective_scan_work(
    *,
    sequences: int,
    tokens: int,
    dim: int,
    state: int,
    zoh: bool = False,
    softplus: bool = False,
    delta_bias: bool = False,
    skip: bool = False,
    gate: bool = False,
) -> Work:
    """Return the work of the selective scan (`selective_scan_reference`).

    A step costs 7 per (sequence, token, channel, state): dt A, exp, (dt u) B, the two of a h + x, and C h as one MAC.
    Zero-order hold adds 3: expm1, its division and product. Per (sequence, token, channel): dt u and the options.

    Args:
        sequences: directions x batch.
        tokens: L.
        dim: channels.
        state: numbers per channel.
        zoh: zero-order hold instead of Euler; by its formula, without the series near 0 that keeps it precise.
        softplus: of the step size.
        delta_bias: added to the step size.
        skip: D u is added to the output.
        gate: the output is multiplied by silu(z).

    >>> selective_scan_work(sequences=1, tokens=1, dim=1, state=16)
    Work(macs=16, flops=113, convention=144)
    """
    channels = sequences * tokens * dim
    steps = channels * state
    pointwise = steps * (5 + 3 * zoh) + channels * (1 + softplus + delta_bias + 2 * skip + 2 * gate)
    return _work(steps, pointwise, convention=steps * LITERATURE_SCAN_STEP + channels * (skip + gate))


def ssd_work(*, sequences: int, tokens: int, heads: int, channels: int, state: int) -> Work:
    """Return the work of SSD (`ssd_reference`), one token after the other.

    A step costs 5 per (sequence, token, head, channel, state): (dt x) B, the two of a h + x, and C h as one MAC. Per
    (sequence, token, head): dt A, exp and the products dt x. Chunked backends trade these steps for matrix products.

    Args:
        sequences: directions x batch.
        tokens: L.
        heads: H.
        channels: P, per head.
        state: N, numbers per channel.

    >>> ssd_work(sequences=1, tokens=1, heads=1, channels=64, state=128).macs
    8192
    """
    rows = sequences * tokens * heads
    steps = rows * channels * state
    return _work(steps, 3 * steps + rows * (2 + channels))


def _work(macs: int, others: int, *, convention: int | None = None) -> Work:
    flops = 2 * macs + others
    return Work(macs, flops, flops if convention is None else convention)
