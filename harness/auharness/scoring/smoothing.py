"""Predictions averaged over time: an extra row beside a run's score, because it is another predictor than the run."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auharness.api import ProtocolPlugin
from auharness.errors import UsageError
from auharness.results.schema import UnitRecord
from auharness.results.store import RunFolder
from auharness.scoring.pooled import read_final
from auharness.scoring.rescore import recount

__all__ = ["smooth", "smoothed_units"]


def smoothed_units(protocol: ProtocolPlugin, run: RunFolder, reach: int) -> list[UnitRecord]:
    """Return the finished units of a run as they are counted once their scores are averaged over time.

    Logits are averaged as probabilities; the thresholds are those of the record. Each unit is marked
    `smoothed +-reach` in its extra data.

    Args:
        protocol: of the run.
        run: with predictions of frames.
        reach: frames before and behind each that count, at least 1.

    Raises:
        UsageError: if the samples are no frames, or `reach` is not positive.
        IntegrityError: if a unit has no readable predictions.
    """
    if reach < 1:
        raise UsageError(f"--smooth {reach}: expected the number of frames before and behind, 1 or more")
    found = []
    for unit in run.finished():
        columns = list(unit.columns)
        frame = read_final(run, unit).copy()
        scores, thresholds = frame[columns].to_numpy(np.float64), np.array(unit.thresholds)
        if unit.kind == "classes" or not frame["sample_id"].str.fullmatch(r".+/.+/\d+").all():
            raise UsageError(f"--smooth: {run.record.protocol} scores clips; only frames follow each other in time")
        if unit.score_kind == "logit":
            scores, thresholds = _probability(scores), _probability(thresholds)
        frame[columns] = smooth(frame["sample_id"], scores, reach)
        counted = recount(protocol, unit, frame, thresholds=tuple(map(float, thresholds)))
        found.append(counted.model_copy(update={"extra_data": f"smoothed +-{reach} frames"}))
    return found


def smooth(sample_ids: pd.Series, scores: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Return the mean of each frame's scores and those of its neighbours in the same recording.

    Neighbours are at most `reach` frame numbers away; numbers without a row are left out of the mean, and no frame of
    another recording is in it.

    Args:
        sample_ids: `[n]`, `dataset/sequence/frame`.
        scores: `[n, A]`.
        reach: frame numbers to each side.

    >>> ids = pd.Series(["d/s/1", "d/s/2", "d/s/5", "d/t/3"])
    >>> smooth(ids, np.array([[0.0], [1.0], [4.0], [9.0]]), 1).ravel().tolist()
    [0.5, 0.5, 4.0, 9.0]
    """
    parts = sample_ids.str.rpartition("/")
    recording = pd.factorize(parts[0])[0].astype(np.int64)
    frame = parts[2].to_numpy(np.int64)
    # one number line for all, with gaps between recordings that no neighbour crosses
    place = recording * (int(frame.max()) + 2 * reach + 1) + frame
    order = np.argsort(place, kind="stable")
    place = place[order]
    total, count = np.zeros_like(scores), np.zeros((len(scores), 1))
    for offset in range(-reach, reach + 1):
        at = np.searchsorted(place, place + offset).clip(max=len(place) - 1)
        there = place[at] == place + offset
        total[order[there]] += scores[order[at[there]]]
        count[order[there]] += 1
    return total / count


def _probability(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logistic function, without overflow; exactly 0.5 at 0."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1, small) / (1 + small)
