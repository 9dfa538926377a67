"""TTT-Linear in plain torch, differentiated by autograd: the definition that every other backend is tested against.

Sun et al., "Learning to (Learn at Test Time)", arXiv:2407.04620, sections 2.3 to 2.7: the dual form with a causal
mini-batch. `README.md` beside this file derives each step.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from auharness.ops.scan import in_scan_order
from auharness.ops.ttt.inner_loss import normalise, reconstruction_gradient

__all__ = ["ttt_linear_reference"]


def ttt_linear_reference(
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
    """Scan `directions` sequences at once; direction g is read backwards where `reverse[g]`.

    Args:
        q: queries `[directions, batch, head, token, d]`; `k` and `v` alike.
        k: keys.
        v: values.
        lr: inner learning rate per key `[directions, batch, head, token]`.
        token_scale: scale per position in the mini-batch `[directions, mini_batch]`.
        w0: initial state `[directions, batch, head, d, d]`.
        b0: initial bias `[directions, batch, head, 1, d]`.
        ln_weight: weight of the inner LayerNorm `[directions, head, d]`; `ln_bias` alike.
        ln_bias: bias of the inner LayerNorm.
        mini_batch: tokens per gradient step; the last one may be shorter.
        eps: added to the variance.
        reverse: one flag per direction.
        suffix: tokens at the end that are read last in either direction.

    Returns:
        The output `[directions, batch, head, token, d]` in the order of the input, the last state and the last bias.
    """
    q, k, v = (in_scan_order(x, reverse, suffix=suffix) for x in (q, k, v))
    lr = in_scan_order(lr, reverse, suffix=suffix, dim=-1)
    weight, bias = (x[:, None, :, None, :] for x in (ln_weight, ln_bias))
    w, b, outputs = w0, b0, []
    for start in range(0, q.shape[-2], mini_batch):
        tokens = slice(start, start + mini_batch)
        keys, queries = k[..., tokens, :], q[..., tokens, :]

        # 1. the current model reconstructs v - k from k; g is the gradient of 0.5 |LN(z) - (v - k)|^2 by z
        g = reconstruction_gradient(keys @ w + b, v[..., tokens, :] - keys, weight, bias, eps)

        # 2. the step size of key j as seen by query i: scale of position i times learning rate of key j
        scale = token_scale[:, : keys.shape[-2]]
        eta = scale[:, None, None, :, None] * lr[..., None, tokens]

        # 3. query i is read by the model after the steps of keys 0..i, without forming that model
        moved = torch.tril(eta * (queries @ keys.transpose(-2, -1)))
        z = queries @ w - moved @ g + b - torch.tril(eta) @ g
        outputs.append(queries + weight * normalise(z, eps)[0] + bias)

        # 4. the model after all keys of the mini-batch
        step = eta[..., -1, :, None]
        w = w - (step * keys).transpose(-2, -1) @ g
        b = b - (step * g).sum(-2, keepdim=True)
    return in_scan_order(torch.cat(outputs, -2), reverse, suffix=suffix), w, b
