"""Clips from films: which emotion each shows, whose face, how long, and in which fold the vendor put it.

Emotions are shown by the prototypes of EMFACS (Ekman and Friesen 1983). A prototype is seldom complete: an actor leaves
out an AU, adds one that belongs to none, speaks. The classes are as unequal as the vendor's, and every class is dealt
to the folds one clip after the other, which gives the published counts of every fold where all clips are there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from auharness.data.synthetic.motion import named_rng

__all__ = ["Emotion", "EmotionClip", "EmotionSize", "draw_emotion_clips"]

FOLDS = 5
_PEOPLE = 0.25  # faces per clip: most actors are seen several times
_SHORT = 14 / 11697  # share of the clips with fewer than 16 frames
_SPREAD = 0.437  # of the log length, so that the mean is 77 where the median is 70


@dataclass(frozen=True)
class EmotionSize:
    """How much of the vendor's data a stand-in holds.

    Attributes:
        pixels: side of the square frames.
        clips: number of clips, in the classes' published shares; `None` takes all.
        squeeze: what is left of the frames above 16; shorter clips keep theirs.
        longest: frames of the longest clip.
    """

    pixels: int
    clips: int | None = None
    squeeze: float = 1.0
    longest: int = 847


@dataclass(frozen=True)
class Emotion:
    """A class.

    Attributes:
        name: of the class.
        clips: the vendor's number of clips.
        core: AUs of the prototype.
        extra: AUs that often go with it.
    """

    name: str
    clips: int
    core: tuple[int, ...] = ()
    extra: tuple[int, ...] = ()


@dataclass(frozen=True)
class EmotionClip:
    """One clip.

    Attributes:
        name: the vendor's number in five digits.
        label: place in the list of classes, from 0.
        fold: fold whose test part holds it, 1 to 5.
        person: number of the face.
        frames: number of frames.
    """

    name: str
    label: int
    fold: int
    person: int
    frames: int


def draw_emotion_clips(emotions: Sequence[Emotion], *, size: EmotionSize, ids: int, seed: int) -> list[EmotionClip]:
    """Return the clips of this size by name; each class has a clip in both parts of every fold.

    Args:
        emotions: the classes in the vendor's order.
        size: how many clips, and how long.
        ids: the largest number that the vendor gave; not all are clips with one label.
        seed: the stand-in's seed.
    """
    rng = named_rng(seed, "dfew", "clips")
    shares = _shares([emotion.clips for emotion in emotions], size.clips)
    labels = np.repeat(np.arange(len(shares)), shares)
    folds = np.concatenate([np.arange(share) % FOLDS + 1 for share in shares])
    count = len(labels)
    order = rng.permutation(count)
    # which numbers there are belongs to the size, not to the seed
    names = np.sort(named_rng(0, "dfew", "names").choice(np.arange(1, ids + 1), count, replace=False))
    people = rng.integers(0, max(1, round(_PEOPLE * count)), count)
    lengths = rng.permutation(_lengths(count, size))
    columns = (names, labels[order], folds[order], people, lengths)
    return [
        EmotionClip(f"{name:05d}", label, fold, person, frames)
        for name, label, fold, person, frames in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _shares(published: Sequence[int], clips: int | None) -> list[int]:
    """Return the number of clips per class, in the published proportion but one per fold at least."""
    if clips is None:
        return list(published)
    exact = np.array(published) * clips / sum(published)
    shares = np.maximum(exact.astype(np.int64), FOLDS)
    while shares.sum() != clips:
        step = 1 if shares.sum() < clips else -1
        # the class that is farthest from its share, among those that may shrink
        owed = np.where((step > 0) | (shares > FOLDS), step * (exact - shares), -np.inf)
        shares[int(np.argmax(owed))] += step
    return [int(share) for share in shares]


def _lengths(count: int, size: EmotionSize) -> NDArray[np.int64]:
    """Return evenly spaced quantiles of the published lengths: 11 to 847 frames, 70 in the median."""
    lengths = 70 * np.exp(_SPREAD * ndtri((np.arange(count) + 0.5) / count))
    lengths = np.where(lengths > 16, 16 + size.squeeze * (lengths - 16), lengths)
    short = max(1, round(_SHORT * count))
    lengths[:short], lengths[-1] = np.linspace(11, 15.4, short + 1)[:-1], size.longest
    return np.asarray(np.clip(lengths.round(), 11, size.longest), np.int64)
