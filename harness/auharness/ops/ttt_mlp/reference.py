"""TTT-MLP in plain torch, differentiated by autograd: the definition that every other backend is tested against.

Sun et al., "Learning to (Learn at Test Time)", arXiv:2407.04620, sections 2.3 to 2.7 and appendix A: the dual form with
a causal mini-batch, both layers of the inner model trained. `README.md` beside this file derives each step.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from auharness.ops.scan import in_scan_order
from auharness.ops.ttt.inner_loss import normalise, reconstruction_gradient

__all__ = ["ttt_mlp_reference"]


def ttt_mlp_reference(
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
    """Scan `directions` sequences at once; direction g is read backwards where `reverse[g]`.

    Args:
        q: queries `[directions, batch, head, token, d]`; `k` and `v` alike.
        k: keys.
        v: values.
        lr: inner learning rate per key `[directions, batch, head, token]`.
        token_scale: scale per position in the mini-batch `[directions, mini_batch]`.
        w1: initial first layer `[directions, batch, head, d, f]`.
        b1: its initial bias `[directions, batch, head, 1, f]`.
        w2: initial second layer `[directions, batch, head, f, d]`.
        b2: its initial bias `[directions, batch, head, 1, d]`.
        ln_weight: weight of the inner LayerNorm `[directions, head, d]`; `ln_bias` alike.
        ln_bias: bias of the inner LayerNorm.
        mini_batch: tokens per gradient step; the last one may be shorter.
        eps: added to the variance.
        reverse: one flag per direction.
        suffix: tokens at the end that are read last in either direction.

    Returns:
        The output `[directions, batch, head, token, d]` in the order of the input, and the last w1, b1, w2, b2.
    """
    q, k, v = (in_scan_order(x, reverse, suffix=suffix) for x in (q, k, v))
    lr = in_scan_order(lr, reverse, suffix=suffix, dim=-1)
    weight, bias = (x[:, None, :, None, :] for x in (ln_weight, ln_bias))
    outputs = []
    for start in range(0, q.shape[-2], mini_batch):
        tokens = slice(start, start + mini_batch)
        keys, queries = k[..., tokens, :], q[..., tokens, :]

        # 1. the current model reconstructs v - k from k; g2 and g1 are the gradients of 0.5 |LN(z2) - (v - k)|^2
        #    by what its second and its first layer give
        hidden, slope = _gelu(keys @ w1 + b1)
        g2 = reconstruction_gradient(hidden @ w2 + b2, v[..., tokens, :] - keys, weight, bias, eps)
        g1 = g2 @ w2.transpose(-2, -1) * slope

        # 2. the step size of key j as seen by query i: scale of position i times learning rate of key j
        scale = token_scale[:, : keys.shape[-2]]
        eta = scale[:, None, None, :, None] * lr[..., None, tokens]

        # 3. query i is read by the model after the steps of keys 0..i, layer by layer, without forming that model
        seen, _ = _gelu(_read(queries, keys, eta, g1, w1, b1))
        answer = _read(seen, hidden, eta, g2, w2, b2)
        outputs.append(queries + weight * normalise(answer, eps)[0] + bias)

        # 4. the model after all keys of the mini-batch
        step = eta[..., -1, :, None]
        w1 = w1 - (step * keys).transpose(-2, -1) @ g1
        b1 = b1 - (step * g1).sum(-2, keepdim=True)
        w2 = w2 - (step * hidden).transpose(-2, -1) @ g2
        b2 = b2 - (step * g2).sum(-2, keepdim=True)
    return in_scan_order(torch.cat(outputs, -2), reverse, suffix=suffix), w1, b1, w2, b2


def _read(queries: Tensor, keys: Tensor, eta: Tensor, g: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Return what a linear layer answers to query i after it took the steps of keys 0..i."""
    moved = torch.tril(eta * (queries @ keys.transpose(-2, -1)))
    return queries @ w - moved @ g + b - torch.tril(eta) @ g


def _gelu(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the tanh form of GELU (arXiv:1606.08415, sec. 2) and its slope, both differentiable."""
    root, cubic = math.sqrt(2 / math.pi), 0.044715
    t = torch.tanh(root * (x + cubic * x**3))
    return 0.5 * x * (1 + t), 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * root * (1 + 3 * cubic * x * x)
