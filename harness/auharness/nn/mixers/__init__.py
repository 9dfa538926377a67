"""Token mixers, each `[batch, token, dim] -> [batch, token, dim]`, so that a model swaps them by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from torch import nn

from auharness.nn.mixers.attention import Attention
from auharness.nn.mixers.audio_guided_ssm import AudioGuidedSSM
from auharness.nn.mixers.bi_ttt import BiTTT
from auharness.nn.mixers.linear import Linear
from auharness.nn.mixers.mamba import BiMamba, Mamba
from auharness.nn.mixers.mamba2 import Mamba2
from auharness.nn.mixers.plain_ssm import PlainSSM
from auharness.nn.mixers.ttt import TTTLinear
from auharness.nn.mixers.ttt_mlp import TTTMLP

__all__ = [
    "MIXERS",
    "TTTMLP",
    "Attention",
    "AudioGuidedSSM",
    "BiMamba",
    "BiTTT",
    "Linear",
    "Mamba",
    "Mamba2",
    "PlainSSM",
    "TTTLinear",
]

MIXERS: Final[Mapping[str, type[nn.Module]]] = MappingProxyType(
    {
        "ttt": TTTLinear,
        "ttt-mlp": TTTMLP,
        "ttt-bi": BiTTT,
        "mamba": Mamba,
        "mamba-bi": BiMamba,
        "mamba2": Mamba2,
        "attention": Attention,
        "linear": Linear,
    }
)
"""Mixer by name; every constructor takes `(dim, *, heads=...)`. Without a name: `AudioGuidedSSM`,
which reads audio too, and `PlainSSM`, one paper's reduction of Mamba."""
