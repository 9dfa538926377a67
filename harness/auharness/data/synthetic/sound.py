"""What people sound like: speech, laughter and sighs as plain synthesis, in one sound track per film.

A voice is a row of harmonics of a moving pitch, weighed by the resonances of a vowel; breath is filtered noise. Speech
changes the vowel with every syllable, laughter repeats one with an open mouth some five times per second on a falling
pitch, and a sigh is breath whose brightness falls. Nobody would take it for a recording, but the three differ in what
tells them apart in one: pitch, rhythm, and noise against tone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, resample_poly

__all__ = ["RATE", "Utterance", "resampled", "soundtrack"]

RATE = 16000
"""Samples per second of everything that is made here."""

Wave = NDArray[np.float64]

_SYLLABLE = 0.2  # seconds, of speech and of laughter
_VOWELS = np.array([(800, 1250, 2600), (500, 1850, 2500), (300, 2250, 3000), (480, 900, 2450), (330, 800, 2350)])
_WIDTHS = np.array([90.0, 120.0, 180.0])  # of the resonances, in Hz
_HIGHEST = 3800.0  # Hz, of a harmonic
_PEAK = 0.7  # of the loudest sample
_ROOM = 0.004  # noise of the room against a voice of about 0.3


@dataclass(frozen=True)
class Utterance:
    """One stretch of sound.

    Attributes:
        kind: `speech`, `laugh` or `sigh`.
        start: seconds since the beginning of the film.
        stop: likewise.
        pitch: of the person's voice at rest, in Hz.
        level: loudness, 0..1.
    """

    kind: str
    start: float
    stop: float
    pitch: float
    level: float = 1.0


def soundtrack(utterances: Sequence[Utterance], seconds: float, *, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return mono sound [seconds * RATE] in [-1, 1]; people may speak over each other.

    Args:
        utterances: what sounds when; parts outside the film are cut off.
        seconds: length of the film.
        rng: source of everything random.
    """
    track = _ROOM * rng.standard_normal(max(1, round(seconds * RATE)))
    for utterance in utterances:
        first = round(utterance.start * RATE)
        count = round((utterance.stop - utterance.start) * RATE)
        if count < RATE // 50:
            continue
        sound = utterance.level * _VOICES[utterance.kind](count, utterance.pitch, rng)
        room = track[first : first + count]
        room += sound[: len(room)]
    return np.asarray(track * (_PEAK / max(1.0, float(np.abs(track).max()))), np.float32)


def resampled(sound: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Return sound at another number of samples per second."""
    if rate == RATE:
        return sound
    common = gcd(rate, RATE)
    return np.asarray(np.clip(resample_poly(sound, rate // common, RATE // common), -1, 1), np.float32)


def _speech(count: int, pitch: float, rng: np.random.Generator) -> Wave:
    syllables = max(2, round(count / RATE / _SYLLABLE))
    knots = np.linspace(0, count - 1, syllables + 1)
    moment = np.arange(count)
    melody = pitch * (1 + 0.12 * rng.standard_normal(syllables + 1)) * np.linspace(1.08, 0.92, syllables + 1)
    vowels = _VOWELS[rng.integers(0, len(_VOWELS), syllables + 1)] * rng.uniform(0.9, 1.1, (syllables + 1, 1))
    loud = np.interp(moment, knots, rng.uniform(0.5, 1.0, syllables + 1))
    beat = np.sin(np.pi * np.clip(moment / count * syllables % 1, 0, 1)) ** 0.7
    voiced = _harmonics(np.interp(moment, knots, melody), _between(vowels, moment, knots))
    hiss = (
        _band(rng.standard_normal(count), 2500, 6000)
        * (rng.uniform(size=syllables + 1) < 0.5).repeat(-(-count // syllables))[:count]
    )
    # consonants sound where the vowel does not
    return np.asarray(_faded(0.35 * loud * (beat * voiced + 0.5 * (1 - beat) * hiss)))


def _laugh(count: int, pitch: float, rng: np.random.Generator) -> Wave:
    bursts = max(2, round(count / RATE / _SYLLABLE * rng.uniform(0.9, 1.2)))
    phase = np.arange(count) / count * bursts % 1
    melody = pitch * rng.uniform(1.7, 2.2) * np.linspace(1.1, 0.75, count) * (1.06 - 0.12 * phase)
    vowel = np.broadcast_to(_VOWELS[0] * rng.uniform(0.95, 1.1), (count, 3))
    burst = np.where(phase < 0.6, np.sin(np.pi * phase / 0.6), 0.0)
    breath = _band(rng.standard_normal(count), 900, 3500)
    gust = np.sin(np.pi * phase) ** 2
    return np.asarray(
        _faded(np.linspace(1.0, 0.6, count) * (0.4 * burst * _harmonics(melody, vowel) + 0.12 * gust * breath))
    )


def _sigh(count: int, pitch: float, rng: np.random.Generator) -> Wave:
    moment = np.linspace(0, 1, count)
    noise = rng.standard_normal(count)
    # brightness falls while the breath goes out
    breath = (1 - moment) * _band(noise, 900, 2400) + moment * _band(noise, 350, 1000)
    swell = np.minimum(moment / 0.2, 1) * (1 - moment) ** 0.6
    vowel = np.broadcast_to(_VOWELS[3], (count, 3))
    voice = _harmonics(pitch * np.linspace(1.0, 0.7, count), vowel)
    return np.asarray(_faded(swell * (0.3 * breath + rng.uniform(0.0, 0.06) * voice)))


_VOICES = {"speech": _speech, "laugh": _laugh, "sigh": _sigh}


def _harmonics(pitch: Wave, vowels: Wave) -> Wave:
    """Return a voice of about unit loudness; `pitch` [n] in Hz, `vowels` [n, 3] resonances in Hz."""
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    sound = np.zeros(len(pitch))
    for number in range(1, int(_HIGHEST / pitch.min()) + 1):
        tone = number * pitch
        gain = (1 / (1 + ((tone[:, None] - vowels) / _WIDTHS) ** 2)).sum(axis=1)
        # the source itself falls by 6 dB per octave
        sound += np.where(tone < _HIGHEST, gain / np.sqrt(number), 0) * np.sin(number * phase)
    return sound / max(1e-9, float(np.sqrt(np.mean(sound**2))))


def _between(values: Wave, moment: NDArray[np.int64], knots: Wave) -> Wave:
    return np.stack([np.interp(moment, knots, column) for column in values.T], axis=1)


def _band(noise: Wave, low: float, high: float) -> Wave:
    """Return noise of unit loudness between two frequencies in Hz."""
    found = np.asarray(lfilter(*butter(2, (low, high), "bandpass", fs=RATE), noise), np.float64)
    return found / max(1e-9, float(np.sqrt(np.mean(found**2))))


def _faded(sound: Wave) -> Wave:
    """Return the sound without clicks at its ends."""
    edge = np.minimum(np.arange(len(sound)), np.arange(len(sound))[::-1]) / (0.01 * RATE)
    return sound * np.minimum(edge, 1)
