"""The TTT-MLP layer: an inner model of two layers (arXiv:2407.04620)."""

from collections.abc import Mapping

from torch import Tensor

from auharness.nn.mixers.ttt_layer import EPS, TTTLayer
from auharness.ops.ttt_mlp import ttt_mlp

__all__ = ["TTTMLP"]

_EXPANSION = 4  # hidden width of the inner model in widths of a head, sec. 2.7


class TTTMLP(TTTLayer):
    """TTT-MLP over a sequence, `[B,L,dim] -> [B,L,dim]` (arXiv:2407.04620, sec. 2.3 to 2.7).

    Arguments and errors are those of `TTTLayer`; `backend` is one of `auharness.ops.ttt_mlp`. The authors raise the
    inner learning rate from a tenth of its value over the first steps of training, which is left to the recipe.
    """

    base_lr = 0.1

    @staticmethod
    def state_shapes(width: int) -> Mapping[str, tuple[int, int]]:
        """Return the shapes of the first matrices and biases of a head."""
        hidden = _EXPANSION * width
        return {"w1": (width, hidden), "b1": (1, hidden), "w2": (hidden, width), "b2": (1, width)}

    def scan(self, q: Tensor, k: Tensor, v: Tensor, lr: Tensor) -> Tensor:
        """Return what the operator makes of the heads `[B,heads,L,d]`."""
        return ttt_mlp(
            *(q, k, v, lr, *self.inner_model()),
            mini_batch=self.mini_batch,
            eps=EPS,
            direction=self.direction,
            suffix=self.suffix,
            backend=self.backend,
        )
