"""A recurrent network over what a 2D network sees in each frame."""

from typing import Literal

import torch
from torch import Tensor, nn

from auharness.nn.resnet2d import ClipResNet

__all__ = ["Cell", "FrameRNN", "Pool"]

Cell = Literal["lstm", "gru"]
"""Kind of recurrent network."""

Pool = Literal["last", "mean", "flatten"]
"""What the last layer reads: the state behind the last frame, the mean over frames, or all frames side by side."""


class FrameRNN(nn.Module):
    """Clip `[B,T,C,H,W]` to logits `[B,A]`: features of every frame, then LSTM or GRU, then one linear layer.

    Args:
        frames: network of one frame, without a last layer.
        num_outputs: A.
        length: T; only `flatten` is bound to it.
        cell: LSTM or GRU.
        hidden: size of the state.
        layers: recurrent layers.
        bidirectional: read the clip backwards, too; `last` is then the state of both behind their last frame.
        pool: what the last layer reads.
    """

    def __init__(
        self,
        frames: ClipResNet,
        num_outputs: int,
        *,
        length: int,
        cell: Cell,
        hidden: int = 512,
        layers: int = 1,
        bidirectional: bool = False,
        pool: Pool = "last",
    ) -> None:
        super().__init__()
        self.frames, self.pool = frames, pool
        kind = nn.LSTM if cell == "lstm" else nn.GRU
        self.rnn = kind(frames.features, hidden, num_layers=layers, batch_first=True, bidirectional=bidirectional)
        size = hidden * (1 + bidirectional) * (length if pool == "flatten" else 1)
        self.fc = nn.Linear(size, num_outputs)

    def forward(self, clip: Tensor) -> Tensor:
        seen = self.frames(clip.flatten(0, 1)[:, None]).unflatten(0, clip.shape[:2])
        states, _ = self.rnn(seen)
        return self.fc(self._pooled(states))

    def _pooled(self, states: Tensor) -> Tensor:
        if self.pool == "flatten":
            return states.flatten(1)
        if self.pool == "mean":
            return states.mean(dim=1)
        if not self.rnn.bidirectional:
            return states[:, -1]
        # reading backwards ends at the first frame
        forwards, backwards = states.chunk(2, dim=2)
        return torch.cat((forwards[:, -1], backwards[:, 0]), dim=1)
