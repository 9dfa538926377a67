"""The function that fla's TTT kernels compute, in plain torch; see the package for how it differs from TTT-Linear."""

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

__all__ = ["fla_ttt_reference"]


def fla_ttt_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    eta: Tensor,
    w0: Tensor,
    b0: Tensor,
    ln_weight: Tensor,
    ln_bias: Tensor,
    *,
    mini_batch: int,
    eps: float,
) -> Tensor:
    """Compute `fla_ttt`, whose arguments these are; differentiated by autograd."""
    weight, bias, width = ln_weight[:, None], ln_bias[:, None], q.shape[-1]
    w, b, outputs = w0, b0, []
    for start in range(0, q.shape[-2], mini_batch):
        tokens = slice(start, start + mini_batch)
        queries, keys, rate = q[..., tokens, :], k[..., tokens, :], eta[..., tokens, None]

        # 1. g is the gradient of 0.5 |LN(z) - (v - k)|^2 by z = k W + b
        z = keys @ w + b
        scale = torch.rsqrt(z.var(-1, unbiased=False, keepdim=True) + eps)
        normal = (z - z.mean(-1, keepdim=True)) * scale
        a = weight * (weight * normal + bias - (v[..., tokens, :] - keys))
        g = scale * (a - a.mean(-1, keepdim=True) - normal * (a * normal).mean(-1, keepdim=True))

        # 2. query i sees the steps of keys 0..i, all with its own rate
        causal = torch.ones_like(rate @ rate.mT).tril()
        read = queries @ w + b - rate * ((queries @ keys.mT * causal) @ g + causal @ g)

        # 3. the output adds the read value to its normalised self
        outputs.append(read + weight * layer_norm(read, (width,), eps=eps) + bias)

        # 4. the state moves by the rate of the last token alone
        step = rate[..., -1:, :]
        w = w - (step * keys).mT @ g
        b = b - (step * g).sum(-2, keepdim=True)
    return torch.cat(outputs, -2)
