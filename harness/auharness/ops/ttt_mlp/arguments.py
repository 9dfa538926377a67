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
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    ln_weight: Tensor,
    ln_bias: Tensor,
    *,
    directions: int,
    widen: bool,
) -> list[Tensor]:
    """Return the tensors with the axes of directions and batch spelt out (as views); `widen` to one type >= float32."""
    batch, head, token, d = query_sizes("ttt_mlp", q)
    if w1.numel() == 0:
        raise ValueError(f"ttt_mlp: w1 is {list(w1.shape)}, expected head, d, hidden width, none of them empty")
    hidden = w1.shape[-1]
    # the state keeps full precision: it is a running sum of small steps
    kind = full_type(q, k, v, lr, token_scale, w1, b1, w2, b2, ln_weight, ln_bias)
    w1, b1, w2, b2 = (x if x.ndim == 5 else x[:, None] for x in (w1, b1, w2, b2))
    expected = {
        "q": (q, (batch, head, token, d)),
        "k": (k, (batch, head, token, d)),
        "v": (v, (batch, head, token, d)),
        "lr": (lr, (batch, head, token)),
        "token_scale": (token_scale, tuple(token_scale.shape[1:])),
        "w1": (w1, (batch, head, d, hidden)),
        "b1": (b1, (batch, head, 1, hidden)),
        "w2": (w2, (batch, head, hidden, d)),
        "b2": (b2, (batch, head, 1, d)),
        "ln_weight": (ln_weight, (head, d)),
        "ln_bias": (ln_bias, (head, d)),
    }
    return spelt_out("ttt_mlp", expected, directions=directions, kind=kind if widen else None)
