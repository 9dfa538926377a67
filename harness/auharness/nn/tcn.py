"""Temporal convolutions with growing gaps (Bai, Kolter, Koltun, arXiv:1803.01271)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

__all__ = ["TCN"]


class _Level(nn.Module):
    """Two convolutions with a residual path, `[B,before,T] -> [B,after,T]`."""

    def __init__(self, before: int, after: int, *, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        # of odd kernels, so that a frame sees as much of the future as of the past
        options: dict[str, Any] = {"padding": dilation * (kernel // 2), "dilation": dilation}
        layers: list[nn.Module] = []
        for channels in (before, after):
            conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(channels, after, kernel, **options))
            layers += [conv, nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers)
        self.skip = nn.Conv1d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return (self.layers(x) + self.skip(x)).relu()


class TCN(nn.Module):
    """Residual levels whose gaps double, `[B,T,dim] -> [B,T,width]`.

    Not causal: of the two forms, the one for sequences that are there as a whole.

    Args:
        dim: channels of the input.
        widths: channels of each level.
        kernel: width of the convolutions, odd.
        dropout: behind each convolution.
    """

    def __init__(
        self, dim: int, *, widths: Sequence[int] = (256, 256, 128, 128), kernel: int = 5, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.width = widths[-1]
        self.levels = nn.Sequential(
            *(
                _Level(before, after, kernel=kernel, dilation=2**level, dropout=dropout)
                for level, (before, after) in enumerate(pairwise((dim, *widths)))
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.levels(x.transpose(1, 2)).transpose(1, 2)
