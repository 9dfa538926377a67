"""The least time that an operator can take on a machine: its arithmetic, its bytes, its exponentials.

Counts per token of the algorithms themselves, each input read once and each output written once; the larger of the
three times is the floor. What a kernel adds (states stored, tensors read again) is not in it.
"""

from dataclasses import dataclass

from auharness.scaling.case import Phase
from auharness.scaling.records import Peaks

__all__ = ["Work", "attention_work", "scan_work", "ssd_work", "ttt_linear_work", "ttt_mlp_work"]

CHECKPOINT = 256
"""Tokens between two stored states of a TTT backward pass."""
_FP32 = 4


@dataclass(frozen=True)
class Work:
    """Floating-point operations, bytes to and from memory, exponentials."""

    flops: float
    bytes: float = 0.0
    exps: float = 0.0

    def __mul__(self, times: float) -> "Work":
        return Work(self.flops * times, self.bytes * times, self.exps * times)

    def floor(self, peaks: Peaks) -> tuple[float, str]:
        """Return the least time in ms and what it is bound by: `compute`, `memory` or `exp`."""
        times = {
            "compute": self.flops / peaks.flops,
            "memory": self.bytes / peaks.bytes,
            "exp": self.exps / peaks.exps,
        }
        bound = max(times, key=lambda name: times[name])
        return 1e3 * times[bound], bound


def ttt_linear_work(which: Phase, *, heads: int, d: int, mini_batch: int, size: int) -> Work:
    """Return the work per token of TTT-Linear; `size` bytes per element of q, k, v and out, the state in float32.

    Forward: the products with the state (3 of 2 d^2), those within the mini-batch (2 of 2 K d), 30 d for the norms.

    >>> round(ttt_linear_work("forward", heads=6, d=64, mini_batch=16, size=2).flops / 1e3, 1)
    183.6
    """
    flops = 6 * d * d + 4 * mini_batch * d + 30 * d
    moved = float(4 * d * size + _FP32)
    if which == "training":
        flops += 18 * d * d + 12 * mini_batch * d + 100 * d
        moved += 7 * d * size + 2 * _FP32 + 2 * _FP32 * (d * d + d) / CHECKPOINT
    return Work(heads * flops, heads * moved)


def ttt_mlp_work(which: Phase, *, heads: int, d: int, mini_batch: int, size: int) -> Work:
    """Return the work per token of TTT-MLP with a hidden layer of 4 d: 7 products of 8 d^2, 20 K d within."""
    flops = 56 * d * d + 20 * mini_batch * d + 270 * d
    moved = float(4 * d * size + _FP32)
    if which == "training":
        flops *= 4
        moved += 7 * d * size + 2 * _FP32 + 2 * _FP32 * (8 * d * d + 5 * d) / CHECKPOINT
    return Work(heads * flops, heads * moved, heads * 4 * d * (1 if which == "forward" else 2))


def scan_work(which: Phase, *, channels: int, state: int, size: int) -> Work:
    """Return the work per token of a selective scan: u, delta, z, y of `channels`, B and C of `state` numbers."""
    flops, moved, exps = 6 * channels * state, (4 * channels + 2 * state) * size, channels * state
    if which == "training":
        flops, moved, exps = flops + 20 * channels * state, moved + (8 * channels + 4 * state) * size, 2 * exps
    return Work(flops, moved, exps)


def ssd_work(which: Phase, *, heads: int, width: int, state: int, size: int) -> Work:
    """Return the work per token of Mamba-2's recurrence: state 3 P N and output 2 P N per head."""
    flops, moved = 5 * heads * width * state, (2 * heads * width + 2 * state) * size + heads * _FP32
    if which == "training":
        flops, moved = 3 * flops, moved + (4 * heads * width + 4 * state) * size + 2 * heads * _FP32
    return Work(flops, moved, heads)


def attention_work(which: Phase, *, length: int, channels: int, size: int) -> Work:
    """Return the work per token of attention over `length` tokens (all see all): 4 L D, with its backward 14 L D."""
    if which == "forward":
        return Work(4 * length * channels, 4 * channels * size, length)
    return Work(14 * length * channels, 12 * channels * size, 2 * length)
