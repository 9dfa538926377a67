"""Queries of one sequence over another."""

import torch
from torch import Tensor, nn

from auharness.nn.mixers.heads import head_width
from auharness.nn.sound_alignment import token_centres

__all__ = ["CrossAttention", "SoundAttention"]


class CrossAttention(nn.Module):
    """Multi-head cross-attention without biases or residual, `[B,Q,dim]` and `[B,N,dim]` to `[B,Q,dim]` (HGA, eq. 3).

    Args:
        dim: channels.
        heads: of `dim / heads` channels.

    Raises:
        UsageError: `dim` is not a multiple of `heads`.
    """

    def __init__(self, dim: int, *, heads: int = 8) -> None:
        super().__init__()
        head_width(dim, heads)
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim, bias=False) for _ in range(4))

    def forward(self, queries: Tensor, context: Tensor, allowed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            queries: `[B,Q,dim]`.
            context: `[B,N,dim]`.
            allowed: `[B,Q,N]` bool; a query to which nothing is allowed gets 0.

        Returns:
            The answers, and the weights, `[B,Q,N]`, the mean over heads.
        """
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, queries), (self.key, context), (self.value, context))
        )
        scores = q @ k.transpose(2, 3) * k.shape[-1] ** -0.5
        if allowed is not None:
            scores = scores.masked_fill(~allowed[:, None], torch.finfo(scores.dtype).min)
        weights = scores.softmax(-1)
        if allowed is not None:
            weights = weights * allowed[:, None].to(weights.dtype)
        return self.out((weights @ v).transpose(1, 2).flatten(2)), weights.mean(1)


class SoundAttention(nn.Module):
    """Frames that ask for the sound around them, `[B,T,dim]`: the asymmetric cross-attention of HGA + AG-SSM.

    The abstract claims such a mechanism ("visual cues dynamically retrieve the corresponding audio context"), and no
    equation defines it. Here a frame's query reaches the tokens whose centres are at most a second away; time and
    memory grow with the product of the lengths.

    Args:
        dim: channels of both.
        heads: of `dim / heads` channels.
        reach_s: seconds.
    """

    def __init__(self, dim: int, *, heads: int = 8, reach_s: float = 1.0) -> None:
        super().__init__()
        self.attention = CrossAttention(dim, heads=heads)
        self.reach_s = reach_s

    def forward(self, frames: Tensor, tokens: Tensor, valid: Tensor, frame_s: Tensor, *, first_s: float) -> Tensor:
        """Return what each frame hears; arguments as in `align_sound`, with frames `[B,T,dim]`."""
        centres = token_centres(tokens.shape[1], first_s=first_s, like=frame_s)
        allowed = ((centres - frame_s[..., None]).abs() <= self.reach_s) & valid[:, None]
        heard, _ = self.attention(frames, tokens, allowed)
        return heard
