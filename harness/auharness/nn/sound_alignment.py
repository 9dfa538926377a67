"""Sound tokens at the times of video frames: exact for any frame rate, also a varying one."""

import torch
from torch import Tensor

from auharness.nn.sound_encoder import RATE, STRIDE

__all__ = ["STEP_S", "align_sound", "token_centres"]

STEP_S = STRIDE / RATE
"""Seconds between two tokens, 0.02."""


def token_centres(count: int, *, first_s: float, like: Tensor) -> Tensor:
    """Return the centre of each token in seconds, `[count]`, of the type and device of `like`."""
    return first_s + STEP_S * torch.arange(count, device=like.device, dtype=like.dtype)


def align_sound(tokens: Tensor, valid: Tensor, frame_s: Tensor, *, first_s: float) -> tuple[Tensor, Tensor]:
    """Return one sound feature per frame, `[B,T,D]`, and whether there is any, `[B,T]` bool.

    The mean of the tokens whose centres lie within the frame: from halfway to the frame before it to halfway to the
    one behind it; of the first and the last frame as far outwards as inwards. Where no token does, a linear
    interpolation between the two around the frame, or the only one of them that is sound, if it is at most 20 ms away.
    0 where there is none. Memory grows with T + N.

    Args:
        tokens: `[B,N,D]`.
        valid: `[B,N]` bool.
        frame_s: `[B,T]`, times of the frames in seconds since the first sample, never falling.
        first_s: centre of token 0.
    """
    centres = token_centres(tokens.shape[1], first_s=first_s, like=frame_s)
    mean, found = _mean_inside(tokens, valid, frame_s, centres)
    between, near = _interpolated(tokens, valid, frame_s, centres)
    return torch.where(found[..., None], mean, between), found | near


def _mean_inside(tokens: Tensor, valid: Tensor, frame_s: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    batch, frames = frame_s.shape
    edges = _edges(frame_s)
    # 0 is before the first frame, frames + 1 behind the last; each token is in one frame at most
    place = torch.searchsorted(edges, centres.expand(batch, -1).contiguous(), right=True)
    place = place.where(valid, 0)
    index = place[..., None].expand_as(tokens)
    sums = tokens.new_zeros(batch, frames + 2, tokens.shape[2]).scatter_add(1, index, tokens)
    count = tokens.new_zeros(batch, frames + 2).scatter_add(1, place, valid.to(tokens.dtype))[:, 1:-1]
    return sums[:, 1:-1] / count.clamp(min=1)[..., None], count > 0


def _edges(frame_s: Tensor) -> Tensor:
    """The times between which frames lie, `[B,T+1]`."""
    if frame_s.shape[1] == 1:
        # a lone frame says nothing of its length
        return torch.cat((frame_s, frame_s), 1)
    middle = (frame_s[:, 1:] + frame_s[:, :-1]) / 2
    first, last = 2 * frame_s[:, :1] - middle[:, :1], 2 * frame_s[:, -1:] - middle[:, -1:]
    return torch.cat((first, middle, last), 1)


def _interpolated(tokens: Tensor, valid: Tensor, frame_s: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    behind = torch.searchsorted(centres, frame_s.contiguous())
    places = torch.stack((behind - 1, behind))
    inside = places.clamp(0, len(centres) - 1)
    away = (centres[inside] - frame_s).abs() / STEP_S
    usable = (places == inside) & (away <= 1) & torch.stack([valid.gather(1, place) for place in inside])
    # a lone one counts in full, however far it is
    weights = (1 - away).where(usable.all(0), 1.0).where(usable, 0.0).to(tokens.dtype)
    before, after = (tokens.gather(1, place[..., None].expand(-1, -1, tokens.shape[2])) for place in inside)
    return before * weights[0, ..., None] + after * weights[1, ..., None], usable.any(0)
