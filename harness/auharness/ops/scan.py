"""Scan orders: which token a sequential operator reads at each step."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import torch
from torch import Tensor

from auharness.errors import UsageError, near

__all__ = ["Direction", "OneWay", "check_suffix", "in_scan_order", "reverse_flags", "reverse_tokens", "scan_positions"]

OneWay = Literal["forward", "reverse"]
Direction = Literal[OneWay, "both"]

_REVERSE: Final[Mapping[str, tuple[bool, ...]]] = {"forward": (False,), "reverse": (True,), "both": (False, True)}


def reverse_flags(operator: str, direction: str) -> tuple[bool, ...]:
    """Return for each scan of a direction whether it reads the tokens backwards.

    Raises:
        UsageError: unknown direction.

    >>> reverse_flags("ttt_linear", "both")
    (False, True)
    """
    if direction not in _REVERSE:
        raise UsageError(
            f"{operator} has no direction '{direction}'{near(direction, _REVERSE)} (directions: {', '.join(_REVERSE)})"
        )
    return _REVERSE[direction]


def check_suffix(operator: str, suffix: int, length: int) -> None:
    """Check that a sequence has as many tokens at its end as are to be read last.

    Raises:
        UsageError: it has not.
    """
    if not 0 <= suffix <= length:
        raise UsageError(f"{operator}: suffix is {suffix}, expected 0 to {length}, the number of tokens")


def reverse_tokens(x: Tensor, *, suffix: int = 0, dim: int = -2) -> Tensor:
    """Return `x` with its tokens in reverse order along `dim`, the last `suffix` tokens (CLS) left in place.

    It is its own inverse, so the same call un-reverses (AU-TTT, eq. 6, `Reverse`).

    >>> reverse_tokens(torch.arange(5), suffix=1, dim=0).tolist()
    [3, 2, 1, 0, 4]
    """
    patches, last = torch.split(x, [x.shape[dim] - suffix, suffix], dim)
    return torch.cat((patches.flip(dim), last), dim)


def scan_positions(
    length: int, *, reverse: bool = False, suffix: int = 0, device: torch.device | None = None
) -> Tensor:
    """Return the step at which each token is read, int64 `[length]`; the last `suffix` tokens are always read last.

    >>> scan_positions(4, reverse=True, suffix=1).tolist()
    [2, 1, 0, 3]
    """
    steps = torch.arange(length, device=device)
    return reverse_tokens(steps, suffix=suffix, dim=0) if reverse else steps


def in_scan_order(x: Tensor, reverse: Sequence[bool], *, suffix: int = 0, dim: int = -2) -> Tensor:
    """Return `x [directions, ...]` with the tokens of each reversed direction reversed; its own inverse."""
    if not any(reverse):
        return x
    parts = zip(x.unbind(0), reverse, strict=True)
    return torch.stack([reverse_tokens(part, suffix=suffix, dim=dim) if flip else part for part, flip in parts])
