"""Weights of training clips by whether their AU scores agree with the emotion that they are labelled with."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from auharness.features.au_scores import au_scores

__all__ = ["EMOTION_AUS", "au_weights", "clip_weights"]

EMOTION_AUS: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "Happy": (6, 12),
        "Sad": (1, 4, 15),
        "Neutral": (),
        "Angry": (4, 5, 7, 23),
        "Surprise": (1, 2, 5, 26),
        "Disgust": (9, 15),
        "Fear": (1, 2, 4, 5, 7, 20, 26),
    }
)
"""Prototypes of Ekman and Friesen's EMFACS, as far as 68 points show them."""


def au_weights(
    peaks: Sequence[Mapping[str, float]],
    labels: Sequence[str],
    *,
    strength: float = 1.0,
    prototypes: Mapping[str, Sequence[int]] = EMOTION_AUS,
) -> npt.NDArray[np.float32]:
    """Return `[N]` weights with mean 1, proportional to 1 + strength x agreement.

    Agreement is the mean peak score of the emotion's AUs; of an emotion without AUs, one minus the mean peak of the AUs
    of all others. A clip in which no frame is valid gets the mean agreement of the others: its weight says nothing.

    Args:
        peaks: `AUScores.peaks()` of each clip.
        labels: the emotion of each clip.
        strength: 0 gives weight 1 to all.
        prototypes: emotion -> AU numbers.

    >>> seen = [{"AU6": 1.0, "AU12": 1.0}, {"AU6": 0.0, "AU12": 0.0}]
    >>> au_weights(seen, ["Happy", "Happy"], prototypes={"Happy": (6, 12)}).round(2).tolist()
    [1.3300000429153442, 0.6700000166893005]

    Raises:
        KeyError: if a label has no prototype or a clip lacks the score of an AU.
    """
    every = sorted({au for aus in prototypes.values() for au in aus})
    agreement = np.empty(len(labels))
    for number, (peak, label) in enumerate(zip(peaks, labels, strict=True)):
        aus = prototypes[label]
        mean = float(np.mean([peak[f"AU{au}"] for au in aus or every]))
        agreement[number] = mean if aus else 1 - mean
    known = np.isfinite(agreement)
    agreement[~known] = agreement[known].mean() if known.any() else 0.0
    weights = 1 + strength * agreement
    return (weights / weights.mean()).astype(np.float32)


def clip_weights(
    landmarks: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_],
    labels: Sequence[str | None],
    *,
    strength: float = 1.0,
) -> npt.NDArray[np.float32]:
    """Return `au_weights` of clips `[N]` by their own landmarks: mean 1 over those with a label, 1 for the others.

    Args:
        landmarks: `[N,T,68,2]` in pixels.
        valid: `[N,T]`, whether a face was found.
        labels: the emotion of each clip; None is not coded.
        strength: 0 gives weight 1 to all.
    """
    weights = np.ones(len(labels), np.float32)
    coded = [number for number, label in enumerate(labels) if label is not None]
    if coded:
        peaks = [au_scores(landmarks[number], valid=valid[number]).peaks() for number in coded]
        weights[coded] = au_weights(peaks, [str(labels[number]) for number in coded], strength=strength)
    return weights
