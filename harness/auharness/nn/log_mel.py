"""Sound as logarithms of its power in mel bands."""

import math

import torch
from torch import Tensor, nn

from auharness.ops.backends import full_precision

__all__ = ["LogMel", "mel_filters"]

RATE = 16_000
WINDOW = 400
BINS = WINDOW // 2 + 1
_KNEE_HZ, _KNEE_MEL, _STEP = 1000.0, 15.0, math.log(6.4) / 27
"""Slaney's scale is linear below, logarithmic above."""


def mel_filters(bands: int) -> Tensor:
    """Return triangles of equal area, `[bands,201]`, even on Slaney's mel scale from 0 to 8 kHz, for 400 samples."""
    top = _KNEE_MEL + math.log(RATE / 2 / _KNEE_HZ) / _STEP
    mels = torch.linspace(0, top, bands + 2, dtype=torch.float64)
    edges = torch.where(mels < _KNEE_MEL, mels * _KNEE_HZ / _KNEE_MEL, _KNEE_HZ * ((mels - _KNEE_MEL) * _STEP).exp())
    hertz = torch.linspace(0, RATE / 2, BINS, dtype=torch.float64)
    rise = (hertz - edges[:-2, None]) / edges.diff()[:-1, None]
    fall = (edges[2:, None] - hertz) / edges.diff()[1:, None]
    return (torch.minimum(rise, fall).clamp(min=0) * (2 / (edges[2:] - edges[:-2]))[:, None]).float()


class LogMel(nn.Module):
    """Sound `[B,S]` at 16 kHz to `[B,bands,frames]`, log10 of the power in windows of 400 samples, at least -10.

    Args:
        bands: mel bands.
        hop: samples between two windows.
        centred: window k is centred at sample k * hop and the ends are mirrored, S / hop windows in all; otherwise it
            begins there, (S - 400) / hop + 1 in all.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, bands: int, *, hop: int, centred: bool) -> None:
        super().__init__()
        self.hop, self.centred = hop, centred
        self.register_buffer("filters", mel_filters(bands), persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        # half precision has no Fourier transform
        with full_precision(audio.device):
            sound = audio.to(self.window.dtype)
            if self.centred:
                sound = nn.functional.pad(sound[:, None], (WINDOW // 2, WINDOW // 2), mode="reflect")[:, 0]
            pieces = sound.unfold(1, WINDOW, self.hop)
            if self.centred:
                pieces = pieces[:, : audio.shape[1] // self.hop]
            power = torch.fft.rfft(pieces * self.window).abs().square()
            return (power @ self.filters.T).clamp(min=1e-10).log10().transpose(1, 2)
