"""Sound to tokens, 50 a second: speech models of which only small adapters learn, and a small net from scratch.

Token k describes the 400 samples from sample 320 k on (WavLM's feature encoder), so 1 s has 49 and 10 s have 499.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from auharness.nn.foundation import LoadedFoundation, load_foundation
from auharness.nn.frozen import FrozenBase
from auharness.nn.log_mel import LogMel

__all__ = [
    "FIELD",
    "KINDS",
    "RATE",
    "SMALL",
    "STRIDE",
    "AfterFFN",
    "MelSound",
    "SoundTokens",
    "WavLMSound",
    "WhisperSound",
    "normalised",
    "sound_encoder",
    "sound_tokens",
    "token_count",
    "tokens_valid",
]

KINDS: Final = ("wavlm", "whisper")
RATE: Final = 16_000
STRIDE: Final = 320
FIELD: Final = 400
SMALL: Final[Mapping[str, int]] = MappingProxyType({"mel": 32, "mel-small": 16})
"""Channels of encoders that are trained from scratch."""
CHUNK: Final = 999
"""Tokens at a time of WavLM, 20 s; its attention grows with the square."""
OVERLAP: Final = 50
"""Tokens at each end of a chunk that only its neighbours use, 1 s."""
WHISPER_TOKENS: Final = 1500
"""30 s, which Whisper always reads."""


class SoundTokens(NamedTuple):
    """What an encoder makes of sound."""

    tokens: Tensor
    """`[B,N,D]`, 0 where there is no sound."""
    valid: Tensor
    """`[B,N]`, whether all 400 samples of a token are sound."""


def token_count(samples: int) -> int:
    """Return N, the number of tokens of some samples; at least 1.

    >>> token_count(16_000), token_count(160_000)
    (49, 499)
    """
    return max(1, (samples - FIELD) // STRIDE + 1)


def tokens_valid(audio_valid: Tensor) -> Tensor:
    """Return which tokens lie in sound altogether, `[B,N]` bool, from `[B,S]` bool, S at least 400."""
    # a running count, for windows of the mask itself would be 400 / 320 as large as all of it, per sample
    sums = nn.functional.pad(audio_valid.long().cumsum(1), (1, 0))
    starts = torch.arange(token_count(audio_valid.shape[1]), device=audio_valid.device) * STRIDE
    return sums[:, starts + FIELD] - sums[:, starts] == FIELD


def normalised(audio: Tensor, valid: Tensor) -> Tensor:
    """Return sound with mean 0 and variance 1 over what is valid of each row, and 0 elsewhere, `[B,S]`."""
    mask = valid.to(audio.dtype)
    count = mask.sum(1, keepdim=True).clamp(min=1)
    centred = (audio - (audio * mask).sum(1, keepdim=True) / count) * mask
    return centred / (centred.square().sum(1, keepdim=True) / count + 1e-7).sqrt()


class AfterFFN(nn.Module):
    """A feed-forward layer with a residual bottleneck behind it, which adds 0 at first (Houlsby et al., ICML 2019).

    Args:
        inner: the frozen layer.
        dim: channels it returns.
        hidden: channels of the bottleneck.
    """

    def __init__(self, inner: nn.Module, *, dim: int, hidden: int) -> None:
        super().__init__()
        self.inner = inner
        self.bottleneck = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        nn.init.zeros_(self.bottleneck[2].weight)  # type: ignore[arg-type]  # a Linear
        nn.init.zeros_(self.bottleneck[2].bias)  # type: ignore[arg-type]  # likewise

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        return y + self.bottleneck(y)


class WavLMSound(FrozenBase):
    """A frozen WavLM with a bottleneck behind each feed-forward layer and learned weights of its layers' states.

    Adapters of low rank are no choice here: the attention of transformers' WavLM reads the weights of `q_proj` and
    `v_proj` past the layers, so what peft adds to those has no effect and no gradient.

    Args:
        base: a WavLM.
        hidden: channels of the bottlenecks; 0 leaves the model as it is. Its states then have no gradient, the weights
            of the layers still learn.
    """

    first_s: Final = FIELD / 2 / RATE
    """Centre of token 0 in seconds."""
    chunk = CHUNK

    def __init__(self, base: LoadedFoundation, *, hidden: int) -> None:
        def adapt(model: Any) -> None:
            for layer in model.encoder.layers if hidden else ():
                layer.feed_forward = AfterFFN(layer.feed_forward, dim=model.config.hidden_size, hidden=hidden)

        super().__init__(base.model, loaded=base.checksum, adapt=adapt)
        # else it asks for the gradient of the sound
        self.model.freeze_feature_encoder()
        self.normalise = base.normalise
        self.width: int = self.model.config.hidden_size
        self.layer_weights = nn.Parameter(torch.zeros(self.model.config.num_hidden_layers + 1))

    def forward(self, audio: Tensor) -> Tensor:
        found = self.model(audio, output_hidden_states=True)
        # some versions of transformers list the last state before the last norm, some after it
        states = torch.stack((*found.hidden_states[:-1], found.last_hidden_state), -1)
        return states @ self.layer_weights.softmax(0).to(states.dtype)


class WhisperSound(FrozenBase):
    """The frozen encoder of a Whisper with a bottleneck behind each feed-forward layer; the last state.

    It reads 30 s, padded with silence.

    Args:
        base: the encoder of a Whisper.
        hidden: channels of the bottlenecks; 0 leaves it as it is.
    """

    first_s: Final = 0.0
    chunk = WHISPER_TOKENS - 1
    normalise = False

    def __init__(self, base: LoadedFoundation, *, hidden: int) -> None:
        def adapt(model: Any) -> None:
            for layer in model.layers if hidden else ():
                layer.fc2 = AfterFFN(layer.fc2, dim=model.config.d_model, hidden=hidden)

        super().__init__(base.model, loaded=base.checksum, adapt=adapt)
        config = self.model.config
        self.width: int = config.d_model
        self.mel = LogMel(config.num_mel_bins, hop=STRIDE // 2, centred=True)

    def forward(self, audio: Tensor) -> Tensor:
        count = token_count(audio.shape[1])
        silence = WHISPER_TOKENS * STRIDE - audio.shape[1]
        mel = self.mel(nn.functional.pad(audio, (0, silence)))
        mel = (mel.maximum(mel.amax((1, 2), keepdim=True) - 8) + 4) / 4  # as Whisper's authors do
        return self.model(mel).last_hidden_state[:, :count]


class MelSound(nn.Module):
    """Power in mel bands and two convolutions over time, trained from scratch.

    A stand-in for a speech model where that is out of reach, on the same tokens.

    Args:
        width: channels.
        bands: mel bands.
    """

    first_s: Final = FIELD / 2 / RATE
    chunk = CHUNK
    normalise = False

    def __init__(self, width: int, *, bands: int = 24) -> None:
        super().__init__()
        self.width = width
        self.mel = LogMel(bands, hop=STRIDE, centred=False)
        self.layers = nn.Sequential(
            nn.Conv1d(bands, width, 5, padding=2), nn.GELU(), nn.Conv1d(width, width, 5, padding=2), nn.GELU()
        )

    def forward(self, audio: Tensor) -> Tensor:
        # of speech at a usual level, about -1 to 1
        mel = (self.mel(audio) + 2) / 4
        return self.layers(mel.to(audio.dtype)).transpose(1, 2)


SoundEncoder = WavLMSound | WhisperSound | MelSound


def sound_encoder(name: str, *, hidden: int, pretrained: bool) -> SoundEncoder:
    """Return an encoder by name.

    Args:
        name: one of `FOUNDATIONS` of sound, `hf:` and a folder or hub name, or one of `SMALL`.
        hidden: channels of the adapters of a frozen encoder; 0 for none.
        pretrained: load its weights.

    Raises:
        DataError: if the weights are missing.
        UsageError: if the weights are no WavLM and no Whisper.
    """
    if name in SMALL:
        return MelSound(SMALL[name])
    base = load_foundation(name, pretrained=pretrained, kinds=KINDS)
    return (WavLMSound if base.kind == "wavlm" else WhisperSound)(base, hidden=hidden)


def sound_tokens(encoder: SoundEncoder, audio: Tensor, valid: Tensor) -> SoundTokens:
    """Encode sound, long sound in chunks that overlap by 2 s, so that memory grows with its length.

    Args:
        encoder: `[B,S]` to `[B,N,D]`.
        audio: `[B,S]`, 16 kHz in [-1, 1].
        valid: `[B,S]` bool, False where there is no sound.
    """
    if audio.shape[1] < FIELD:
        audio, valid = (nn.functional.pad(x, (0, FIELD - x.shape[1])) for x in (audio, valid))
    sound = normalised(audio, valid) if encoder.normalise else audio * valid.to(audio.dtype)
    kept = tokens_valid(valid)
    tokens = _chunked(encoder, sound, chunk=encoder.chunk)
    return SoundTokens(tokens * kept[..., None].to(tokens.dtype), kept)


def _chunked(encode: Callable[[Tensor], Tensor], audio: Tensor, *, chunk: int) -> Tensor:
    count = token_count(audio.shape[1])
    if count <= chunk:
        return encode(audio)
    last = count - chunk
    starts = [*range(0, last, chunk - 2 * OVERLAP), last]
    # neighbours meet in the middle of what they share
    meets = [(before + chunk + after) // 2 for before, after in pairwise(starts)]
    pieces = []
    for start, begin, end in zip(starts, [0, *meets], [*meets, count], strict=True):
        samples = audio[:, start * STRIDE : (start + chunk - 1) * STRIDE + FIELD]
        pieces.append(encode(samples)[:, begin - start : end - start])
    return torch.cat(pieces, 1)
