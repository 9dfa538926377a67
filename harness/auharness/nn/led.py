"""Learnable Eulerian dynamics: a temporal band-pass whose three constants are learned."""

import torch
from torch import Tensor, nn

__all__ = ["LED", "led_matrix"]


def led_matrix(frames: int, *, alpha: Tensor, r1: Tensor, r2: Tensor) -> Tensor:
    """Return W `[T,T]` (arXiv:2507.21778, eq. 1): row i is the input frame, column j the output frame, from 0.

    W_ij = alpha ((1-r1)^(j-i) r1^min(1,i) - (1-r2)^(j-i) r2^min(1,i)) for j > i, alpha (r1 - r2) on the diagonal, 0
    below it. For j >= 1, `x @ W` is alpha times the difference of two first-order low-passes that start at frame 0.

    Args:
        frames: T.
        alpha: gain, a scalar.
        r1: constant of the faster low-pass; it may exceed 1.
        r2: constant of the slower one.
    """
    place = torch.arange(frames, device=alpha.device)
    # below the diagonal the power would grow without bound and spoil the gradient
    step = (place[None, :] - place[:, None]).clamp(min=0).to(alpha.dtype)
    after_first = (place > 0)[:, None]

    def low_pass(r: Tensor) -> Tensor:
        return (1 - r) ** step * torch.where(after_first, r, torch.ones_like(r))

    # i = j = 0 alone does not follow the general term
    first = torch.zeros_like(step)
    first[0, 0] = 1.0
    return alpha * (torch.triu(low_pass(r1) - low_pass(r2)) + first * (r1 - r2))


class LED(nn.Module):
    """Clip to its normalised changes, `[B,T,...] -> [B,T,...]`; frame 0 is passed on as it is.

    Frame j >= 1 is sum_i x_i W_ij / (sum_i |x_i| |W_ij| + eps), in [-1, 1]: exactly 0 for a static clip, and the same
    for a brighter one. The gain cancels, so `log_alpha` learns nothing but its weight decay.

    Args:
        alpha: start of the gain.
        r1: start of the faster constant.
        r2: start of the slower constant.
        eps: keeps black pixels at 0.
    """

    def __init__(self, *, alpha: float = 10.0, r1: float = 0.4, r2: float = 0.05, eps: float = 1e-8) -> None:
        super().__init__()
        self.log_alpha = nn.Parameter(torch.tensor(alpha).log())
        self.log_r1 = nn.Parameter(torch.tensor(r1).log())
        self.log_r2 = nn.Parameter(torch.tensor(r2).log())
        self.eps = eps

    def matrix(self, frames: int) -> Tensor:
        """Return W `[T,T]` at the present constants."""
        return led_matrix(frames, alpha=self.log_alpha.exp(), r1=self.log_r1.exp(), r2=self.log_r2.exp())

    def forward(self, clip: Tensor) -> Tensor:
        weights = self.matrix(clip.shape[1]).T[1:]
        pixels = clip.flatten(2)
        # the columns of W sum to 0, so frame 0 may be taken off: a static pixel is then 0 without rounding
        change = weights[:, 1:] @ (pixels[:, 1:] - pixels[:, :1])
        size = weights.abs() @ pixels.abs()
        out = (change / (size + self.eps)).clamp(-1.0, 1.0)
        return torch.cat((pixels[:, :1], out), dim=1).view_as(clip)
