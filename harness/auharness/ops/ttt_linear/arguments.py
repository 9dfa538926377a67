"""The one place where the shapes of the operator's arguments are checked and spelt out."""

from torch import Tensor

from auharness.ops.backends import full_type
from auharness.ops.ttt.arguments import query_sizes, spelt_out

__all__ = ["fitted"]


def fitted(
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
    directions: int,
    widen: bool,
) -> list[Tensor]:
    """Return the tensors with the axes of directions and batch spelt out (as views); `widen` to one type >= float32."""
    batch, head, token, d = query_sizes("ttt_linear", q)
    # the state keeps full precision: it is a running sum of small steps
    kind = full_type(q, k, v, lr, token_scale, w0, b0, ln_weight, ln_bias)
    w0, b0 = (x if x.ndim == 5 else x[:, None] for x in (w0, b0))
    expected = {
        "q": (q, (batch, head, token, d)),
        "k": (k, (batch, head, token, d)),
        "v": (v, (batch, head, token, d)),
        "lr": (lr, (batch, head, token)),
        "token_scale": (token_scale, tuple(token_scale.shape[1:])),
        "w0": (w0, (batch, head, d, d)),
        "b0": (b0, (batch, head, 1, d)),
        "ln_weight": (ln_weight, (head, d)),
        "ln_bias": (ln_bias, (head, d)),
    }
    return spelt_out("ttt_linear", expected, directions=directions, kind=kind if widen else None)
