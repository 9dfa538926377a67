"""What runs over the frames of a window: features of frames and of their sound to features of frames.

Each part returns traces too, `[B,C,T]` by name, in evaluation mode.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from auharness.nn.mixers import AudioGuidedSSM
from auharness.nn.positions import sine_positions
from auharness.nn.tcn import TCN

__all__ = ["Convolved", "Guided", "SideBySide"]


class Guided(nn.Module):
    """Blocks of scans that the sound guides, `[B,T,dim]` and sound `[B,T,dim]` to `[B,T,dim]`.

    A norm before each mixer and a residual around it. Traces are the step sizes `delta` and the gates `audio_gate` of
    the last block, means over channels.

    Args:
        mixers: one per block.
        dim: channels.
    """

    def __init__(self, mixers: Sequence[AudioGuidedSSM], dim: int) -> None:
        super().__init__()
        self.width = dim
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in mixers)
        self.mixers = nn.ModuleList(mixers)

    def forward(self, x: Tensor, sound: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        traces: dict[str, Tensor] = {}
        for norm, mixer in zip(self.norms, self.mixers, strict=True):
            seen = norm(x)
            if not self.training:
                traces = self._traces(mixer, seen, sound)
            x = x + mixer(seen, sound)
        return x, traces

    @staticmethod
    @torch.no_grad()
    def _traces(mixer: Any, seen: Tensor, sound: Tensor) -> dict[str, Tensor]:
        """The mean over channels, `[B,1,T]`."""
        delta, gate = mixer.guidance(seen, sound)
        return {"delta": delta.mean(-1)[:, None], "audio_gate": gate.mean(-1)[:, None]}


class SideBySide(nn.Module):
    """Frame and sound features side by side, projected, and blocks of mixers of one input, shaped as in `Guided`.

    Args:
        layers: one mixer per block.
        dim: channels.
        positions: add sine positions, for mixers that know no order.
    """

    def __init__(self, layers: Sequence[nn.Module], dim: int, *, positions: bool) -> None:
        super().__init__()
        self.width, self.positions = dim, positions
        self.join = nn.Linear(2 * dim, dim)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in layers)
        self.mixers = nn.ModuleList(layers)

    def forward(self, x: Tensor, sound: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        x = self.join(torch.cat((x, sound), -1))
        if self.positions:
            x = x + sine_positions(x.shape[1], x.shape[2]).to(x)
        for norm, mixer in zip(self.norms, self.mixers, strict=True):
            x = x + mixer(norm(x))
        return x, {}


class Convolved(nn.Module):
    """A TCN over frame and sound features side by side, `[B,T,dim]` and `[B,T,dim]` to `[B,T,width]`.

    Args:
        dim: channels of either.
        widths: channels of each level.
    """

    def __init__(self, dim: int, *, widths: Sequence[int]) -> None:
        super().__init__()
        self.tcn = TCN(2 * dim, widths=widths)
        self.width = self.tcn.width

    def forward(self, x: Tensor, sound: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        return self.tcn(torch.cat((x, sound), -1)), {}
