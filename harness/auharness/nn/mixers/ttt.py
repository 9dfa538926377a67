"""The TTT-Linear layer: a linear inner model (arXiv:2407.04620)."""

from collections.abc import Mapping

from torch import Tensor

from auharness.nn.mixers.ttt_layer import EPS, TTTLayer
from auharness.ops.ttt_linear import ttt_linear

__all__ = ["TTTLinear"]


class TTTLinear(TTTLayer):
    """TTT-Linear over a sequence, `[B,L,dim] -> [B,L,dim]` (arXiv:2407.04620, sec. 2.3 to 2.7).

    Arguments and errors are those of `TTTLayer`; `backend` is one of `auharness.ops.ttt_linear`.
    """

    base_lr = 1.0

    @staticmethod
    def state_shapes(width: int) -> Mapping[str, tuple[int, int]]:
        """Return the shapes of the first matrix and bias of a head."""
        return {"w0": (width, width), "b0": (1, width)}

    def scan(self, q: Tensor, k: Tensor, v: Tensor, lr: Tensor) -> Tensor:
        """Return what the operator makes of the heads `[B,heads,L,d]`."""
        return ttt_linear(
            *(q, k, v, lr, *self.inner_model()),
            mini_batch=self.mini_batch,
            eps=EPS,
            direction=self.direction,
            suffix=self.suffix,
            backend=self.backend,
        )
