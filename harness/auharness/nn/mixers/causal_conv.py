"""Depthwise causal convolution over tokens, in the order in which a scan reads them."""

import torch
from torch import Tensor
from torch.nn import functional as F

from auharness.ops.scan import check_suffix

__all__ = ["causal_conv"]


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor | None, *, reverse: bool = False, suffix: int = 0) -> Tensor:
    """Return, for every token, a weighted sum of itself and the tokens read just before it, channel by channel.

    Before the first token read lie zeros. Nothing but the short suffix is reordered: against the order of the
    tokens, the kernel turns around instead.

    Args:
        x: tokens `[batch, token, channel]`.
        weight: one kernel per channel `[channel, 1, width]`, as in `nn.Conv1d`; its last entry meets the token itself.
        bias: `[channel]`, or None.
        reverse: the scan reads the tokens backwards.
        suffix: tokens at the end that are read last in either direction.

    Raises:
        UsageError: the sequence is shorter than `suffix`.
    """
    check_suffix("mixer", suffix, x.shape[1])
    reach = weight.shape[-1] - 1
    if not reverse or suffix == x.shape[1]:
        return _slide(F.pad(x, (0, 0, reach, 0)), weight, bias)
    patches, last = torch.split(x, [x.shape[1] - suffix, suffix], 1)
    out = _slide(F.pad(patches, (0, 0, 0, reach)), weight.flip(-1), bias)
    if suffix == 0:
        return out
    just_before = patches[:, :reach].flip(1)
    before_and_last = F.pad(torch.cat((just_before, last), 1), (0, 0, reach - just_before.shape[1], 0))
    return torch.cat((out, _slide(before_and_last, weight, bias)), 1)


def _slide(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # as an image of height 1 the channels may stay the last axis in memory, which conv1d would transpose
    return F.conv2d(x.mT[:, :, None], weight[:, :, None], bias, groups=x.shape[2])[:, :, 0].mT
